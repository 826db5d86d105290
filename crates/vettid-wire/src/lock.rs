//! The lock of a vault at rest: the challenge and the attempt of the unlock lane, which works while the vault is locked, and
//! the owner's commands about the lock. No secret stands here in clear: it lies in the sealed box of an attempt.

use crate::base64::{Base64, Base64Url};
use crate::id::{EventId, KeyId, MemberId};
use crate::key::TypedKey;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Bytes of the nonce of a question for a challenge, and of the name of a challenge.
pub const CHALLENGE_BYTES: usize = 16;
/// Bytes of the salt of a PIN or password.
pub const SALT_BYTES: usize = 16;
/// Longest time without a command after which a vault may be told to lock itself, in minutes: a week.
pub const MAX_IDLE_MINUTES: u32 = 7 * 24 * 60;

/// Asks for a challenge: what `forVault.vault.unlock.challenge` carries, outside any envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskChallenge {
    /// Names the event; the answer quotes it.
    pub event_id: EventId,
    /// When it was sent.
    pub timestamp: Timestamp,
    /// Sixteen random bytes; the challenge repeats them, so that an old one is not taken for it.
    pub nonce: Base64Url,
}

/// A challenge, signed by the lane key of the vault's lock. It is good for one attempt, and for a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The event that asked.
    pub event_id: EventId,
    /// The member.
    pub guid: MemberId,
    /// The nonce of the question.
    pub nonce: Base64Url,
    /// Names the challenge: sixteen random bytes.
    pub challenge_id: Base64Url,
    /// The attempt is sealed to this key; its private half lives in memory, for this challenge alone.
    pub box_key: TypedKey,
    /// How the lock is.
    pub status: LockStatus,
    /// The lane key.
    pub key_id: KeyId,
    /// By the lane key.
    pub signature: Base64,
}

/// How a lock is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockStatus {
    /// Whether the vault runs.
    pub state: LockState,
    /// Counts the changes of the lock; 0 as long as there is none.
    pub generation: u64,
    /// Attempts ever made; never falls. A value that fell shows a host that went back.
    pub attempts_total: u64,
    /// Wrong PINs that are still let through; with none left, only the password opens.
    pub pin_tries_left: u8,
    /// Before so many milliseconds are over, no password is tried.
    pub password_wait_ms: i64,
    /// What the app derives its unlock keys with; absent as long as there is no lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salts: Option<LockSalts>,
}

/// Whether a vault runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// It runs.
    Open,
    /// It waits for the PIN or the password and opens nothing.
    Locked,
}

/// The salts of PIN and password; not secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSalts {
    /// Sixteen bytes.
    pub pin: Base64,
    /// Sixteen bytes.
    pub password: Base64,
}

/// What opens a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlockKind {
    /// Six or more digits, five tries.
    Pin,
    /// The password.
    Password,
}

/// One attempt: what `forVault.vault.unlock.attempt` carries, outside any envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlockAttempt {
    /// Names the event; the answer quotes it.
    pub event_id: EventId,
    /// The challenge that it uses up.
    pub challenge_id: Base64Url,
    /// The sealed box.
    pub sealed: Base64,
}

/// The answer to an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlockAnswer {
    /// The attempt.
    pub event_id: EventId,
    /// An [`UnlockOutcome`], sealed under a key of the attempt's box.
    pub sealed: Base64,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlockOutcome {
    /// In a word.
    pub result: UnlockResult,
    /// How the lock is now.
    pub status: LockStatus,
}

/// What came of an attempt, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlockResult {
    /// The vault runs.
    Unlocked,
    /// The lock was set or changed.
    Changed,
    /// A wrong PIN or password.
    Wrong,
    /// No PIN is tried any more; the password opens.
    PasswordRequired,
    /// No password is tried now.
    Wait,
    /// The attempt does not fit: no permit, no lock, or not this app.
    Refused,
    /// The host could not do it now; the try counts if it was made.
    Unavailable,
}

/// Leave to set or change the lock, once and soon, and the key by which the app knows the unlock lane from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockPermit {
    /// The lane key (Ed25519).
    pub lane_key: TypedKey,
    /// Thirty-two bytes that the box of the change quotes.
    pub permit: Base64,
    /// No change is taken later.
    pub expires_at: Timestamp,
}

/// After which time without a command of the owner the vault locks itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoLock {
    /// In minutes, up to [`MAX_IDLE_MINUTES`]; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
}

/// What a running vault says of its lock; the tries are the host's to tell (`LockStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSettings {
    /// Whether a lock is set.
    pub is_set: bool,
    /// After so many minutes without a command the vault locks itself; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
    /// What seals the secrets of the vault's host; absent where the host does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealer: Option<SealerKind>,
}

/// What seals the secrets of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealerKind {
    /// A key file on the same machine: a copy of the whole disk opens what it seals.
    KeyFile,
    /// A PKCS#11 token.
    Pkcs11,
    /// A TPM 2.0.
    Tpm,
}
