//! Epoch rotation on the wire (spec 2.5): the two signed halves of a new key agreement, and where the epoch before ended.

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

/// What `connection.rekey` carries. An epoch begins with an offer and its answer, and each side then says, in the new epoch,
/// where it ended the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyMessage {
    /// The side that begins (rk1).
    Offer(Rekey),
    /// The other side (rk2).
    Answer(Rekey),
    /// The first message of a side in the new epoch.
    Switched(EpochSwitch),
}

/// Most sequences that [`EpochSwitch`] names.
pub const MOST_OPEN: usize = 256;

/// Where the sender ended the epoch before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSwitch {
    /// The epoch that has begun.
    pub epoch: u64,
    /// The last sequence that the sender used in the epoch before; at most what it had announced.
    pub final_seq: u64,
    /// Sequences of the epoch before that the receiver's broker did not take yet, at most the last 256 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<u64>,
}
