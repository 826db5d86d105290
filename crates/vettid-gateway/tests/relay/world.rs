//! The real service with its waiting pages, and members' vaults, both with the steps that ship. Nothing here decides anything.

use rand::rngs::StdRng;
use vettid_core::channel::{Channel, Keys, in_reply_to};
use vettid_core::login::{self, Known, Login, Opened};
use vettid_crypto::authorisation::Answerer;
use vettid_crypto::device::DeviceSigner;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{Draft, VerifiedKeyRecord, build, kem_key};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_gateway::login::{Begun, Desk, LoginProgress, Rules, Verifier, WaitingPage};
use vettid_gateway::question::{Answer, Ask, Asker, BrowserProof, Judgement, Kind, LoginRequest, Outcome, Question};
use vettid_testkit::authenticator::SoftAuthenticator;
use vettid_wire::auth::{AuthChallenge, AuthResponse, Decision, Display};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{ConnectionId, Fingerprint, LoginId, MemberId, RequestId, ServiceId, SessionKeyId};
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::key_record::KeyRole;
use vettid_wire::login::{BrowserKeyKind, KnownBrowser, LoginLink, LoginOpened};
use vettid_wire::request::Decide;
use vettid_wire::time::Timestamp;

pub(crate) const ORIGIN: &str = "https://shop.example";

pub(crate) fn service_id() -> ServiceId {
    "demo-shop".parse().unwrap()
}

/// The service.
pub(crate) struct Service {
    pub(crate) desk: Desk,
    signing: SigningKey,
    key_record: VerifiedKeyRecord,
}

impl Service {
    pub(crate) fn new(rng: &mut StdRng, numbers: bool, key_kind: BrowserKeyKind) -> Self {
        let origins = vec![ORIGIN.to_owned()];
        let rules = Rules { service_id: service_id(), origins, link_page: None, numbers, key_kind, most: 64 };
        let (signing, own) = (SigningKey::random(rng), KemSecretKey::generate(Suite::X25519, rng).unwrap());
        let (issued_at, expires_at) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(1_000_000));
        let draft = Draft {
            role: KeyRole::Service,
            guid: MemberId::from_bytes([8; 16]),
            signing_key: signing.verifying_key(),
            device_key: None,
            kem_keys: vec![kem_key(&own.public_key(), issued_at, expires_at)],
            suites: vec![Suite::X25519],
            issued_at,
            expires_at,
        };
        Self { desk: Desk::new(rules), key_record: build(draft, &signing, None).unwrap(), signing }
    }

    pub(crate) fn begin(&mut self, now: Timestamp, rng: &mut StdRng) -> Begun {
        let display = Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() };
        let page = WaitingPage { origin: ORIGIN.into(), return_path: "/login/return".into(), display };
        self.desk.begin(now, rng, page).unwrap()
    }

    /// How far a login is for whoever holds the verifier; `None` if it is none of that browser.
    pub(crate) fn finish(
        &mut self,
        now: Timestamp,
        (id, verifier): (LoginId, &Verifier),
        outcome: Option<&Outcome>,
        code: Option<&Base64Url>,
    ) -> Option<LoginProgress> {
        self.desk.progress(now, (id, verifier), outcome, code).ok()
    }
}

/// What a browser shows at a login.
pub(crate) enum Key {
    /// Its own key.
    Own(DeviceSigner),
    /// That of an authenticator.
    Authenticator(SoftAuthenticator),
}

impl Key {
    pub(crate) fn random(rng: &mut StdRng, kind: BrowserKeyKind) -> Self {
        match kind {
            BrowserKeyKind::Webcrypto => Self::Own(DeviceSigner::random(rng).unwrap()),
            BrowserKeyKind::Webauthn => Self::Authenticator(SoftAuthenticator::random(rng).unwrap()),
        }
    }

    pub(crate) fn public_key(&self) -> TypedKey {
        match self {
            Self::Own(signer) => signer.public_key().unwrap(),
            Self::Authenticator(authenticator) => authenticator.public_key(),
        }
    }

    /// A page of this site has it say its word for a login.
    pub(crate) fn proof(&mut self, origin: &str, text: &str) -> BrowserProof {
        let key = self.public_key();
        match self {
            Self::Own(signer) => {
                // A key of a browser is one for each site: another site has another one.
                let signature =
                    if origin == ORIGIN { signer.sign(text.as_bytes()).unwrap().to_vec() } else { vec![7; 64] };
                BrowserProof { key, signature, assertion: None }
            }
            Self::Authenticator(authenticator) => {
                let (assertion, signature) = authenticator.get(origin, text).unwrap();
                BrowserProof { key, signature, assertion: Some(assertion) }
            }
        }
    }
}

/// A member: vault, app, and the browser of the device.
pub(crate) struct Member {
    pub(crate) id: ConnectionId,
    pub(crate) guid: MemberId,
    pub(crate) pairwise: SigningKey,
    service: Channel,
    pub(crate) opened: Vec<Opened>,
    pub(crate) browsers: Vec<KnownBrowser>,
    logins: Vec<(RequestId, Login)>,
}

/// What a member's decision led to.
pub(crate) struct Said {
    pub(crate) question: Question,
    pub(crate) response: AuthResponse,
    /// The code, in the hands of the browser of the member's own device.
    pub(crate) code: Option<Base64Url>,
}

impl Member {
    pub(crate) fn new(rng: &mut StdRng, number: u8) -> Self {
        let (a, b) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([number; 32]));
        let own_kem = KemSecretKey::generate(Suite::X25519, rng).unwrap();
        let peer_kem = KemSecretKey::generate(Suite::X25519, rng).unwrap().public_key().typed();
        let service = Channel::new(Keys {
            key_id: SessionKeyId::from_bytes([number; 16]),
            own: a,
            peer: b,
            own_incarnation: 1,
            peer_incarnation: 1,
            epoch_key: Secret32::from_bytes([number; 32]),
            own_kem,
            peer_kem,
        });
        Self {
            id: ConnectionId::from_bytes([number; 16]),
            guid: MemberId::from_bytes([number; 16]),
            pairwise: SigningKey::random(rng),
            service,
            opened: vec![],
            browsers: vec![],
            logins: vec![],
        }
    }

    pub(crate) fn by(&self) -> (ConnectionId, MemberId) {
        (self.id, self.guid)
    }

    /// The member opens a link; the app takes those of the service's own site alone.
    pub(crate) fn open(&mut self, now: Timestamp, text: &str, other_device: bool) -> Option<LoginOpened> {
        let link = LoginLink::read(text).ok()?;
        if link.origin != ORIGIN || link.service_id != service_id() || link.expires_at <= now {
            return None;
        }
        let (login_id, origin, expires_at) = (link.login_id, link.origin, link.expires_at);
        self.opened.retain(|opened| opened.login_id != login_id);
        self.opened.push(Opened { login_id, origin, other_device, expires_at });
        Some(LoginOpened { login_id, other_device })
    }

    /// The service asks; the member says yes to whatever the vault lets through, and wants every browser remembered.
    pub(crate) fn approve(
        &mut self,
        now: Timestamp,
        rng: &mut StdRng,
        service: &Service,
        request: LoginRequest,
        told: Option<u8>,
    ) -> Option<Said> {
        let question = self.question(now, rng, service, request);
        let Kind::Login(challenge) = question.kind.clone() else { panic!("a login") };
        let opened = challenge.link.as_ref().and_then(|link| self.opened.iter().find(|o| o.login_id == link.login_id));
        let known = Known { opened, browsers: &self.browsers, allow_numbers: true };
        let level = login::assess(now, &challenge, known).ok()?;
        let mut login = Login::begin(now, rng, &challenge, level);
        let decide = Decide {
            request_id: challenge.request_id,
            decision: Decision::Approve,
            number: told,
            remember: true,
            shown: None,
            fields: vec![],
        };
        let at = now.plus_ms(11_000);
        if told.is_some() {
            login.permit(now);
        }
        let decided = login.decide(at, rng, &decide).ok()?;
        decided.known.into_iter().for_each(|browser| login::remember(&mut self.browsers, browser));
        let code = decided.return_to.map(|to| {
            let (place, code) = to.rsplit_once("&code=").unwrap();
            assert!(place.starts_with(&format!("{ORIGIN}/login/return#login=")), "the code stays with the site");
            code.parse().unwrap()
        });
        let response = self.response(at, &challenge, &login, decided.decision);
        self.logins.push((challenge.request_id, login));
        Some(Said { question, response, code })
    }

    fn question(&mut self, now: Timestamp, rng: &mut StdRng, service: &Service, request: LoginRequest) -> Question {
        let (service_id, hash) = (service_id(), Base64Url::new([9; 32]));
        let asker = Asker {
            service_id: &service_id,
            signing: &service.signing,
            key_record: service.key_record.record(),
            member: self.guid,
            connection_id: self.id,
            contract_hash: &hash,
        };
        Question::seal(now, rng, asker, &mut self.service, Ask::Login(request)).unwrap()
    }

    fn response(&self, at: Timestamp, challenge: &AuthChallenge, login: &Login, decision: Decision) -> AuthResponse {
        AuthResponse {
            request_id: challenge.request_id,
            service_id: challenge.service_id.clone(),
            origin: challenge.origin.clone(),
            nonce: challenge.nonce.clone(),
            session_hash: challenge.session_hash.clone(),
            decision,
            connection_id: self.id,
            auth_time: at,
            method: vec!["user".into()],
            proof: login.proof(),
            issued_at: at,
            expires_at: challenge.expires_at,
            key_id: self.pairwise.key_id(),
            signature: Base64::default(),
        }
    }

    /// The service learned the code: the vault is told, and may know the browser from now on.
    pub(crate) fn finished(&mut self, now: Timestamp, finished: &vettid_wire::login::LoginFinished) {
        for (request, login) in &mut self.logins {
            if *request == finished.request_id
                && let Ok(Some(browser)) = login.finish(now, finished)
            {
                login::remember(&mut self.browsers, browser);
            }
        }
    }
}

/// What the service makes of an answer to a question, under the key of the connection that the question was asked on.
pub(crate) fn judge(now: Timestamp, question: &Question, response: &AuthResponse, of: &Member) -> Option<Outcome> {
    let signed = signature::sign_object(Context::AuthResponse, &of.pairwise, response).unwrap();
    let answer = Answer::Login(Box::new(json::from_value(signed).unwrap()));
    let Kind::Login(challenge) = &question.kind else { panic!("a login") };
    let to = in_reply_to(question.event_id, &serde_json::to_value(challenge).unwrap()).unwrap();
    let answerer = Answerer { member: Fingerprint::from_bytes([1; 32]), pairwise: of.pairwise.verifying_key() };
    match question.judge(now, answer, Some(&to), &answerer) {
        Ok(Judgement::Done(outcome)) => Some(outcome),
        Ok(Judgement::Pending(_)) | Err(_) => None,
    }
}
