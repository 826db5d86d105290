//! Logins that a browser waits for, from the waiting page to the end (spec 2.14). Pure: time, randomness and the member's
//! answers are given. Must never log a browser in by the member's yes alone: the browser has to hold the secret of its session,
//! and at the strongest level the code that came back through it.

mod desk;

pub use desk::{Desk, Rules};

use crate::question::{BrowserProof, LoginRequest, Outcome, Prepared};
use rand_core::CryptoRng;
use std::fmt;
use vettid_core::login::{Proof, pick_number, verify};
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_wire::auth::{Decision, Display, MAX_LIFE_MS};
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, LoginId, MemberId, RequestId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{BrowserKeyKind, LinkPart, LoginFinished, LoginLevel, LoginLink, LoginProof, browser_text};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A page waits at most this long for a member, in milliseconds (five minutes); each question to a member lives two.
pub const WAIT_MS: i64 = 5 * 60 * 1000;

/// What only the waiting browser holds: 32 random bytes, put into a cookie of that browser (`Secure`, `HttpOnly`, `SameSite`).
pub struct Verifier(Secret32);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Draws one.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(Secret32::from_bytes(bytes))
    }

    /// Reads the text of a cookie.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes: Base64Url = text.parse().ok()?;
        Some(Self(Secret32::from_bytes(bytes.to_array().ok()?)))
    }

    /// The text for the cookie. Whoever has it is the waiting browser.
    #[must_use]
    pub fn expose(&self) -> String {
        Base64Url::new(*self.0.expose()).to_string()
    }

    /// Its SHA-256, which the member's vault signs along.
    #[must_use]
    pub fn session_hash(&self) -> [u8; 32] {
        h256(self.0.expose())
    }
}

/// What a page asks for when it begins to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingPage {
    /// Scheme and host of the page: one of the service's own sites.
    pub origin: String,
    /// Where on the origin the browser comes back with a code, such as `/login/return`.
    pub return_path: String,
    /// What is known about the browser; shown to the member.
    pub display: Display,
}

/// A page that waits now.
#[derive(Debug)]
pub struct Begun {
    /// Names the login.
    pub login_id: LoginId,
    /// For the cookie of the waiting browser alone, never for a page or a link.
    pub verifier: Verifier,
    /// For the page to show as a link and as a QR code. No secret.
    pub link: String,
    /// For the page to show large, if unknown browsers are let in by a number; otherwise there is none.
    pub number: Option<u8>,
    /// What the browser's key signs, if it has one: these UTF-8 bytes, ES256. Their SHA-256 is the challenge of a WebAuthn key.
    pub to_sign: String,
    /// What has to keep that key.
    pub key_kind: BrowserKeyKind,
    /// The page stops waiting then.
    pub expires_at: Timestamp,
}

/// How far a login is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginProgress {
    /// Nobody was asked yet.
    Waiting,
    /// The member is being asked.
    Asked,
    /// The member said yes on the same device: the browser has to bring the code.
    AwaitsCode,
    /// The browser is logged in. Told once; the caller makes its session then.
    LoggedIn(LoggedIn),
    /// The member said no.
    Denied,
    /// The member's vault refused.
    Refused(RefusalCode),
    /// Nobody answered in time.
    Expired,
    /// A wrong code came, or the login was told before.
    Over,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The connection; the pairwise name of the member for this service.
    pub connection_id: ConnectionId,
    /// The request that the member answered.
    pub request_id: RequestId,
    /// When the member decided.
    pub auth_time: Timestamp,
    /// How the member was recognised (RFC 8176 values).
    pub method: Vec<String>,
    /// How the login was protected.
    pub level: LoginLevel,
    /// The member's vault.
    pub member: MemberId,
    /// The key that the browser showed and the member wants to be known from now on.
    pub remembered: Option<TypedKey>,
    /// Goes to the member's vault: it learns that the code arrived.
    pub finished: Option<LoginFinished>,
}

/// Why a step of a login is not taken. Nothing changes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// There is no such login, or it is over, or another browser began it.
    #[error("there is no such login in this browser")]
    Unknown,
    /// The site, the way back or the description of the browser is not usable.
    #[error("the page of the login is not usable")]
    Page,
    /// The browser does not hold the key that it shows.
    #[error("the browser's signature does not hold")]
    Browser,
    /// Somebody is being asked already, or was.
    #[error("the member is being asked already")]
    Asked,
    /// The browser is not known, and unknown browsers are not let in.
    #[error("the browser is not known: open the link in the member's app")]
    NotKnown,
    /// As many wait as the gateway holds.
    #[error("too many logins wait")]
    TooMany,
}

/// One login of one browser.
#[derive(Debug)]
pub(crate) struct WaitingLogin {
    login_id: LoginId,
    session_hash: [u8; 32],
    prepared: Prepared,
    page: WaitingPage,
    number: Option<u8>,
    key_kind: BrowserKeyKind,
    browser: Option<BrowserProof>,
    expires_at: Timestamp,
    asked: Option<Asked>,
    is_over: bool,
    /// Whether a page waits that anybody may open.
    for_anybody: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    connection_id: ConnectionId,
    member: MemberId,
}

impl WaitingLogin {
    /// Begins to wait.
    fn begin(
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        rules: &Rules,
        page: WaitingPage,
    ) -> Result<(Self, Begun), LoginError> {
        if !vettid_wire::login::is_return_path(&page.return_path) {
            return Err(LoginError::Page);
        }
        let verifier = Verifier::random(rng);
        let (mut id, prepared) = ([0; 16], Prepared::new(now, rng));
        rng.fill_bytes(&mut id);
        let (login_id, expires_at) = (LoginId::from_bytes(id), now.plus_ms(WAIT_MS));
        let number = rules.numbers.then(|| pick_number(rng));
        let (service_id, key_kind) = (rules.service_id.clone(), rules.key_kind);
        let link = LoginLink { version: 1, service_id, origin: page.origin.clone(), login_id, expires_at };
        let text = link.to_text().map_err(|_| LoginError::Page)?;
        let link = rules.link_page.as_ref().map_or_else(|| text.clone(), |page| format!("{page}#{text}"));
        let session_hash = verifier.session_hash();
        let login = Self {
            login_id,
            session_hash,
            prepared,
            page,
            number,
            key_kind,
            browser: None,
            expires_at,
            asked: None,
            is_over: false,
            for_anybody: false,
        };
        let to_sign = login.text();
        Ok((login, Begun { login_id, verifier, link, number, to_sign, key_kind, expires_at }))
    }

    fn text(&self) -> String {
        let (nonce, session) = (Base64Url::new(self.prepared.nonce), Base64Url::new(self.session_hash));
        browser_text(self.prepared.request_id, &self.page.origin, &nonce, &session)
    }

    /// Whether this browser began the login, and it still waits.
    fn is_of(&self, now: Timestamp, verifier: &Verifier) -> bool {
        self.session_hash == verifier.session_hash() && now < self.expires_at && !self.is_over
    }

    /// Whether something may still come of it. A question that was asked at the last moment may be answered later.
    fn is_kept(&self, now: Timestamp) -> bool {
        let until = if self.asked.is_some() { self.expires_at.plus_ms(MAX_LIFE_MS) } else { self.expires_at };
        now < until && !self.is_over
    }

    /// The browser shows its key, of the kind that the service wants.
    fn prove(&mut self, proof: BrowserProof) -> Result<(), LoginError> {
        if self.asked.is_some() {
            return Err(LoginError::Asked);
        }
        if BrowserKeyKind::of(&proof.key) != Some(self.key_kind) {
            return Err(LoginError::Browser);
        }
        let BrowserProof { key, signature, assertion } = &proof;
        let shown = Proof { key, signature, assertion: assertion.as_ref() };
        verify(shown, &self.page.origin, &self.text()).map_err(|_| LoginError::Browser)?;
        self.browser = Some(proof);
        Ok(())
    }

    /// The question for a member whose app opened the link. Whoever opens it first is asked, nobody else.
    fn opened(&mut self, now: Timestamp, by: (ConnectionId, MemberId), other_device: bool) -> Option<LoginRequest> {
        if self.asked.is_some() || self.is_over || now >= self.expires_at {
            return None;
        }
        let link = LinkPart { login_id: self.login_id, return_path: self.page.return_path.clone() };
        Some(self.ask(by, Some(link).filter(|_| !other_device)))
    }

    /// The question for a member who is known by the browser's key or by name.
    fn push(&mut self, by: (ConnectionId, MemberId), is_known: bool) -> Result<LoginRequest, LoginError> {
        if self.asked.is_some() {
            return Err(LoginError::Asked);
        }
        if !is_known && self.number.is_none() {
            return Err(LoginError::NotKnown);
        }
        Ok(self.ask(by, None))
    }

    fn ask(&mut self, (connection_id, member): (ConnectionId, MemberId), link: Option<LinkPart>) -> LoginRequest {
        self.asked = Some(Asked { connection_id, member });
        LoginRequest {
            prepared: Some(self.prepared),
            link,
            browser: self.browser.clone(),
            number: self.number,
            ..LoginRequest::new(&self.page.origin, self.session_hash, self.page.display.clone())
        }
    }

    /// How far it is. `outcome` is what became of its question, `code` what the browser brought.
    fn progress(&mut self, outcome: Option<&Outcome>, code: Option<&Base64Url>) -> LoginProgress {
        let Some(asked) = self.asked else { return LoginProgress::Waiting };
        let (auth_time, method, proof) = match outcome {
            None => return LoginProgress::Asked,
            Some(Outcome::Decided { decision: Decision::Approve, auth_time, method, proof: Some(proof) }) => {
                (*auth_time, method.clone(), proof)
            }
            Some(Outcome::Decided { .. }) => return self.over(LoginProgress::Denied),
            Some(Outcome::Refused { code, .. }) => return self.over(LoginProgress::Refused(*code)),
            Some(_) => return self.over(LoginProgress::Expired),
        };
        let Some(remember) = self.is_tied(proof, code) else {
            return match code {
                None => LoginProgress::AwaitsCode,
                Some(_) => self.over(LoginProgress::Over),
            };
        };
        let request_id = self.prepared.request_id;
        let by_code = matches!(proof, LoginProof::SameDevice { .. });
        let finished = code.filter(|_| by_code).map(|code| LoginFinished { request_id, code: code.clone() });
        let remembered = self.browser.as_ref().filter(|_| remember).map(|proof| proof.key.clone());
        self.over(LoginProgress::LoggedIn(LoggedIn {
            connection_id: asked.connection_id,
            request_id,
            auth_time,
            method,
            level: level(proof),
            member: asked.member,
            remembered,
            finished,
        }))
    }

    /// Whether the yes is one for the browser that asks now, and whether that browser is to be remembered.
    fn is_tied(&self, proof: &LoginProof, code: Option<&Base64Url>) -> Option<bool> {
        match proof {
            LoginProof::SameDevice { code_hash, remember } => {
                let brought = Base64Url::new(h256(code?.as_bytes()));
                (brought == *code_hash).then_some(*remember)
            }
            LoginProof::KnownBrowser { browser_key } => {
                (self.browser.as_ref().map(|proof| &proof.key) == Some(browser_key)).then_some(false)
            }
            LoginProof::Number { remember } => self.number.map(|_| *remember),
        }
    }

    fn over(&mut self, end: LoginProgress) -> LoginProgress {
        self.is_over = true;
        end
    }
}

fn level(proof: &LoginProof) -> LoginLevel {
    match proof {
        LoginProof::SameDevice { .. } => LoginLevel::SameDevice,
        LoginProof::KnownBrowser { .. } => LoginLevel::KnownBrowser,
        LoginProof::Number { .. } => LoginLevel::Number,
    }
}

#[cfg(test)]
mod tests;
