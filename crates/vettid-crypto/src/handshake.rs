//! Handshake VHS-1 (spec 2.4): key schedule, and sealing and opening of its three messages.
//!
//! Each step consumes the one before, so none can be left out: nothing is sealed for a peer whose signature was not
//! verified, and keys exist only after the last check. Whether a person accepts the peer, and what is sent again after
//! a crash, is decided by the state machine above.
//!
//! Initiator: [`Start`] → `seal` → [`AwaitingHs2`] → `open` → [`OpenedHs2`] → `verify` → [`VerifiedHs2`] → `seal` →
//! [`Established`]. Responder: [`open_hs1`] → [`OpenedHs1`] → `verify` → [`VerifiedHs1`] → `seal` → [`AwaitingHs3`] →
//! `open` → [`Established`].

mod initiator;
mod responder;
mod schedule;

pub use initiator::{AwaitingHs2, OpenedHs2, Start, StoredAwaitingHs2, StoredVerifiedHs2, VerifiedHs2};
pub use responder::{AwaitingHs3, OpenedHs1, StoredAwaitingHs3, StoredVerifiedHs1, VerifiedHs1, open_hs1};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vettid_wire::base64::Base64Url;
use vettid_wire::handshake::{HandshakeMessage, Role};
use vettid_wire::id::{Fingerprint, HandshakeId, SessionKeyId};
use vettid_wire::json::JsonError;

use crate::kdf;
use crate::secret::Secret32;
use crate::stored::stored_form;
use crate::suite::{Suite, SuiteError};

/// Largest sealed payload in bytes, so that the message stays below 64 KiB.
pub const MAX_PAYLOAD_BYTES: usize = 44 * 1024;

/// What both sides agree on before the first message; part of every key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    suite: Suite,
    role: Role,
    hs_id: HandshakeId,
    responder: Fingerprint,
}

impl Setup {
    /// A handshake of this suite with the responder of this fingerprint.
    ///
    /// # Errors
    /// [`SuiteError::NotBuilt`] for a suite that has no handshake in this build: only suite 1 has one (ADR 0010).
    pub fn new(suite: Suite, role: Role, hs_id: HandshakeId, responder: Fingerprint) -> Result<Self, SuiteError> {
        match suite {
            Suite::X25519 => Ok(Self { suite, role, hs_id, responder }),
            Suite::Rsa4096 | Suite::XWing => Err(SuiteError::NotBuilt(suite.name())),
        }
    }

    /// The setup that a message names, with one's own knowledge of the responder.
    ///
    /// # Errors
    /// Those of [`Suite::from_id`] and [`Setup::new`].
    pub fn of(message: &HandshakeMessage, responder: Fingerprint) -> Result<Self, SuiteError> {
        Self::new(Suite::from_id(message.suite)?, message.role, message.hs_id, responder)
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Who shakes hands with whom.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Names the handshake.
    #[must_use]
    pub fn hs_id(&self) -> HandshakeId {
        self.hs_id
    }

    /// The responder's fingerprint.
    #[must_use]
    pub fn responder(&self) -> Fingerprint {
        self.responder
    }

    fn names(&self, message: &HandshakeMessage) -> bool {
        message.suite == self.suite.id() && message.role == self.role && message.hs_id == self.hs_id
    }
}

/// The secret that both sides share before the handshake.
#[derive(Debug)]
pub enum Psk {
    /// The secret of an invitation.
    Invitation(Secret32),
    /// `resume` of an earlier handshake, for sessions.
    Resumption(Secret32),
    /// None: 32 zero bytes, and the session is limited.
    Absent,
}

impl Psk {
    /// Names a resumption secret without telling it: `H256(resume)[0..8]`; nothing else has a name.
    #[must_use]
    pub fn id(&self) -> Option<Base64Url> {
        match self {
            Self::Resumption(resume) => Some(psk_id(resume)),
            Self::Invitation(_) | Self::Absent => None,
        }
    }

    fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Invitation(secret) | Self::Resumption(secret) => secret.expose(),
            Self::Absent => &[0; 32],
        }
    }
}

/// `psk_id` of a resumption secret.
#[must_use]
pub fn psk_id(resume: &Secret32) -> Base64Url {
    let hash = kdf::h256(resume.expose());
    let (first, _) = hash.split_at(8);
    Base64Url::new(first)
}

/// Why a handshake step is refused.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A suite or key that cannot be used.
    #[error("the suite or a key of it cannot be used")]
    Suite(#[from] SuiteError),
    /// Another message than the one that is due here, or fields of a wrong size.
    #[error("not the handshake message that is due")]
    NotDue,
    /// The sealed part does not open: another prekey, secret, responder or message.
    #[error("the handshake message does not open")]
    Undecryptable,
    /// The sealed part opens, and its content is wrong: the peer holds the keys and misbehaves.
    #[error("the peer's payload is not valid")]
    Payload(#[source] PayloadError),
    /// Our own payload does not fit.
    #[error("the payload is too large")]
    TooLarge,
    /// Our own payload is not an object of the profile of JSON.
    #[error("the payload cannot be written")]
    Unwritable(#[source] JsonError),
}

/// What is wrong with a payload that was sealed by the holder of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not JSON, or without signature or nonce.
    #[error("malformed payload")]
    Malformed,
    /// The signature over the transcript does not fit.
    #[error("wrong signature over the transcript")]
    Signature,
    /// The responder is not the one of the invitation.
    #[error("another identity than the one of the invitation")]
    Identity,
    /// The nonce does not open the commitment.
    #[error("the nonce does not open the commitment")]
    Commitment,
}

impl From<PayloadError> for HandshakeError {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}

/// What a finished handshake gives to both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct Established {
    epoch_key: Secret32,
    resume: Secret32,
    key_id: SessionKeyId,
    symbols: [u8; 7],
}

impl Established {
    /// `K0`, the epoch key of epoch 0.
    #[must_use]
    pub fn epoch_key(&self) -> &Secret32 {
        &self.epoch_key
    }

    /// The pre-shared secret of the next session.
    #[must_use]
    pub fn resume(&self) -> &Secret32 {
        &self.resume
    }

    /// `connection_key_id` or `session_id`.
    #[must_use]
    pub fn key_id(&self) -> SessionKeyId {
        self.key_id
    }

    /// The short authentication string: seven indices below 64 into [`vettid_wire::handshake::SYMBOLS`].
    #[must_use]
    pub fn symbols(&self) -> [u8; 7] {
        self.symbols
    }
}

stored_form! {
    /// Stored form of [`Established`].
    Established as StoredEstablished {
        plain { key_id: SessionKeyId, symbols: [u8; 7] }
        secret { epoch_key: Secret32, resume: Secret32 }
    }
}

/// A payload that was opened; its content is claimed by the peer and not verified yet.
type Payload = Map<String, Value>;

#[cfg(test)]
mod tests;
