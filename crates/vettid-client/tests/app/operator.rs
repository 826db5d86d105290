//! The operator's services: the real state machine of an enrolment, and bootstrap credentials.

use crate::broker::ADDRESS;
use crate::services::{Services, services};
use crate::vault::Vault;
use crate::world::{TRUST, TestClock};
use std::sync::{Arc, Mutex};
use vettid_client::random::SystemRandom;
use vettid_client::services::{ServicesAddress, ServicesApi, ServicesError};
use vettid_core::enrolment::{Enrolment, Proof, Refused, Stage};
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::AccountKey;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::signature::{self, Context};
use vettid_wire::enrolment::{
    Authenticate, Authenticated, EnrolmentState, Finalized, NatsBootstrap, NatsBootstrapped, RenewBootstrap, Scan,
    Scanned,
};
use vettid_wire::id::{EventId, MemberId};

#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) inner: Arc<Mutex<Inner>>,
    /// What issues credentials there.
    pub(crate) desk: Services,
    vault: Arc<Mutex<Vault>>,
    pub(crate) clock: TestClock,
}

pub(crate) struct Inner {
    pub(crate) enrolment: Option<Enrolment>,
    bootstrap_signing: AccountKey,
    /// Names of the steps that were asked for, in order.
    pub(crate) steps: Vec<&'static str>,
    /// The answer to this step is lost.
    pub(crate) loses: Option<&'static str>,
    /// Leads to this member's space instead.
    pub(crate) leads_to: Option<MemberId>,
    /// Where the broker is, as services know.
    pub(crate) broker: &'static str,
    /// Refuses the way back with this HTTP status.
    pub(crate) refuses_renewal: Option<u16>,
    /// The seed of the registry's key; without one nobody answers for it.
    pub(crate) registry: Option<u8>,
}

impl Operator {
    pub(crate) fn new(vault: Arc<Mutex<Vault>>, clock: TestClock) -> Self {
        let bootstrap_signing = AccountKey::random(&mut SystemRandom::new().unwrap()).unwrap();
        let inner = Inner {
            enrolment: None,
            bootstrap_signing,
            steps: vec![],
            loses: None,
            leads_to: None,
            broker: ADDRESS,
            refuses_renewal: None,
            registry: Some(1),
        };
        let desk = services(vault.lock().unwrap().guid);
        Self { inner: Arc::new(Mutex::new(inner)), desk, vault, clock }
    }

    /// Starts an enrolment; gives its id and the token for the code.
    pub(crate) fn start(&self, session_id: EventId) -> String {
        let guid = self.vault.lock().unwrap().guid;
        let mut rng = SystemRandom::new().unwrap();
        let (enrolment, token) = Enrolment::start(session_id, guid, self.clock.time(), &mut rng);
        self.inner.lock().unwrap().enrolment = Some(enrolment);
        token.expose()
    }

    /// Takes one step; `step` gives the record as it shall stand and the answer.
    fn step<T>(
        &self,
        name: &'static str,
        at: ServicesAddress<'_>,
        step: impl FnOnce(&Enrolment) -> (Enrolment, Result<T, Refused>),
    ) -> Result<T, ServicesError> {
        assert_eq!((at.url, at.trust), ("https://services.test", TRUST));
        let mut inner = self.inner.lock().unwrap();
        inner.steps.push(name);
        let (next, outcome) = step(inner.enrolment.as_ref().unwrap());
        inner.enrolment = Some(next);
        if inner.loses == Some(name) {
            return Err(ServicesError::Unreachable("lost".into()));
        }
        outcome.map_err(|_| ServicesError::Refused { status: 409 })
    }

    /// A credential for the handshake.
    fn minted(&self, nkey_pub: &str) -> NatsBootstrapped {
        let identity = MemberIdentity::AppBootstrap("phone-1".parse().unwrap());
        let (inner, vault) = (self.inner.lock().unwrap(), self.vault.lock().unwrap());
        let (user, account) = (nkey_pub.parse().unwrap(), vault.account.public());
        let minted = mint::member(&identity, &user, account, &inner.bootstrap_signing, self.clock.time()).unwrap();
        NatsBootstrapped {
            guid: inner.leads_to.unwrap_or(vault.guid),
            nats_endpoint: inner.broker.into(),
            nats_jwt: minted.jwt.as_str().to_owned(),
            expires_at: minted.expires_at,
        }
    }

    fn require_token(&self, enrolment: &Enrolment, token: &SecretBytes) -> Result<(), Refused> {
        let presented = vettid_core::enrolment::BearerToken::presented(str::from_utf8(token.expose()).unwrap());
        if enrolment.token_hash() == Some(presented.hash()) { Ok(()) } else { Err(Refused::FalseProof) }
    }
}

fn kept<T>(enrolment: &Enrolment, outcome: Result<(Enrolment, T), Refused>) -> (Enrolment, Result<T, Refused>) {
    match outcome {
        Ok((next, answer)) => (next, Ok(answer)),
        Err(refused) => (enrolment.clone(), Err(refused)),
    }
}

impl ServicesApi for Operator {
    async fn scan(&self, at: ServicesAddress<'_>, _: &Scan) -> Result<Scanned, ServicesError> {
        let now = self.clock.time();
        self.step("scan", at, |enrolment| {
            let scanned = enrolment.scan(now, &mut SystemRandom::new().unwrap());
            kept(enrolment, scanned.map(|(next, challenge)| (next, Scanned { challenge })))
        })
    }

    async fn authenticate(
        &self,
        at: ServicesAddress<'_>,
        proof: &Authenticate,
    ) -> Result<Authenticated, ServicesError> {
        let now = self.clock.time();
        let key = VerifyingKey::from_typed(&proof.app_key).unwrap();
        let is_signed = signature::verify(Context::ServiceRequest, &key, proof).is_ok();
        let checked =
            Proof { token: &proof.token, challenge: &proof.challenge, app_key: is_signed.then_some(&proof.app_key) };
        self.step("authenticate", at, |enrolment| {
            let attempt = enrolment.authenticate(&checked, now, &mut SystemRandom::new().unwrap());
            let expires_at = attempt.next.expires_at;
            let known = attempt.outcome.map(|token| Authenticated { enrolment_token: token.expose(), expires_at });
            (attempt.next, known)
        })
    }

    async fn nats_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        token: &SecretBytes,
        request: &NatsBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        let (now, answer) = (self.clock.time(), self.minted(&request.nkey_pub));
        self.step("nats-bootstrap", at, |enrolment| {
            let next = self.require_token(enrolment, token).and_then(|()| enrolment.connect(&request.nkey_pub, now));
            kept(enrolment, next.map(|next| (next, answer)))
        })
    }

    async fn finalize(&self, at: ServicesAddress<'_>, token: &SecretBytes) -> Result<Finalized, ServicesError> {
        let now = self.clock.time();
        self.step("finalize", at, |enrolment| {
            let next = self.require_token(enrolment, token).and_then(|()| enrolment.complete(now));
            kept(enrolment, next.map(|next| (next, Finalized { state: EnrolmentState::Completed })))
        })
    }

    async fn renew_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        request: &RenewBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        let key = VerifyingKey::from_typed(&request.app_key).unwrap();
        let is_signed = signature::verify(Context::ServiceRequest, &key, request).is_ok();
        let is_timely = request.issued_at == self.clock.time() && request.nonce.as_bytes().len() >= 16;
        let is_member = request.guid == self.vault.lock().unwrap().guid;
        let known = self.step("renew-bootstrap", at, |enrolment| {
            let is_known = matches!(&enrolment.stage, Stage::Completed { app_key } if *app_key == request.app_key);
            let genuine = is_signed && is_timely && is_member && is_known;
            (enrolment.clone(), if genuine { Ok(()) } else { Err(Refused::FalseProof) })
        });
        let refuses = self.inner.lock().unwrap().refuses_renewal;
        refuses.map_or(known, |status| Err(ServicesError::Refused { status }))?;
        Ok(self.minted(&request.nkey_pub))
    }
}
