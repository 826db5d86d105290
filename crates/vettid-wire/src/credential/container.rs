//! What a recovery container holds (spec 2.11). Form only; its bytes in clear are sealed or wiped at once.

use super::{CredentialPackage, JournalHead, SecretField, TransactionKey};
use crate::base64::Base64;
use crate::id::Fingerprint;
use crate::key::TypedKey;
use crate::services_credential::ServicesCredentialBackup;
use serde::{Deserialize, Serialize};

/// Content of a recovery container: what a new device needs to be the member's app again (spec 2.11).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialBackup {
    /// The Vault Services Credential, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services_credential: Option<ServicesCredentialBackup>,
    /// The Vault Credential: the newest and at most three before it, newest first.
    pub vault_credentials: Vec<CredentialPackage>,
    /// Fingerprint of the vault: the issuer of the Vault Credential.
    pub vault_fp: Fingerprint,
    /// Salt of the password that the newest one needs, 16 bytes.
    pub password_salt: Base64,
    /// The app's half of the password.
    pub device_secret: SecretField,
    /// Transaction keys that were not used yet.
    pub transaction_keys: Vec<TransactionKey>,
    /// Highest epoch that the app knows; a lower one is refused.
    pub credential_epoch: u64,
    /// Where the app last saw the vault's journal, where it knows its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<JournalHead>,
    /// How far the app has seen the vault; a new device takes nothing older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_seen: Option<VaultSeen>,
    /// What opens the lock of the vault at rest, together with its password; absent as long as the app set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockBackup>,
}

/// The app's side of the lock of a vault at rest. Without PIN or password it opens nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockBackup {
    /// The app's half of every unlock key, 32 bytes.
    pub device_secret: SecretField,
    /// The key by which the unlock lane is known (Ed25519).
    pub lane_key: TypedKey,
    /// Most attempts that a host ever showed; one that shows fewer went back.
    pub attempts_total: u64,
}

/// How far an app has seen its vault. Neither number may ever fall (spec §3 R14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSeen {
    /// Highest incarnation.
    pub incarnation: u64,
    /// Highest length of the journal in that incarnation.
    pub journal_sequence: u64,
}
