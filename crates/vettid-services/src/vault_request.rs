//! Requests of vaults to services, on the lane of each vault: sealed to the key of services and signed by the vault's identity. A
//! request that is not genuine gets no answer.

use crate::control_plane::ControlPlane;
use serde::Serialize;
use vettid_crypto::envelope::{self, Binding};
use vettid_crypto::identity::VerifyingKey;
use vettid_nats::connection::Incoming;
use vettid_store::vault::VaultKeys;
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{self, EventRow, EventType};
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
    #[error("keys that cannot be this vault's")]
    ForeignKeys,
    #[error("a time in the future")]
    InFuture,
    #[error("not carried out")]
    Failed,
}

/// One request, as it came.
struct Letter<'a> {
    subject: &'a Subject,
    payload: &'a [u8],
    keys: &'a VaultKeys,
}

impl ControlPlane {
    /// Answers one request of a vault.
    pub(crate) async fn serve_vault(&self, incoming: Incoming) {
        match self.carry_out(&incoming.subject, &incoming.payload).await {
            Ok(bytes) => answer(incoming, bytes).await,
            Err(reason) => tracing::warn!(%reason, "request of a vault refused"),
        }
    }

    async fn carry_out(&self, subject: &Subject, payload: &[u8]) -> Result<Vec<u8>, Refused> {
        let Subject::ForServices(guid, event_type) = subject else {
            return Err(Refused::Unsupported);
        };
        let vault = self.ledger.vault(*guid).await.map_err(|_| Refused::Failed)?;
        let keys = vault.and_then(|vault| vault.keys).ok_or(Refused::UnknownVault)?;
        let letter = Letter { subject, payload, keys: &keys };
        self.act(*guid, event_type, &letter).await
    }

    async fn act(&self, guid: MemberId, event_type: &EventType, letter: &Letter<'_>) -> Result<Vec<u8>, Refused> {
        match event_type.as_str() {
            name if name == event::RevokeUser::ROW.name => {
                let request = self.open::<event::RevokeUser>(letter)?;
                spelled(&self.revoke_user(guid, letter.keys, request).await?)
            }
            name if name == event::RotateSigningKeys::ROW.name => {
                let request = self.open::<event::RotateSigningKeys>(letter)?;
                spelled(&self.rotate_signing_keys(guid, request).await?)
            }
            _ => Err(Refused::Unsupported),
        }
    }

    fn open<R: EventRow>(&self, letter: &Letter<'_>) -> Result<R::Request, Refused> {
        if letter.payload.len() > 2 * R::ROW.cap_bytes {
            return Err(Refused::Unsupported);
        }
        let envelope = Envelope::read(letter.payload).map_err(|_| Refused::Malformed)?;
        let identity = &letter.keys.deployed.identity_key;
        let signer = VerifyingKey::from_typed(identity).map_err(|_| Refused::Undecryptable)?;
        if envelope.event_type.as_str() != R::ROW.name {
            return Err(Refused::Malformed);
        }
        let (sender, recipient) = (signer.fingerprint(), self.keys.command_signing.verifying_key().fingerprint());
        let binding = Binding { subject: &letter.subject.to_string(), sender: &sender, recipient: &recipient };
        let body = envelope::open_signed(&self.keys.envelopes, &signer, &binding, &envelope);
        let mut body = body.map_err(|_| Refused::Undecryptable)?;
        body.retain(|name, _| name != "event_id" && name != "recipient_fp");
        json::from_value(body.into()).map_err(|_| Refused::Malformed)
    }
}

fn spelled(answer: &impl Serialize) -> Result<Vec<u8>, Refused> {
    json::canonical(answer).map_err(|_| Refused::Failed)
}

async fn answer(incoming: Incoming, bytes: Vec<u8>) {
    let Some(reply) = incoming.reply else { return };
    if let Err(error) = reply.send(bytes.into()).await {
        tracing::warn!(%error, "a vault's request was carried out, but the answer could not be sent");
    }
}
