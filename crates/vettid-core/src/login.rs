//! The vault's side of a login (spec 2.14): how well one is protected against being relayed, what a yes to it takes, and which
//! browsers become known. Must never take the service's word for a browser, and never give a yes that fits another browser.

mod browser;

pub use browser::{InvalidProof, Proof, verify};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::kdf::h256;
use vettid_wire::auth::{AuthChallenge, Decision};
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, LoginId, RequestId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{
    BrowserKeyKind, KnownBrowser, LinkPart, LoginCheck, LoginFinished, LoginLevel, LoginProof, NUMBER_DELAY_MS,
    NUMBERS, is_return_path, return_address,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Decide;
use vettid_wire::time::Timestamp;
use vettid_wire::webauthn::Authenticator;

/// Most known browsers of one connection; the one that was not used for longest gives way.
pub const MAX_BROWSERS: usize = 16;
/// The password for a login is good for this long, in milliseconds.
pub const PERMIT_LIFE_MS: i64 = 120_000;
/// Most characters of the name of a browser that are kept.
const MAX_NAME_CHARS: usize = 64;

/// The owner's app opened the link of a waiting page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The login.
    pub login_id: LoginId,
    /// The site in the link.
    pub origin: String,
    /// The page waits on another device.
    pub other_device: bool,
    /// Nobody waits any more from then on.
    pub expires_at: Timestamp,
}

/// What the vault knows beside the challenge, for its connection alone.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The link that the challenge names, if the owner opened it.
    pub opened: Option<&'a Opened>,
    /// The known browsers.
    pub browsers: &'a [KnownBrowser],
    /// The owner lets unknown browsers in by a number.
    pub allow_numbers: bool,
}

/// How a login is protected; the strongest that it proves counts. The service's signature was checked before.
///
/// # Errors
/// [`RefusalCode::InvalidRequest`] for parts that contradict each other or a browser that cannot sign, and
/// [`RefusalCode::NotAllowed`] if nothing protects it.
pub fn assess(now: Timestamp, challenge: &AuthChallenge, known: Known<'_>) -> Result<LoginLevel, RefusalCode> {
    check_form(challenge)?;
    let shown = browser::check(challenge)?;
    if let Some(link) = &challenge.link {
        let is_ours = |opened: &&Opened| opened.login_id == link.login_id && opened.origin == challenge.origin;
        let opened = known.opened.filter(is_ours).filter(|opened| now < opened.expires_at && !opened.other_device);
        return opened.map(|_| LoginLevel::SameDevice).ok_or(RefusalCode::NotAllowed);
    }
    let is_it = |known: &KnownBrowser| is_key_of(known, challenge) && browser::goes_on(known, shown.as_ref());
    if known.browsers.iter().any(is_it) {
        return Ok(LoginLevel::KnownBrowser);
    }
    let is_copied = went_back(challenge, known.browsers).is_some();
    if challenge.number.is_some() && known.allow_numbers && !is_copied {
        Ok(LoginLevel::Number)
    } else {
        Err(RefusalCode::NotAllowed)
    }
}

fn is_key_of(known: &KnownBrowser, challenge: &AuthChallenge) -> bool {
    challenge.browser_key.as_ref() == Some(&known.browser_key)
        && known.origin == challenge.origin
        && known.connection_id == challenge.connection_id
}

fn check_form(challenge: &AuthChallenge) -> Result<(), RefusalCode> {
    let signed = challenge.browser_key.is_some() == challenge.browser_sig.is_some();
    let way_back = challenge.link.as_ref().is_none_or(|link| is_return_path(&link.return_path));
    let number = challenge.number.is_none_or(|number| NUMBERS.contains(&number));
    if signed && way_back && number { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

/// The known browser whose key the challenge shows with a counter that went back: two authenticators count for one key. Such a
/// login is never one of a known browser.
#[must_use]
pub fn went_back<'b>(challenge: &AuthChallenge, browsers: &'b [KnownBrowser]) -> Option<&'b KnownBrowser> {
    let shown = browser::check(challenge).ok().flatten()?;
    browsers.iter().find(|known| is_key_of(known, challenge) && browser::went_back(known, &shown))
}

/// One login of one connection, from the question to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    request_id: RequestId,
    connection_id: ConnectionId,
    origin: String,
    browser_key: Option<TypedKey>,
    #[serde(default)]
    authenticator: Option<Authenticator>,
    browser_name: String,
    level: LoginLevel,
    link: Option<LinkPart>,
    number: Option<u8>,
    numbers: Vec<u8>,
    not_before: Option<Timestamp>,
    permitted_until: Option<Timestamp>,
    remember: bool,
    approved: bool,
    code_hash: Option<Base64Url>,
    expires_at: Timestamp,
}

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Yes or no; a wrong number is a no.
    pub decision: Decision,
    /// How the owner was recognised (RFC 8176).
    pub method: Vec<String>,
    /// Where the browser of this device brings the code.
    pub return_to: Option<String>,
    /// This browser becomes known at once.
    pub known: Option<KnownBrowser>,
}

impl Login {
    /// A login that was [assessed](assess) and now waits for the owner.
    #[must_use]
    pub fn begin(now: Timestamp, rng: &mut dyn CryptoRng, challenge: &AuthChallenge, level: LoginLevel) -> Self {
        let number = challenge.number.filter(|_| level == LoginLevel::Number);
        Self {
            request_id: challenge.request_id,
            connection_id: challenge.connection_id,
            origin: challenge.origin.clone(),
            browser_key: challenge.browser_key.clone(),
            // What was assessed holds; nothing else becomes known.
            authenticator: browser::check(challenge).ok().flatten(),
            browser_name: challenge.display.browser.chars().take(MAX_NAME_CHARS).collect(),
            level,
            link: challenge.link.clone(),
            number,
            numbers: number.map(|number| choices(rng, number)).unwrap_or_default(),
            not_before: number.map(|_| now.plus_ms(NUMBER_DELAY_MS)),
            permitted_until: None,
            remember: false,
            approved: false,
            code_hash: None,
            expires_at: challenge.expires_at,
        }
    }

    /// How it is protected.
    #[must_use]
    pub fn level(&self) -> LoginLevel {
        self.level
    }

    /// It may be forgotten from then on.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// What the owner is shown.
    #[must_use]
    pub fn check(&self) -> LoginCheck {
        LoginCheck {
            level: self.level,
            numbers: self.numbers.clone(),
            not_before: self.not_before,
            can_remember: self.browser_key.is_some() && self.level != LoginLevel::KnownBrowser,
            key_kind: self.browser_key.as_ref().and_then(BrowserKeyKind::of),
        }
    }

    /// The owner gave the password for this login; gives the end of that.
    pub fn permit(&mut self, now: Timestamp) -> Timestamp {
        let until = now.plus_ms(PERMIT_LIFE_MS).min(self.expires_at);
        self.permitted_until = Some(until);
        until
    }

    /// Takes the owner's decision.
    ///
    /// # Errors
    /// [`RefusalCode::NotAllowed`] without number or password where they are needed, [`RefusalCode::Unavailable`] before the
    /// time: then nothing is decided, and the same may be said again.
    pub fn decide(&mut self, now: Timestamp, rng: &mut dyn CryptoRng, asked: &Decide) -> Result<Decided, RefusalCode> {
        if asked.decision == Decision::Deny || self.is_wrong(asked.number) {
            return Ok(Decided { decision: Decision::Deny, method: methods(&["user"]), return_to: None, known: None });
        }
        if self.level == LoginLevel::Number {
            self.check_number(now, asked.number)?;
        }
        self.approved = true;
        self.remember = asked.remember && self.check().can_remember;
        Ok(match self.level {
            LoginLevel::SameDevice => self.by_code(rng),
            LoginLevel::KnownBrowser => self.approve(&["user", self.possession()], None),
            LoginLevel::Number => {
                let known = self.known(now).filter(|_| self.remember);
                self.approve(&["user", "pwd", "mca"], known)
            }
        })
    }

    /// Takes the yes of a rule, which is enough for a known browser alone.
    ///
    /// # Errors
    /// [`RefusalCode::NotAllowed`] at any other level.
    pub fn approve_by_rule(&mut self) -> Result<(), RefusalCode> {
        self.approved = self.level == LoginLevel::KnownBrowser;
        if self.approved { Ok(()) } else { Err(RefusalCode::NotAllowed) }
    }

    fn is_wrong(&self, picked: Option<u8>) -> bool {
        self.level == LoginLevel::Number && picked.is_some() && picked != self.number
    }

    fn check_number(&self, now: Timestamp, picked: Option<u8>) -> Result<(), RefusalCode> {
        let permitted = self.permitted_until.is_some_and(|until| now < until);
        if picked.is_none() || picked != self.number || !permitted {
            return Err(RefusalCode::NotAllowed);
        }
        match self.not_before {
            Some(not_before) if now >= not_before => Ok(()),
            _ => Err(RefusalCode::Unavailable),
        }
    }

    fn by_code(&mut self, rng: &mut dyn CryptoRng) -> Decided {
        let mut code = [0; 32];
        rng.fill_bytes(&mut code);
        self.code_hash = Some(Base64Url::new(h256(&code)));
        let return_to = self.link.as_ref().map(|link| return_address(&self.origin, link, &Base64Url::new(code)));
        Decided { return_to, ..self.approve(&["user"], None) }
    }

    /// A key that the browser keeps is one in software. What an authenticator keeps is a key, and nobody vouches for more.
    fn possession(&self) -> &'static str {
        if self.authenticator.is_some() { "pop" } else { "swk" }
    }

    fn approve(&self, method: &[&str], known: Option<KnownBrowser>) -> Decided {
        Decided { decision: Decision::Approve, method: methods(method), return_to: None, known }
    }

    /// What ties a yes to the waiting browser; `None` as long as nobody said yes.
    #[must_use]
    pub fn proof(&self) -> Option<LoginProof> {
        if !self.approved {
            return None;
        }
        match self.level {
            LoginLevel::SameDevice => {
                let remember = self.remember;
                self.code_hash.clone().map(|code_hash| LoginProof::SameDevice { code_hash, remember })
            }
            LoginLevel::KnownBrowser => {
                self.browser_key.clone().map(|browser_key| LoginProof::KnownBrowser { browser_key })
            }
            LoginLevel::Number => Some(LoginProof::Number { remember: self.remember }),
        }
    }

    /// The browser brought the code back: gives it as known, if the owner wanted that.
    ///
    /// # Errors
    /// [`RefusalCode::NotAllowed`] for any other code, and if there was none to bring.
    pub fn finish(&mut self, now: Timestamp, finished: &LoginFinished) -> Result<Option<KnownBrowser>, RefusalCode> {
        let brought = Base64Url::new(h256(finished.code.as_bytes()));
        if finished.request_id != self.request_id || self.code_hash.as_ref() != Some(&brought) {
            return Err(RefusalCode::NotAllowed);
        }
        self.code_hash = None;
        Ok(self.known(now).filter(|_| self.remember))
    }

    /// Notes in the known browsers that this one was used.
    pub fn used(&self, now: Timestamp, browsers: &mut [KnownBrowser]) {
        let is_it = |known: &&mut KnownBrowser| {
            Some(&known.browser_key) == self.browser_key.as_ref() && known.origin == self.origin
        };
        for known in browsers.iter_mut().filter(is_it) {
            known.used_at = Some(now);
            known.authenticator = browser::counted_on(known.authenticator.take(), self.authenticator.as_ref());
        }
    }

    fn known(&self, now: Timestamp) -> Option<KnownBrowser> {
        Some(KnownBrowser {
            connection_id: self.connection_id,
            browser_key: self.browser_key.clone()?,
            authenticator: self.authenticator.clone(),
            origin: self.origin.clone(),
            name: self.browser_name.clone(),
            by: self.level,
            known_since: now,
            used_at: None,
        })
    }
}

fn methods(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A number for a page to show, 10 to 99, each as likely as another.
pub fn pick_number(rng: &mut dyn CryptoRng) -> u8 {
    let count = NUMBERS.end() - NUMBERS.start() + 1;
    loop {
        let mut byte = [0];
        rng.fill_bytes(&mut byte);
        // Twice as many values of a byte as there are numbers; the others would favour some.
        if let [byte] = byte
            && byte < count * 2
        {
            return NUMBERS.start() + byte % count;
        }
    }
}

/// The right number and two others, in rising order.
fn choices(rng: &mut dyn CryptoRng, right: u8) -> Vec<u8> {
    let mut numbers = vec![right];
    while numbers.len() < 3 {
        let other = pick_number(rng);
        if !numbers.contains(&other) {
            numbers.push(other);
        }
    }
    numbers.sort_unstable();
    numbers
}

/// Adds a browser to those of its connection, or takes it up again. A counter goes on from where it was.
pub fn remember(browsers: &mut Vec<KnownBrowser>, mut browser: KnownBrowser) {
    let is_it = |known: &&KnownBrowser| known.browser_key == browser.browser_key && known.origin == browser.origin;
    if let Some(former) = browsers.iter().find(is_it) {
        browser.authenticator = browser::counted_on(former.authenticator.clone(), browser.authenticator.as_ref());
    }
    browsers.retain(|known| known.browser_key != browser.browser_key || known.origin != browser.origin);
    browsers.push(browser);
    if browsers.len() > MAX_BROWSERS {
        let last_used = |known: &KnownBrowser| known.used_at.unwrap_or(known.known_since);
        if let Some(oldest) = (0..browsers.len()).min_by_key(|&at| browsers.get(at).map(last_used)) {
            browsers.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
