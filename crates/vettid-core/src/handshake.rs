//! Handshake VHS-1 as two state machines (spec 2.4): initiator and responder, for the roles enroll, session, connect
//! and service. A step takes time, randomness, own keys and a message, changes the state and says what to send.
//!
//! The shell stores the state, then sends: after a crash it calls `unanswered` and sends the same bytes again. The
//! state holds secrets; its serde form is for sealed stores alone. Nothing here decides for a person.

mod content;
mod initiator;
mod invitation;
mod peer;
mod responder;

pub use content::{Answer, Closing, Opening};
pub use initiator::{Initiator, Target};
pub use invitation::{InvitationTerms, Invited, invite};
pub use peer::Peer;
pub use responder::{Responder, SessionKeys};

use serde::{Deserialize, Serialize};
use vettid_crypto::handshake::{Established, HandshakeError};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemSecretKey, SuiteError};
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, InvalidInvitation, Role};
use vettid_wire::id::{Fingerprint, HandshakeId, SessionKeyId};
use vettid_wire::json::JsonError;
use vettid_wire::key_record::KeyRole;

use crate::channel::Keys;

/// Life of an invitation that is shown on a screen, in milliseconds.
pub const MAX_SCREEN_LIFE_MS: i64 = 10 * 60 * 1000;
/// Life of an invitation that is sent as a link, in milliseconds.
pub const MAX_LINK_LIFE_MS: i64 = 24 * 3600 * 1000;
/// First messages that are tried under one invitation.
pub const MAX_ATTEMPTS: u8 = 5;
const MINUTE_MS: i64 = 60 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// How long a handshake may take from its first message on, in milliseconds: two people decide in between when they
/// connect, nobody does in a session.
#[must_use]
pub fn max_duration_ms(role: Role) -> i64 {
    match role {
        Role::Enroll | Role::Session => 10 * MINUTE_MS,
        Role::Connect | Role::Service => 7 * DAY_MS,
    }
}

/// The own side: its key record and the signing key that the record names.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// The own keys, signed.
    pub key_record: &'a VerifiedKeyRecord,
    /// The private half of the record's signing key.
    pub signing: &'a SigningKey,
}

/// Where a handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Responder: the invitation was not answered yet.
    Invited,
    /// Responder: the initiator asks; the owner has to decide.
    Hs1Received,
    /// Initiator: the first message is under way.
    Hs1Sent,
    /// Initiator: the responder answered; the owner has to decide.
    Hs2Received,
    /// The owner accepted; the next message can be made.
    Accepted,
    /// Responder: the second message is under way.
    Hs2Sent,
    /// Initiator: the third message is under way and the keys are made; not confirmed by the responder yet.
    Hs3Sent,
    /// Both sides have the keys.
    Active,
    /// Nobody decided in time.
    Expired,
    /// The owner said no.
    Rejected,
    /// Something was wrong; nothing of this handshake is used.
    Aborted,
}

/// What a message led to. If the state changed, it is stored before anything is sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// To be sent, after the state is stored; the same bytes whenever the same message comes again.
    pub send: Option<Vec<u8>>,
    /// The message had no effect, or ended the handshake.
    pub refusal: Option<Refusal>,
    /// Somebody tampers with this handshake: tell the owner.
    pub alarm: bool,
    /// The state changed and has to be stored.
    pub changed: bool,
}

impl Reaction {
    fn send(bytes: Vec<u8>) -> Self {
        Self { send: Some(bytes), changed: true, ..Self::default() }
    }

    fn resend(bytes: &[u8]) -> Self {
        Self { send: Some(bytes.to_vec()), ..Self::default() }
    }

    fn changed() -> Self {
        Self { changed: true, ..Self::default() }
    }

    fn refused(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    fn ended(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), alarm: true, changed: true, ..Self::default() }
    }
}

/// Why a message had no effect. Never told to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not a handshake message.
    #[error("not a handshake message")]
    Malformed,
    /// Another role, suite or step than the one that is due.
    #[error("not the message that is due")]
    NotDue,
    /// The invitation or the handshake is past its time.
    #[error("expired")]
    Expired,
    /// The invitation was answered by another handshake.
    #[error("the invitation is used")]
    Used,
    /// It does not open.
    #[error("undecryptable")]
    Undecryptable,
    /// No such prekey or resumption secret is held: the app falls back to an older one, or to a limited session.
    #[error("unknown key")]
    UnknownKey,
    /// It opens, and what is inside is not valid.
    #[error("the peer's payload is not valid")]
    Misbehaved,
    /// A second message with the same handshake id and other bytes.
    #[error("another message for the same handshake")]
    Conflict,
    /// Too many first messages did not open.
    #[error("too many attempts")]
    TooManyAttempts,
    /// The handshake ended before.
    #[error("the handshake has ended")]
    Ended,
}

/// Why a step of one's own could not be taken. The state is as it was.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailure {
    /// The handshake does not stand where this step belongs.
    #[error("this step does not belong to the phase {0:?}")]
    NotDue(Phase),
    /// The invitation or the handshake is past its time.
    #[error("the invitation or the handshake is past its time")]
    Expired,
    /// An invitation of more than 24 hours, or without a usable suite or key.
    #[error("the invitation cannot be used")]
    Invitation(#[from] InvalidInvitation),
    /// The own key record changed its identity, or has no signing key that fits.
    #[error("the own keys do not belong to this handshake")]
    OtherIdentity,
    /// The own key record names a device key, and its signature is missing (or the other way round).
    #[error("the signature of the device does not fit the own key record")]
    DeviceSignature,
    /// A suite or key that cannot be used.
    #[error("the suite or a key of it cannot be used")]
    Suite(#[from] SuiteError),
    /// The message could not be made.
    #[error("the handshake message could not be made")]
    Handshake(#[from] HandshakeError),
    /// The own payload has no canonical form.
    #[error("the payload has no canonical form")]
    Form(#[from] JsonError),
}

/// What a finished handshake gives. `Serialize` is for sealed stores alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    role: Role,
    hs_id: HandshakeId,
    own: Fingerprint,
    limited: bool,
    #[serde(with = "stored")]
    established: Established,
    #[serde(with = "stored")]
    own_kem: KemSecretKey,
    peer: Peer,
}

impl Outcome {
    /// Who shook hands with whom.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Names the handshake, and with it the connection.
    #[must_use]
    pub fn hs_id(&self) -> HandshakeId {
        self.hs_id
    }

    /// Whether this is a session without a shared secret: only `credential.use` with password is allowed, and its
    /// resumption secret counts only after that.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// `K0`.
    #[must_use]
    pub fn epoch_key(&self) -> &Secret32 {
        self.established.epoch_key()
    }

    /// `connection_key_id` or `session_id`.
    #[must_use]
    pub fn key_id(&self) -> SessionKeyId {
        self.established.key_id()
    }

    /// The pre-shared secret of the next session; both sides keep the last two.
    #[must_use]
    pub fn resume(&self) -> &Secret32 {
        self.established.resume()
    }

    /// Seven indices into `vettid_wire::handshake::SYMBOLS`, for two people to compare.
    #[must_use]
    pub fn symbols(&self) -> [u8; 7] {
        self.established.symbols()
    }

    /// The other side, verified.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The own KEM key of epoch 0.
    #[must_use]
    pub fn own_kem(&self) -> &KemSecretKey {
        &self.own_kem
    }

    /// What a channel needs, and the peer.
    #[must_use]
    pub fn into_keys(self, own_incarnation: u64) -> (Keys, Peer) {
        let keys = Keys {
            key_id: self.established.key_id(),
            own: self.own,
            peer: self.peer.fingerprint(),
            own_incarnation,
            peer_incarnation: self.peer.incarnation,
            epoch_key: self.established.epoch_key().duplicate(),
            own_kem: self.own_kem,
            peer_kem: self.peer.epoch_kem.clone(),
        };
        (keys, self.peer)
    }
}

/// The roles of the key records of both sides, initiator first.
fn key_roles(role: Role) -> (KeyRole, KeyRole) {
    match role {
        Role::Enroll | Role::Session => (KeyRole::App, KeyRole::Vault),
        Role::Connect => (KeyRole::Vault, KeyRole::Vault),
        Role::Service => (KeyRole::Vault, KeyRole::Service),
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(h256(bytes))
}

fn read(bytes: &[u8]) -> Result<HandshakeMessage, Refusal> {
    HandshakeMessage::read(bytes).map_err(|_| Refusal::Malformed)
}

/// What an error of the protocol means for the state machine.
fn refusal_of(error: &HandshakeError) -> Refusal {
    match error {
        HandshakeError::Undecryptable => Refusal::Undecryptable,
        HandshakeError::Payload(_) => Refusal::Misbehaved,
        _ => Refusal::NotDue,
    }
}
