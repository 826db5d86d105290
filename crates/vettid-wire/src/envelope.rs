//! The sealed envelope as it stands on the wire (spec 2.3), and what lies inside it.

use crate::base64::{Base64, Base64Url};
use crate::event::EventType;
use crate::id::{EventId, KeyId, SessionKeyId};
use crate::json::{self, JsonError};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest plaintext in bytes; anything larger goes through the object store.
pub const MAX_PLAINTEXT_BYTES: usize = 700 * 1024;
/// Largest envelope on the wire in bytes (the server's message limit).
pub const MAX_ENVELOPE_BYTES: usize = 1024 * 1024;
/// The only version.
pub const VERSION: u8 = 1;

/// How the sender is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the epoch key of a session or connection.
    Psk,
    /// By a signature inside.
    Signed,
}

/// A sealed message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Unique for its sender.
    pub event_id: EventId,
    /// The event type; must equal the one in the subject.
    pub event_type: EventType,
    /// When it was sealed.
    pub timestamp: Timestamp,
    /// Counts up within an epoch.
    pub sequence: u64,
    /// `commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`.
    pub encrypted_payload: Base64,
    /// How it was sealed.
    pub encryption: Encryption,
}

/// How an envelope was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Version, 1.
    pub v: u8,
    /// The suite by name.
    pub algorithm: String,
    /// How the sender is authenticated.
    pub mode: Mode,
    /// The recipient's KEM key.
    pub key_id: KeyId,
    /// The connection or session whose epoch key was mixed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_key_id: Option<SessionKeyId>,
    /// The KEM's encapsulation.
    pub ephemeral_public_key: Base64,
    /// The sender's incarnation.
    pub incarnation: u64,
    /// The epoch of the connection or session.
    pub epoch: u64,
}

impl Envelope {
    /// Reads an envelope of at most [`MAX_ENVELOPE_BYTES`].
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        json::read_large(bytes)
    }
}

/// What lies inside an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content<T> {
    /// The body of the event.
    pub body: T,
    /// The recipient's incarnation when this was first addressed to it.
    pub to_incarnation: u64,
    /// The question that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<InReplyTo>,
    /// Interactive events have no effect after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Content<Value> {
    /// Reads the plaintext of an envelope; stored objects may be up to 1 MiB.
    pub fn read(plaintext: &[u8]) -> Result<Self, JsonError> {
        json::read_large(plaintext)
    }
}

/// Names the question, so that an answer cannot be attached to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InReplyTo {
    /// The event that is answered.
    pub event_id: EventId,
    /// SHA-256 of the canonical bytes of its body.
    pub body_hash: Base64Url,
}

/// The outcome of a command, as the body of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "value", deny_unknown_fields)]
pub enum Answer<T> {
    /// Carried out.
    Success(T),
    /// Refused without effect.
    Refused(Refusal),
}
