//! What the vault of a member makes of logins, by the steps that ship.

use super::site::{Answer, Site};
use crate::world::member::{Asked, Member, Service};
use vettid_core::login::{self, Known, Login, Opened};
use vettid_crypto::device::DeviceSigner;
use vettid_nats::clock;
use vettid_testkit::authenticator::SoftAuthenticator;
use vettid_wire::auth::{AuthResponse, Decision};
use vettid_wire::base64::Base64;
use vettid_wire::json;
use vettid_wire::login::{BrowserKeyKind, KnownBrowser, LoginFinished, LoginLink, LoginOpened};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Decide;

use crate::world::member::rng;

/// A vault: the links that its owner opened, and the browsers that the owner made known.
#[derive(Default)]
pub(crate) struct Vault {
    opened: Vec<Opened>,
    pub(crate) browsers: Vec<KnownBrowser>,
    login: Option<Login>,
}

/// The link that a page shows.
pub(crate) fn link_of(shown: &Answer) -> String {
    let link = shown.text.split("<code>").nth(1).unwrap_or_else(|| panic!("no link in {shown:?}"));
    link.split("</code>").next().unwrap().replace("&amp;", "&")
}

impl Vault {
    /// The owner opens the link of a page; the service is told.
    pub(crate) async fn open(&mut self, service: &mut Service, link: &str, other_device: bool) {
        let link = LoginLink::read(link).unwrap();
        let (login_id, origin, expires_at) = (link.login_id, link.origin, link.expires_at);
        self.opened.push(Opened { login_id, origin, other_device, expires_at });
        service.send("login.opened", LoginOpened { login_id, other_device }, None).await;
    }

    /// The owner says yes to whatever the vault lets through; gives the address for the browser of this device.
    pub(crate) async fn answer(
        &mut self,
        service: &mut Service,
        asked: &Asked,
        remember: bool,
    ) -> Result<Option<String>, RefusalCode> {
        let (challenge, now) = (asked.login(), clock::now());
        let opened = challenge.link.as_ref().and_then(|link| self.opened.iter().find(|o| o.login_id == link.login_id));
        let known = Known { opened, browsers: &self.browsers, allow_numbers: true };
        let level = match login::assess(now, &challenge, known) {
            Ok(level) => level,
            Err(code) => {
                service.refuse(asked, "auth.challenge", code).await;
                return Err(code);
            }
        };
        let mut login = Login::begin(now, &mut rng(), &challenge, level);
        let (request_id, decision) = (challenge.request_id, Decision::Approve);
        let yes = Decide { request_id, decision, number: None, remember, shown: None, fields: vec![] };
        let decided = login.decide(now, &mut rng(), &yes)?;
        let right = service.response(&challenge, Decision::Approve);
        let response = AuthResponse { method: decided.method, proof: login.proof(), ..right };
        let pairwise = service.pairwise_again();
        service.send_login(asked, &response, &pairwise).await;
        self.login = Some(login);
        Ok(decided.return_to)
    }

    /// The service learned the code: the browser is known from now on, if the owner wanted that.
    pub(crate) async fn finished(&mut self, member: &mut Member, service: &mut Service) {
        let told = member.next_event(service, "login.finished").await;
        let finished: LoginFinished = json::from_value(told.body).unwrap();
        let known = self.login.as_mut().unwrap().finish(clock::now(), &finished).unwrap();
        known.into_iter().for_each(|browser| login::remember(&mut self.browsers, browser));
    }
}

/// The login and the code in an address that an app printed.
pub(crate) fn brought(site: &Site, address: &str) -> (String, String) {
    let fragment = address.strip_prefix(&format!("{}/login/return#login=", site.issuer)).unwrap();
    let (login, code) = fragment.split_once("&code=").unwrap();
    (login.to_owned(), code.to_owned())
}

/// What the script of a page sends when an authenticator was used at this site for the login of a page.
pub(crate) fn used(of: &mut SoftAuthenticator, site: &str, to_sign: &str) -> [(&'static str, String); 5] {
    let (assertion, signature) = of.get(site, to_sign).unwrap();
    [
        ("browser_key", of.public_key().to_string()),
        ("signature", Base64::new(signature).to_string()),
        ("credential_id", assertion.credential_id.to_string()),
        ("authenticator_data", assertion.authenticator_data.to_string()),
        ("client_data_json", assertion.client_data_json.to_string()),
    ]
}

/// What a browser shows at a login of this site.
pub(crate) enum Key {
    /// Its own key.
    Own(DeviceSigner),
    /// That of an authenticator.
    Authenticator(SoftAuthenticator),
}

impl Key {
    pub(crate) fn random(kind: BrowserKeyKind) -> Self {
        match kind {
            BrowserKeyKind::Webcrypto => Self::Own(DeviceSigner::random(&mut rng()).unwrap()),
            BrowserKeyKind::Webauthn => Self::Authenticator(SoftAuthenticator::random(&mut rng()).unwrap()),
        }
    }

    /// What the script sends.
    pub(crate) fn shown(&mut self, site: &str, to_sign: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Own(key) => shown_key(key, to_sign).into(),
            Self::Authenticator(authenticator) => used(authenticator, site, to_sign).into(),
        }
    }
}

/// Fields as they are sent.
pub(crate) fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// What the script of a page sends to show a key.
pub(crate) fn shown_key(key: &DeviceSigner, to_sign: &str) -> [(&'static str, String); 2] {
    let signature = Base64::new(key.sign(to_sign.as_bytes()).unwrap().to_vec());
    [("browser_key", key.public_key().unwrap().to_string()), ("signature", signature.to_string())]
}
