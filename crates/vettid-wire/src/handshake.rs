//! Handshake VHS-1 on the wire (spec 2.4): the three messages and what is sealed in them. The invitation before
//! them and the epoch rotation after them stand in files of their own. Data and grammar only; nothing here is checked beyond its form.

mod invitation;
mod rekey;

pub use rekey::{EpochSwitch, MOST_OPEN, Rekey, RekeyMessage};

pub use invitation::{
    EnrolmentPointer, InvalidInvitation, Invitation, InvitationKind, InvitationSecret, MAX_TEXT_BYTES, SpaceUri,
};

use crate::base64::{Base64, Base64Url};
use crate::contract::{Acceptance, Contract};
use crate::digest::Digest;
use crate::id::{DeviceId, HandshakeId, KeyId};
use crate::json::{self, JsonError};
use crate::key::TypedKey;
use crate::key_record::KeyRecord;
use crate::profile::SignedProfile;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Who shakes hands with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A new app with its vault.
    Enroll,
    /// A known app with its vault.
    Session,
    /// A vault with a vault.
    Connect,
    /// A vault with a service.
    Service,
}

impl Role {
    /// The name on the wire and in the transcript.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Session => "session",
            Self::Connect => "connect",
            Self::Service => "service",
        }
    }
}

/// One handshake message: `{"type":"hs1","hs_id","suite","role","h":{…},"c"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Tagged", into = "Tagged")]
pub struct HandshakeMessage {
    /// Names the handshake.
    pub hs_id: HandshakeId,
    /// Number of the suite.
    pub suite: u16,
    /// Who shakes hands with whom.
    pub role: Role,
    /// The clear part, by message.
    pub step: Step,
    /// The sealed part: `nonce[24] ‖ ciphertext ‖ tag[16]`.
    pub c: Base64,
}

/// The clear part of a handshake message (`h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// First, initiator to responder.
    Hs1(Hs1),
    /// Second, responder to initiator.
    Hs2(Hs2),
    /// Third, initiator to responder.
    Hs3(Hs3),
}

impl HandshakeMessage {
    /// Reads a message of at most 64 KiB; unknown fields are refused.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        json::read(bytes)
    }

    /// The bytes that are stored, sent and sent again.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical(self)
    }
}

/// The message as it is written: the tag first, the same four fields in each.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Tagged {
    Hs1 { hs_id: HandshakeId, suite: u16, role: Role, h: Hs1, c: Base64 },
    Hs2 { hs_id: HandshakeId, suite: u16, role: Role, h: Hs2, c: Base64 },
    Hs3 { hs_id: HandshakeId, suite: u16, role: Role, h: Hs3, c: Base64 },
}

impl From<Tagged> for HandshakeMessage {
    fn from(tagged: Tagged) -> Self {
        let (hs_id, suite, role, step, c) = match tagged {
            Tagged::Hs1 { hs_id, suite, role, h, c } => (hs_id, suite, role, Step::Hs1(h), c),
            Tagged::Hs2 { hs_id, suite, role, h, c } => (hs_id, suite, role, Step::Hs2(h), c),
            Tagged::Hs3 { hs_id, suite, role, h, c } => (hs_id, suite, role, Step::Hs3(h), c),
        };
        Self { hs_id, suite, role, step, c }
    }
}

impl From<HandshakeMessage> for Tagged {
    fn from(message: HandshakeMessage) -> Self {
        let HandshakeMessage { hs_id, suite, role, step, c } = message;
        match step {
            Step::Hs1(h) => Self::Hs1 { hs_id, suite, role, h, c },
            Step::Hs2(h) => Self::Hs2 { hs_id, suite, role, h, c },
            Step::Hs3(h) => Self::Hs3 { hs_id, suite, role, h, c },
        }
    }
}

/// Clear part of the first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs1 {
    /// The one-time prekey of the invitation, or the responder's session key.
    pub prekey_id: KeyId,
    /// `H256(resume)[0..8]` of the secret that was mixed in, for sessions; absent in a limited session.
    /// Not part of the transcript: a changed value makes the message unreadable, no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk_id: Option<Base64Url>,
    /// Ephemeral X25519 key, 32 bytes.
    pub e: Base64,
    /// ML-KEM-768 key of 1184 bytes; empty in suites without it.
    pub kem: Base64,
    /// Commitment to the initiator's nonce.
    pub commit: Digest,
}

/// Clear part of the second message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs2 {
    /// Ephemeral X25519 key, 32 bytes.
    pub e: Base64,
    /// ML-KEM-768 ciphertext of 1088 bytes; empty in suites without it.
    pub ct: Base64,
}

/// Clear part of the third message: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs3 {}

/// Where and how the second message can be delivered. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The initiator's MessageSpace.
    pub messagespace_uri: SpaceUri,
    /// Bearer JWT for that one subject.
    pub token: String,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("messagespace_uri", &self.messagespace_uri).finish_non_exhaustive()
    }
}

/// Sealed part of the first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs1Payload {
    /// The initiator's identity.
    pub identity_key: TypedKey,
    /// The initiator's keys; its signing key made `sig`.
    pub key_record: KeyRecord,
    /// Over `th1` and the responder's fingerprint.
    pub sig: Base64,
    /// The initiator's KEM key for epoch 0, of the handshake's suite.
    pub epoch_kem: TypedKey,
    /// The initiator's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<SignedProfile>,
    /// The NKey for which the responder mints a JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nkey_pub: Option<String>,
    /// The initiator's signing key for this connection alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairwise_key: Option<TypedKey>,
    /// Where the second message goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The app's device, in enrolment and sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The device maker's statement about the device key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_attestation: Option<Value>,
    /// The initiator's incarnation; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Sealed part of the second message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs2Payload {
    /// The responder's identity.
    pub identity_key: TypedKey,
    /// The responder's keys; its signing key made `sig`.
    pub key_record: KeyRecord,
    /// Over `th2` and the initiator's fingerprint.
    pub sig: Base64,
    /// The responder's nonce, 32 bytes.
    pub nonce: Base64,
    /// The responder's KEM key for epoch 0, of the handshake's suite.
    pub epoch_kem: TypedKey,
    /// The responder's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<SignedProfile>,
    /// The JWT for the initiator's NKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The NKey for which the initiator mints a JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nkey_pub: Option<String>,
    /// The responder's signing key for this connection alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairwise_key: Option<TypedKey>,
    /// The contract on offer, from services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Statement of the hardware that runs the responder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Value>,
    /// The responder's incarnation; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Sealed part of the third message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hs3Payload {
    /// The initiator's nonce, 32 bytes; opens the commitment of the first message.
    pub nonce: Base64,
    /// Over `th3` and the responder's fingerprint.
    pub sig: Base64,
    /// By the device key of the key record, over `th3`; due when that record names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_sig: Option<Base64>,
    /// The JWT for the responder's NKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The signed acceptance of the contract, to services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
}

/// The 64 symbols of the short authentication string, in order of their index (spec 2.4): a name in English for
/// those who read it aloud, and the symbol.
pub const SYMBOLS: [(&str, &str); 64] = [
    ("apple", "🍎"),
    ("pear", "🍐"),
    ("lemon", "🍋"),
    ("banana", "🍌"),
    ("grapes", "🍇"),
    ("cherry", "🍒"),
    ("carrot", "🥕"),
    ("corn", "🌽"),
    ("bread", "🍞"),
    ("cheese", "🧀"),
    ("egg", "🥚"),
    ("cake", "🍰"),
    ("honey", "🍯"),
    ("coffee", "☕"),
    ("horse", "🐴"),
    ("cow", "🐮"),
    ("tiger", "🐯"),
    ("bear", "🐻"),
    ("frog", "🐸"),
    ("monkey", "🐵"),
    ("penguin", "🐧"),
    ("owl", "🦉"),
    ("snail", "🐌"),
    ("bee", "🐝"),
    ("spider", "🕷️"),
    ("snake", "🐍"),
    ("whale", "🐳"),
    ("crab", "🦀"),
    ("camel", "🐫"),
    ("elephant", "🐘"),
    ("rose", "🌹"),
    ("tree", "🌲"),
    ("cactus", "🌵"),
    ("leaf", "🍁"),
    ("sun", "☀️"),
    ("moon", "🌙"),
    ("star", "⭐"),
    ("snowflake", "❄️"),
    ("fire", "🔥"),
    ("rainbow", "🌈"),
    ("wave", "🌊"),
    ("volcano", "🌋"),
    ("house", "🏠"),
    ("castle", "🏰"),
    ("tent", "⛺"),
    ("bridge", "🌉"),
    ("bicycle", "🚲"),
    ("car", "🚗"),
    ("train", "🚂"),
    ("ship", "🚢"),
    ("rocket", "🚀"),
    ("anchor", "⚓"),
    ("key", "🔑"),
    ("hammer", "🔨"),
    ("bell", "🔔"),
    ("drum", "🥁"),
    ("violin", "🎻"),
    ("piano", "🎹"),
    ("ball", "⚽"),
    ("dice", "🎲"),
    ("book", "📕"),
    ("pencil", "✏️"),
    ("clock", "⏰"),
    ("umbrella", "☂️"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn message() -> HandshakeMessage {
        HandshakeMessage {
            hs_id: HandshakeId::from_bytes([1; 16]),
            suite: 1,
            role: Role::Connect,
            step: Step::Hs2(Hs2 { e: Base64::new([2; 32]), ct: Base64::default() }),
            c: Base64::new([3; 40]),
        }
    }

    #[test]
    fn a_message_has_one_form() {
        let bytes = message().to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(r#"{"c":"AwMD"#), "{text}");
        assert!(text.contains(r#""h":{"ct":"","e":"AgIC"#), "{text}");
        assert!(
            text.ends_with(r#""hs_id":"AQEBAQEBAQEBAQEBAQEBAQ","role":"connect","suite":1,"type":"hs2"}"#),
            "{text}"
        );
        assert_eq!(HandshakeMessage::read(&bytes).unwrap(), message());
    }

    #[test]
    fn unknown_fields_and_types_are_refused() {
        let text = String::from_utf8(message().to_bytes().unwrap()).unwrap();
        for (from, to) in [
            (r#""suite":1"#, r#""suite":1,"x":1"#),
            (r#""ct":"""#, r#""ct":"","x":1"#),
            (r#""type":"hs2""#, r#""type":"hs4""#),
            (r#""type":"hs2""#, r#""type":"hs3""#),
            (r#""role":"connect""#, r#""role":"owner""#),
            (r#""suite":1"#, r#""suite":65536"#),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(HandshakeMessage::read(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn symbols_differ() {
        let names: HashSet<_> = SYMBOLS.iter().map(|(name, _)| name).collect();
        let signs: HashSet<_> = SYMBOLS.iter().map(|(_, sign)| sign).collect();
        assert_eq!((names.len(), signs.len()), (64, 64));
    }
}
