//! Cutting off users at the word of the vault that minted them: a request on the vault's lane to services, sealed to
//! the key of services and signed by the vault's identity. A request that is not genuine gets no answer.

use crate::control_plane::ControlPlane;
use crate::deployment::VaultAccounts;
use crate::http::error::ApiError;
use vettid_crypto::envelope::{self, Binding};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::UserPublic;
use vettid_nats::connection::Incoming;
use vettid_store::audit::{Act, Actor};
use vettid_store::revocation::Revocation;
use vettid_store::vault::VaultKeys;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::enrolment::{RevokeUser, UserRevoked};
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{self, EventRow as _};
use vettid_wire::id::MemberId;
use vettid_wire::json;
use vettid_wire::subject::Subject;

/// Why a request of a vault has no effect. Its sender learns nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("not an event for services")]
    Unsupported,
    #[error("no such vault")]
    UnknownVault,
    #[error("not sealed and signed by this vault")]
    Undecryptable,
    #[error("malformed")]
    Malformed,
    #[error("not an account of this member")]
    ForeignAccount,
    #[error("a time in the future")]
    InFuture,
    #[error("not carried out")]
    Failed,
}

impl ControlPlane {
    /// Answers one request of a vault.
    pub(crate) async fn serve_vault(&self, incoming: Incoming) {
        match self.revoke_user(&incoming.subject, &incoming.payload).await {
            Ok(revoked) => answer(incoming, &revoked).await,
            Err(reason) => tracing::warn!(%reason, "request of a vault refused"),
        }
    }

    async fn revoke_user(&self, subject: &Subject, payload: &[u8]) -> Result<UserRevoked, Refused> {
        let Subject::ForServices(guid, event_type) = subject else {
            return Err(Refused::Unsupported);
        };
        if event_type.as_str() != event::RevokeUser::ROW.name || payload.len() > 2 * event::RevokeUser::ROW.cap_bytes {
            return Err(Refused::Unsupported);
        }
        let vault = self.ledger.vault(*guid).await.map_err(|_| Refused::Failed)?;
        let keys = vault.and_then(|vault| vault.keys).ok_or(Refused::UnknownVault)?;
        let request = self.open(subject, &keys, payload)?;
        self.revoke(*guid, &keys, &request).await?;
        Ok(UserRevoked { user_nkey: request.user_nkey })
    }

    fn open(&self, subject: &Subject, keys: &VaultKeys, payload: &[u8]) -> Result<RevokeUser, Refused> {
        let envelope = Envelope::read(payload).map_err(|_| Refused::Malformed)?;
        let signer = VerifyingKey::from_typed(&keys.deployed.identity_key).map_err(|_| Refused::Undecryptable)?;
        if envelope.event_type.as_str() != event::RevokeUser::ROW.name {
            return Err(Refused::Malformed);
        }
        let (sender, recipient) = (signer.fingerprint(), self.keys.command_signing.verifying_key().fingerprint());
        let binding = Binding { subject: &subject.to_string(), sender: &sender, recipient: &recipient };
        let body = envelope::open_signed(&self.keys.envelopes, &signer, &binding, &envelope);
        let mut body = body.map_err(|_| Refused::Undecryptable)?;
        body.retain(|name, _| name != "event_id" && name != "recipient_fp");
        json::from_value(body.into()).map_err(|_| Refused::Malformed)
    }

    /// Records the revocation, then makes the broker enforce it.
    async fn revoke(&self, guid: MemberId, keys: &VaultKeys, request: &RevokeUser) -> Result<(), Refused> {
        let accounts = VaultAccounts::read(keys).map_err(|_| Refused::Failed)?;
        let user: UserPublic = request.user_nkey.parse().map_err(|_| Refused::Malformed)?;
        if ![accounts.owner.as_str(), accounts.message.as_str()].contains(&request.account_nkey.as_str()) {
            return Err(Refused::ForeignAccount);
        }
        if request.revoked_at.since_ms(self.now()) > MAX_SKEW_MS {
            return Err(Refused::InFuture);
        }
        let revocation = Revocation {
            account_nkey: request.account_nkey.clone(),
            user_nkey: user.to_string(),
            revoked_at: request.revoked_at,
        };
        let act = Act::UserRevoked { account_nkey: revocation.account_nkey.clone(), user_nkey: user.to_string() };
        let recorded = self.ledger.revoke(&revocation, &self.entry(Actor::Vault(guid), act)).await;
        recorded.map_err(ApiError::from).map_err(|_| Refused::Failed)?;
        self.push_vault(keys).await.map_err(|_| Refused::Failed)
    }
}

async fn answer(incoming: Incoming, revoked: &UserRevoked) {
    let Some(reply) = incoming.reply else { return };
    match json::canonical(revoked) {
        Ok(bytes) => {
            if let Err(error) = reply.send(bytes.into()).await {
                tracing::warn!(%error, "a vault's request was carried out, but the answer could not be sent");
            }
        }
        Err(error) => tracing::error!(%error, "an answer has no canonical form"),
    }
}
