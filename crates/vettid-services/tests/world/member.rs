//! A member at the portal, and the member's app on its way to the vault.

use super::{Answer, World};
use std::sync::Arc;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::enrolment::{
    AccountCreated, Authenticate, Authenticated, CreateAccount, EnrolmentStarted, NatsBootstrap, NatsBootstrapped,
    RenewBootstrap, Scan, Scanned,
};
use vettid_wire::handshake::Invitation;
use vettid_wire::id::{EventId, MemberId};

/// A member with an account.
pub(crate) struct Member {
    pub(crate) guid: MemberId,
    pub(crate) portal_token: String,
}

impl Member {
    pub(crate) async fn open(world: &World, name: &str) -> Self {
        let answer = world.post("/v1/accounts", None, &CreateAccount { name: name.to_owned() }).await;
        let AccountCreated { guid, portal_token } = answer.ok();
        Self { guid, portal_token }
    }

    pub(crate) async fn start(&self, world: &World) -> Answer {
        world.post("/v1/vault/enroll/start", Some(&self.portal_token), &serde_json::json!({})).await
    }

    /// A new code, and an app that has read it.
    pub(crate) async fn app(&self, world: &World) -> App {
        App::read(self.start(world).await.ok())
    }
}

/// An app that has read a code of the test's host: the one-time token, and the session in its place.
pub(crate) struct App {
    pub(crate) session_id: EventId,
    pub(crate) token: String,
    pub(crate) key: SigningKey,
    pub(crate) nkey: Arc<UserKey>,
    pub(crate) started: EnrolmentStarted,
}

impl App {
    pub(crate) fn read(started: EnrolmentStarted) -> Self {
        let token = Invitation::read(&started.qr).unwrap().token;
        Self {
            session_id: started.session_id,
            token,
            key: SigningKey::from_seed(&Secret32::from_bytes([7; 32])),
            nkey: Arc::new(vettid_testkit::operator::fresh_key().unwrap()),
            started,
        }
    }

    pub(crate) async fn scan(&self, world: &World) -> Answer {
        world.post("/v1/vault/enroll/scan", None, &Scan { session_id: self.session_id }).await
    }

    /// A genuine proof; tests change it and sign it again or not.
    pub(crate) fn proof(&self, challenge: &Base64Url) -> Authenticate {
        let unsigned = Authenticate {
            session_id: self.session_id,
            token: self.token.clone(),
            app_key: self.key.verifying_key().typed(),
            challenge: challenge.clone(),
            key_id: self.key.key_id(),
            signature: Base64::default(),
        };
        self.sign(unsigned)
    }

    pub(crate) fn sign(&self, proof: Authenticate) -> Authenticate {
        let signature = signature::sign(Context::ServiceRequest, &self.key, &proof).unwrap();
        Authenticate { signature, ..proof }
    }

    pub(crate) async fn send(&self, world: &World, proof: &Authenticate) -> Answer {
        world.post("/v1/vault/enroll/authenticate", None, proof).await
    }

    pub(crate) async fn bootstrap(&self, world: &World, token: &str) -> Answer {
        let request = NatsBootstrap { nkey_pub: self.nkey.public().to_string() };
        world.post("/v1/vault/enroll/nats-bootstrap", Some(token), &request).await
    }

    pub(crate) async fn finalize(&self, world: &World, token: &str) -> Answer {
        world.post("/v1/vault/enroll/finalize", Some(token), &serde_json::json!({})).await
    }

    /// Scans and authenticates.
    pub(crate) async fn authenticated(&self, world: &World) -> String {
        let Scanned { challenge } = self.scan(world).await.ok();
        let Authenticated { enrolment_token, .. } = self.send(world, &self.proof(&challenge)).await.ok();
        enrolment_token
    }

    /// Goes as far as the broker.
    pub(crate) async fn connected(&self, world: &World) -> (String, NatsBootstrapped) {
        let token = self.authenticated(world).await;
        let bootstrapped = self.bootstrap(world, &token).await.ok();
        (token, bootstrapped)
    }

    /// Uses the credential of the bootstrap.
    pub(crate) async fn open(
        &self,
        world: &World,
        bootstrapped: &NatsBootstrapped,
    ) -> Result<Connection, ConnectError> {
        let identity = MemberIdentity::AppBootstrap(self.session_id.to_string().parse().unwrap());
        let jwt = UserJwt::unchecked(bootstrapped.nats_jwt.clone());
        let credential =
            Credential::member(&identity, bootstrapped.guid, self.nkey.clone(), jwt, clock::now()).unwrap();
        Connection::open(&world.endpoint(), credential).await
    }

    /// Asks services for the way back, as the enrolled app.
    pub(crate) async fn connected_again(&self, world: &World, guid: MemberId) -> Answer {
        let unsigned = RenewBootstrap {
            guid,
            app_key: self.key.verifying_key().typed(),
            nkey_pub: self.nkey.public().to_string(),
            issued_at: clock::now(),
            nonce: Base64Url::new(super::action::unique()),
            key_id: self.key.key_id(),
            signature: Base64::default(),
        };
        let signature = signature::sign(Context::ServiceRequest, &self.key, &unsigned).unwrap();
        world.post("/v1/vault/bootstrap", None, &RenewBootstrap { signature, ..unsigned }).await
    }
}
