//! What a member's app asks of services about its credentials, behind a port, and the one way to act there: a token for one
//! operation, used with a proof by the app's key (spec 2.16). Must never send the same proof twice.

use crate::clock::Clock;
use crate::random;
use crate::services::{ServicesAddress, ServicesError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use vettid_core::action::{Action, METHOD};
use vettid_crypto::action_token::{prove, token_hash};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_wire::action::{ActionGranted, ActionRequest, ProofClaims};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::digest::Digest;
use vettid_wire::id::{MemberId, OperationId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::recovery::{
    AskRecoverySalt, DecideRecovery, EnterVault, RecoverCredentials, RecoveredCredentials, RecoveryDecided,
    RecoverySaltAnswer, VaultEntrance,
};
use vettid_wire::time::Timestamp;

/// One operation under its token.
#[derive(Debug, Clone, Copy)]
pub struct ActionCall<'a> {
    /// Path of the endpoint.
    pub endpoint: &'a str,
    /// For `Authorization: DPoP …`. Never log it.
    pub token: &'a str,
    /// For the header `DPoP`.
    pub proof: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// The part of services that concerns a member's credentials.
pub trait MemberApi: Send + Sync {
    /// Asks for a token (`POST /v1/actions`).
    ///
    /// # Errors
    /// [`ServicesError`].
    fn grant(
        &self,
        at: ServicesAddress<'_>,
        request: &ActionRequest,
    ) -> impl Future<Output = Result<ActionGranted, ServicesError>> + Send;

    /// Acts with a token; the body of the answer.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn act(
        &self,
        at: ServicesAddress<'_>,
        call: ActionCall<'_>,
    ) -> impl Future<Output = Result<Vec<u8>, ServicesError>> + Send;

    /// Asks for the salt behind a code of a recovery.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn recovery_salt(
        &self,
        at: ServicesAddress<'_>,
        asked: &AskRecoverySalt,
    ) -> impl Future<Output = Result<RecoverySaltAnswer, ServicesError>> + Send;

    /// Tries to recover, which uses the code up.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn recover(
        &self,
        at: ServicesAddress<'_>,
        request: &RecoverCredentials,
    ) -> impl Future<Output = Result<RecoveredCredentials, ServicesError>> + Send;

    /// Asks for another way into the vault, for a device whose recovery was taken.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn enter_vault(
        &self,
        at: ServicesAddress<'_>,
        request: &EnterVault,
    ) -> impl Future<Output = Result<VaultEntrance, ServicesError>> + Send;

    /// Says what this device, as the old one, thinks of a recovery.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn decide_recovery(
        &self,
        at: ServicesAddress<'_>,
        request: &DecideRecovery,
    ) -> impl Future<Output = Result<RecoveryDecided, ServicesError>> + Send;
}

/// Why an operation at services did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Services refused, or cannot be reached.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// A request of our own cannot be written.
    #[error("the request cannot be written: {0}")]
    Form(#[from] JsonError),
    /// A request of our own cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] SignatureError),
}

/// The app as services know it.
pub(crate) struct Acting<'a> {
    pub(crate) at: ServicesAddress<'a>,
    pub(crate) guid: MemberId,
    pub(crate) key: &'a SigningKey,
    pub(crate) rng: random::SystemRandom,
}

impl Acting<'_> {
    /// Carries out one operation.
    pub(crate) async fn act<R: DeserializeOwned>(
        &mut self,
        services: &impl MemberApi,
        clock: &impl Clock,
        action: Action,
        body: &(impl Serialize + Sync),
    ) -> Result<R, ActionError> {
        let op_id = OperationId::v7(clock.now(), random::bytes(&mut self.rng));
        self.act_again(services, clock, (action, op_id), body).await
    }

    /// Carries out one operation that has its id already: the same over retries.
    pub(crate) async fn act_again<R: DeserializeOwned>(
        &mut self,
        services: &impl MemberApi,
        clock: &impl Clock,
        (action, op_id): (Action, OperationId),
        body: &(impl Serialize + Sync),
    ) -> Result<R, ActionError> {
        let body = json::canonical(body)?;
        let request = self.request(action, op_id, &body, clock.now())?;
        let granted = services.grant(self.at, &request).await?;
        let proof = self.proof(action, &granted, clock.now())?;
        let call = ActionCall { endpoint: action.endpoint(), token: &granted.token, proof: &proof, body: &body };
        let answer = services.act(self.at, call).await?;
        Ok(json::read(&answer).map_err(|error| ServicesError::Unreadable(error.into()))?)
    }

    fn request(
        &mut self,
        action: Action,
        op_id: OperationId,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ActionRequest, ActionError> {
        let mut request = ActionRequest {
            guid: self.guid,
            app_key: self.key.verifying_key().typed(),
            action: action.name().to_owned(),
            op_id,
            req_hash: Digest::from_bytes(h256(body)),
            issued_at: now,
            nonce: Base64Url::new(random::bytes::<16>(&mut self.rng)),
            key_id: self.key.key_id(),
            signature: Base64::default(),
        };
        request.signature = signature::sign(Context::ServiceRequest, self.key, &request)?;
        Ok(request)
    }

    fn proof(&mut self, action: Action, granted: &ActionGranted, now: Timestamp) -> Result<String, ActionError> {
        let claims = ProofClaims {
            htm: METHOD.to_owned(),
            htu: format!("{}{}", self.at.url.trim_end_matches('/'), action.endpoint()),
            iat: now.unix_seconds(),
            jti: Base64Url::new(random::bytes::<16>(&mut self.rng)),
            ath: token_hash(&granted.token),
            nonce: granted.nonce.clone(),
        };
        Ok(prove(&claims, self.key)?)
    }
}
