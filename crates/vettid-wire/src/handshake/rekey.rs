//! Epoch rotation on the wire (spec 2.5): `connection.rekey` and `session.rotate` carry one such object each way.

use crate::base64::Base64;
use crate::id::KeyId;
use crate::key::TypedKey;
use serde::{Deserialize, Serialize};

/// One side's half of an epoch rotation, signed (ctx `vettid/rekey/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// The epoch that begins.
    pub epoch: u64,
    /// Ephemeral X25519 key, 32 bytes.
    pub eph: Base64,
    /// ML-KEM-768 key, in suites with it, from the side that begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kem: Option<Base64>,
    /// ML-KEM-768 ciphertext, in suites with it, from the side that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ct: Option<Base64>,
    /// The sender's KEM key for the new epoch.
    pub epoch_kem: TypedKey,
    /// The last sequence that the sender used or will use in the epoch that ends.
    pub final_seq: u64,
    /// The sender's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}
