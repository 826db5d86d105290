//! A vault that comes back from an earlier state (spec §3 R14 to R18): the word of its owner's app, and how it makes new keys
//! with each connection. Nothing here is taken twice: an incarnation only rises.

use crate::handshake::Rekey;
use crate::id::{KeyId, MemberId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base64::Base64;

/// The form of [`Incarnation`].
pub const INCARNATION_VERSION: u32 = 1;

/// The owner wants the vault to go on from an earlier state, as this incarnation. Signed by the owner's app (ctx
/// `vettid/incarnation/1`), whose key is in no state of the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incarnation {
    /// Form, [`INCARNATION_VERSION`].
    pub version: u32,
    /// Whose vault.
    pub guid: MemberId,
    /// Higher than every one before.
    pub incarnation: u64,
    /// When the owner said so.
    pub restored_at: Timestamp,
    /// The app's key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// Owner's command: go on from the earlier state to which this vault was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreVault {
    /// The app's word.
    pub incarnation: Incarnation,
    /// What the app knows of the Vault Credential; absent: it holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<KnownCredential>,
}

/// What an app knows of the Vault Credential whose vault was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownCredential {
    /// The version that it will show the password with; the earlier state has to hold it.
    pub version: u64,
    /// Highest version that it has seen.
    pub highest_version: u64,
    /// Highest credential epoch that it has seen.
    pub epoch: u64,
    /// Highest count of attempts that it has seen.
    pub attempts_total: u64,
}

/// What became of [`RestoreVault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restoring {
    /// The incarnation that the vault is, or is going to be.
    pub incarnation: u64,
    /// The vault goes on once the password was shown: `credential.use` with the action `credential.restore`.
    pub needs_password: bool,
}

/// What `connection.resync` carries: new keys between a restored vault and its peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    /// The restored vault asks.
    Ask(ResyncAsk),
    /// Its peer answers; both have the new keys.
    Answer(ResyncAnswer),
}

/// A restored vault asks its peer for new keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResyncAsk {
    /// The word of its owner's app.
    pub incarnation: Incarnation,
    /// Its half of the new keys, for epoch 0 of them.
    pub rekey: Rekey,
}

/// The peer's half of the new keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResyncAnswer {
    /// The incarnation that asked.
    pub incarnation: u64,
    /// Its half of the new keys.
    pub rekey: Rekey,
}
