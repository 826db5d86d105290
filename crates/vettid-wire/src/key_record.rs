//! The key record: which keys a party uses now, signed by its identity (spec 2.1).

use crate::base64::Base64;
use crate::id::{KeyId, MemberId};
use crate::key::TypedKey;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The `type` of every key record.
pub const KIND: &str = "vettid_key_record";
/// The only version.
pub const VERSION: u64 = 1;
/// Most KEM keys in one record.
pub const MAX_KEM_KEYS: usize = 16;

/// Whose keys these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// A member's vault.
    Vault,
    /// A member's app.
    App,
    /// A service.
    Service,
    /// The registry.
    Registry,
    /// The operator's control plane.
    Control,
}

/// One KEM key and its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KemKey {
    /// Names the key.
    pub key_id: KeyId,
    /// The key.
    pub key: TypedKey,
    /// Not to be used before.
    pub not_before: Timestamp,
    /// Not to be used after.
    pub not_after: Timestamp,
}

/// A signed key record (ctx `vettid/key-record/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Always [`KIND`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// Whose keys these are.
    pub role: KeyRole,
    /// Whose.
    pub guid: MemberId,
    /// The identity; its fingerprint never changes.
    pub identity_key: TypedKey,
    /// Signs handshakes, profiles and checkpoints.
    pub signing_key: TypedKey,
    /// The device, for apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_key: Option<TypedKey>,
    /// Keys for sealing to this party.
    pub kem_keys: Vec<KemKey>,
    /// Suites that this party takes, by name.
    pub suites: Vec<String>,
    /// Rises with each record.
    pub sequence: u64,
    /// SHA-256 of the canonical bytes of the record before; zeros for the first.
    pub prev: Base64,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Not to be used after.
    pub expires_at: Timestamp,
    /// The identity key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}
