//! What can go wrong inside the vault itself. A refusal is not a failure: it is an answer.

use crate::audit::AuditFailed;
use crate::identity::IdentityFailed;
use crate::profile::ProfileFailed;
use crate::projection::UnreadableState;
use vettid_core::channel::ChannelError;
use vettid_core::credential::issuer::IssuerFailed;
use vettid_core::handshake::HandshakeFailure;
use vettid_crypto::agreement::AgreementError;
use vettid_crypto::authorisation::AuthorisationError;
use vettid_crypto::nats::key::InvalidKey;
use vettid_crypto::nats::token::TokenError;
use vettid_crypto::signature::SignatureError;
use vettid_wire::handshake::InvalidInvitation;
use vettid_wire::json::JsonError;

/// A step could not be done; nothing of it is kept, and a durable event will come again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] UnreadableState),
    /// The audit entry cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditFailed),
    /// The profile cannot be made.
    #[error(transparent)]
    Profile(#[from] ProfileFailed),
    /// The identity cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityFailed),
    /// An envelope cannot be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// An object cannot be signed.
    #[error("an object cannot be signed")]
    Sign(#[from] SignatureError),
    /// A part of an agreement cannot be signed or checked.
    #[error("a part of an agreement cannot be made")]
    Agreement(#[from] AgreementError),
    /// An answer to a service cannot be signed or checked.
    #[error("an answer to a service cannot be made")]
    Authorisation(#[from] AuthorisationError),
    /// A value has no canonical form.
    #[error("a value has no canonical form")]
    Form(#[from] JsonError),
    /// An NKey cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A NATS credential cannot be issued.
    #[error("a nats credential cannot be issued")]
    Token(#[from] TokenError),
    /// A step of the credential's issuer cannot be made.
    #[error(transparent)]
    Credential(#[from] IssuerFailed),
    /// A handshake step cannot be taken.
    #[error(transparent)]
    Handshake(#[from] HandshakeFailure),
    /// An invitation does not fit.
    #[error(transparent)]
    Invitation(#[from] InvalidInvitation),
    /// The sender sends more than it may: the event is to come again after so many milliseconds.
    #[error("the sender has to wait")]
    Wait(i64),
    /// A handler asked to be called again later.
    #[error("a handler asked to be called again")]
    Retry,
}
