//! Tokens of the HTTP API for enrolled apps (spec 2.16): issued at the word of the app's identity key, taken once, with a
//! proof by that key, for the one body that they name. Whatever is wrong with a request, and whether or not there is such a
//! member, its caller learns the same.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use crate::renewal::{NONCE_BYTES, is_timely};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use vettid_core::action::{self, Action, Call, Grant};
use vettid_crypto::action_token;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::signature::{self, Context};
use vettid_store::action::Spent;
use vettid_store::audit::{Act, Actor};
use vettid_wire::action::{ActionClaims, ActionGranted, ActionRequest};
use vettid_wire::digest::Digest;
use vettid_wire::id::MemberId;
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::time::Timestamp;

/// The header of a proof (RFC 9449).
const PROOF: &str = "dpop";

/// A request that its token carries. It is not spent yet: that happens in the transaction of the act.
#[derive(Debug)]
pub(crate) struct Acting<T> {
    /// The token, to be spent.
    pub(crate) spent: Spent,
    /// The body.
    pub(crate) request: T,
}

impl ControlPlane {
    /// Gives the member's app a token for one operation. `received` is the body as it came: the signature is over that.
    pub(crate) async fn grant_action(&self, received: Value) -> Result<ActionGranted, ApiError> {
        let request: ActionRequest = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        let action = Action::named(&request.action).ok_or(ApiError::InvalidRequest)?;
        if !NONCE_BYTES.contains(&request.nonce.as_bytes().len()) {
            return Err(ApiError::InvalidRequest);
        }
        // The signature is checked first and the ledger is asked in any case, so that a known and an unknown member cost
        // the same.
        let key = VerifyingKey::from_typed(&request.app_key).ok();
        let genuine = key.filter(|key| signature::verify(Context::ServiceRequest, key, &received).is_ok());
        let known = self.app_key(request.guid).await?;
        let now = self.now();
        let acts =
            known.as_ref() == Some(&request.app_key) || self.may_look(request.guid, &request.app_key, action).await?;
        let Some(holder) = genuine.filter(|_| acts) else {
            return Err(refused("the key is not that of the member's app"));
        };
        if !is_timely(request.issued_at, now) {
            return Err(refused("signed too early or too late"));
        }
        if !self.nonces.take(holder.fingerprint(), request.nonce.as_bytes(), request.issued_at, now)? {
            return Err(refused("repeated"));
        }
        self.issue(&request, action, &holder, now).await
    }

    async fn issue(
        &self,
        request: &ActionRequest,
        action: Action,
        holder: &VerifyingKey,
        now: Timestamp,
    ) -> Result<ActionGranted, ApiError> {
        let grant = Grant {
            origin: &self.public_url,
            guid: request.guid,
            holder,
            action,
            op_id: request.op_id,
            req_hash: request.req_hash,
            jti: self.event_id(),
        };
        let claims = grant.claims(now);
        let token = action_token::sign(&claims, &self.member_keys.action_signing);
        let token = token.map_err(|error| ApiError::internal(&error))?;
        let act = Act::ActionGranted { token: claims.jti, action: claims.action };
        self.ledger.note(&self.entry(Actor::Member(request.guid), act)).await?;
        Ok(ActionGranted {
            token,
            endpoint: action.endpoint().to_owned(),
            nonce: self.proof_nonces.issue(now),
            expires_at: seconds(claims.exp),
        })
    }

    /// The device that decides about a fresh recovery sees how it stands, and nothing else.
    async fn may_look(&self, guid: MemberId, key: &TypedKey, action: Action) -> Result<bool, ApiError> {
        Ok(action == Action::BackupStatus && self.decides(guid, key).await?)
    }

    /// The identity key of the app that acts for this member.
    pub(crate) async fn app_key(&self, guid: MemberId) -> Result<Option<TypedKey>, ApiError> {
        Ok(self.ledger.app(guid).await?.map(|app| app.key))
    }

    /// Checks token and proof of a request and reads its body.
    pub(crate) async fn acting<T: DeserializeOwned>(
        &self,
        action: Action,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Acting<T>, ApiError> {
        let spent = match self.carried(action, headers, body).await? {
            Ok(spent) => spent,
            Err(reason) => {
                tracing::info!(%reason, action = action.name(), "token refused");
                return Err(ApiError::Unproven(self.proof_nonces.issue(self.now())));
            }
        };
        let value = json::parse_large(body).map_err(|_| ApiError::InvalidRequest)?;
        let request = json::from_value(value).map_err(|_| ApiError::InvalidRequest)?;
        Ok(Acting { spent, request })
    }

    async fn carried(
        &self,
        action: Action,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Result<Spent, Refused>, ApiError> {
        let now = self.now();
        let (claims, holder) = match self.read(action, headers, body, now) {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        // A key that was replaced since the token was issued does not act any more.
        let known = self.app_key(claims.sub).await?;
        if known.as_ref() != Some(&holder.typed()) && !self.may_look(claims.sub, &holder.typed(), action).await? {
            return Ok(Err(Refused::OtherApp));
        }
        Ok(Ok(Spent {
            jti: claims.jti,
            guid: claims.sub,
            op_id: claims.op_id,
            req_hash: claims.req_hash,
            expires_at: seconds(claims.exp),
            action: claims.action,
            at: now,
        }))
    }

    fn read(
        &self,
        action: Action,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(ActionClaims, VerifyingKey), Refused> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Refused::Missing);
        let token = text(header::AUTHORIZATION.as_str())?.strip_prefix("DPoP ").ok_or(Refused::Missing)?;
        if headers.get_all(PROOF).iter().count() != 1 {
            return Err(Refused::Missing);
        }
        let claims = action_token::open(token, &self.member_keys.action_signing.verifying_key())?;
        let (proof, holder) = action_token::open_proof(text(PROOF)?)?;
        let call = Call { origin: &self.public_url, action, body_hash: Digest::from_bytes(h256(body)), token };
        action::check(&call, &claims, (&proof, &holder), now)?;
        if !self.proof_nonces.takes(&proof.nonce, now) {
            return Err(Refused::Nonce);
        }
        let signed_at = seconds(proof.iat);
        match self.nonces.take(holder.fingerprint(), proof.jti.as_bytes(), signed_at, now) {
            Ok(true) => Ok((claims, holder)),
            Ok(false) => Err(Refused::Repeated),
            Err(_) => Err(Refused::Crowded),
        }
    }
}

/// Why a token did not carry a request. Its caller learns nothing of it.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no token, or not exactly one proof")]
    Missing,
    #[error(transparent)]
    NotGenuine(#[from] action_token::NotGenuine),
    #[error(transparent)]
    Rule(#[from] action::Refused),
    #[error("the proof does not quote a nonce of this run")]
    Nonce,
    #[error("the proof was used before")]
    Repeated,
    #[error("too many proofs at a time")]
    Crowded,
    #[error("the app is not the member's any more")]
    OtherApp,
}

fn refused(reason: &'static str) -> ApiError {
    tracing::info!(reason, "no token for an operation");
    ApiError::Unauthorized
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds.saturating_mul(1000))
}
