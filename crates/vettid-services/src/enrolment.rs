//! The steps of an enrolment over HTTP. The state machine decides (`vettid_core::enrolment`); here the record is read,
//! stored and audited. Whatever is wrong with a step, its caller learns the same.

use crate::control_plane::ControlPlane;
use crate::deployment::VaultAccounts;
use crate::http::error::ApiError;
use serde_json::Value;
use vettid_core::enrolment::{BearerToken, Enrolment, Proof, Refused};
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::signature::{self, Context};
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::{LedgerError, Versioned};
use vettid_wire::enrolment::{
    Authenticate, Authenticated, EnrolmentState, Finalized, NatsBootstrap, NatsBootstrapped, Scan, Scanned,
};
use vettid_wire::id::{DeviceId, EventId, MemberId};
use vettid_wire::json;

/// The device name of an app before the handshake: its enrolment. The vault gives it the name that stays.
fn device(session_id: EventId) -> Result<DeviceId, ApiError> {
    session_id.to_string().parse().map_err(|error| ApiError::internal(&error))
}

fn refused(reason: Refused) -> ApiError {
    tracing::info!(%reason, "enrolment step refused");
    ApiError::EnrolmentRefused
}

impl ControlPlane {
    /// An app has read the code.
    pub(crate) async fn scan(&self, request: &Scan) -> Result<Scanned, ApiError> {
        let kept = self.ledger.enrolment(request.session_id).await?.ok_or(ApiError::EnrolmentRefused)?;
        let (next, challenge) = kept.record.scan(self.now(), &mut self.rng()).map_err(refused)?;
        self.advance(&kept, next, Act::EnrolmentScanned(request.session_id)).await?;
        Ok(Scanned { challenge })
    }

    /// The app proves that it has read the code and holds its own key. `received` is the body as it came: the signature
    /// is over that.
    pub(crate) async fn authenticate(&self, received: Value) -> Result<Authenticated, ApiError> {
        let request: Authenticate = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        // The signature is checked first, so that a known and an unknown session cost the same.
        let key = VerifyingKey::from_typed(&request.app_key).ok();
        let genuine = key.filter(|key| signature::verify(Context::ServiceRequest, key, &received).is_ok());
        let kept = self.ledger.enrolment(request.session_id).await?.ok_or(ApiError::EnrolmentRefused)?;
        let app_key = genuine.map(|_| &request.app_key);
        let proof = Proof { token: &request.token, challenge: &request.challenge, app_key };
        let attempt = kept.record.authenticate(&proof, self.now(), &mut self.rng());
        let expires_at = attempt.next.expires_at;
        let session = request.session_id;
        match attempt.outcome {
            Ok(token) => {
                self.advance(&kept, attempt.next, Act::EnrolmentAuthenticated(session)).await?;
                Ok(Authenticated { enrolment_token: token.expose(), expires_at })
            }
            Err(reason) => {
                if attempt.next != kept.record {
                    self.advance(&kept, attempt.next, Act::EnrolmentProofFalse(session)).await?;
                }
                Err(refused(reason))
            }
        }
    }

    /// Gives the app its credential for the handshake: one hour, the bootstrap subjects, its own NKey.
    pub(crate) async fn bootstrap(
        &self,
        token: &BearerToken,
        request: &NatsBootstrap,
    ) -> Result<NatsBootstrapped, ApiError> {
        let kept = self.of_token(token).await?;
        let user: UserPublic = request.nkey_pub.parse().map_err(|_| ApiError::InvalidRequest)?;
        let next = kept.record.connect(user.as_str(), self.now()).map_err(refused)?;
        let guid = next.guid;
        let session = next.session_id;
        let minted = self.mint_bootstrap(guid, session, &user).await?;
        self.advance(&kept, next, Act::BootstrapIssued(session)).await?;
        Ok(minted)
    }

    /// A credential for the handshake subjects of this member, for the app of this enrolment.
    pub(crate) async fn mint_bootstrap(
        &self,
        guid: MemberId,
        session_id: EventId,
        user: &UserPublic,
    ) -> Result<NatsBootstrapped, ApiError> {
        let vault = self.ledger.vault(guid).await?.and_then(|vault| vault.keys).ok_or(ApiError::EnrolmentRefused)?;
        let accounts = VaultAccounts::read(&vault).map_err(|error| ApiError::internal(&error))?;
        let scoped =
            self.bootstraps.load(guid).map_err(|error| ApiError::internal(&error))?.ok_or(ApiError::Internal)?;
        let identity = MemberIdentity::AppBootstrap(device(session_id)?);
        let minted = mint::member(&identity, user, &accounts.owner, &scoped, self.now());
        let minted = minted.map_err(|error| ApiError::internal(&error))?;
        Ok(NatsBootstrapped {
            guid,
            nats_endpoint: self.broker.address(),
            nats_jwt: minted.jwt.to_string(),
            expires_at: minted.expires_at,
        })
    }

    /// App and vault share keys.
    pub(crate) async fn finalize(&self, token: &BearerToken) -> Result<Finalized, ApiError> {
        let kept = self.of_token(token).await?;
        let next = kept.record.complete(self.now()).map_err(refused)?;
        let session = next.session_id;
        self.advance(&kept, next, Act::EnrolmentCompleted(session)).await?;
        Ok(Finalized { state: EnrolmentState::Completed })
    }

    async fn of_token(&self, token: &BearerToken) -> Result<Versioned<Enrolment>, ApiError> {
        self.ledger.enrolment_of_token(token.hash()).await?.ok_or(ApiError::Unauthorized)
    }

    /// Stores the next state, unless somebody else was faster: then this step was not due any more.
    async fn advance(&self, kept: &Versioned<Enrolment>, next: Enrolment, act: Act) -> Result<(), ApiError> {
        let entry = self.entry(Actor::App(next.session_id), act);
        let next = Versioned { record: next, revision: kept.revision };
        match self.ledger.advance_enrolment(&next, &entry).await {
            Err(LedgerError::Stale) => Err(ApiError::EnrolmentRefused),
            stored => Ok(stored?),
        }
    }
}
