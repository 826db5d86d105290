//! The Vault Services Credential over HTTP, where it differs from that of a vault: services never get the inner key. Form only.

use crate::base64::Base64;
use crate::credential::{CredentialPackage, SecretField, TransactionKey};
use crate::id::{Fingerprint, KeyId, OperationId};
use serde::{Deserialize, Serialize};

/// `action` of a `USE` that removes the recovery container; `params` is an empty object.
pub const REMOVE_BACKUP: &str = "credential.backup.remove";
/// `action` of a `USE` that lets another phrase take the place of the present one; `params` is [`NewPhrase`].
pub const REPLACE_PHRASE: &str = "credential.backup.replace";
/// `action` of a `USE` that gives the app its inner layer, as [`SealedSecrets`]; `params` is an empty object. The app keeps no
/// copy of it: whoever finds the device would test passwords against that.
pub const OPEN_SECRETS: &str = "credential.secrets.open";
/// What the policy of a Vault Services Credential names.
pub const GUARDED: [&str; 3] = [REMOVE_BACKUP, REPLACE_PHRASE, OPEN_SECRETS];

/// Allows containers under another phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPhrase {
    /// What recognises the phrase, 32 bytes; the same as in the container that comes next.
    pub verifier: Base64,
}

/// The inner layer as services hold it, closed to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecrets {
    /// Rises with each new inner layer.
    pub inner_seq: u64,
    /// `nonce[24] ‖ ciphertext ‖ tag`.
    pub secrets: Base64,
}

/// Content of the inner layer of a Vault Services Credential (spec 2.6). Only the app ever sees it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesSecrets {
    /// Form of this object.
    pub version: u8,
    /// Seed of the vault access key (Ed25519), 32 bytes.
    pub vault_access_key: SecretField,
    /// Keys that open backups.
    pub backup_keys: BackupKeys,
}

/// The member's backup keys `bk` (spec 2.10): X25519, 32 bytes each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupKeys {
    /// Backups are made for this one.
    pub active: SecretField,
    /// The one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SecretField>,
    /// Older ones that some backup still needs.
    pub retired: Vec<SecretField>,
}

/// `POST /v1/credentials/create`: makes the member's Vault Services Credential. The password proof travels under a
/// transaction key, without the inner key, which services never get; it is bound to operation, key and [`ServicesTerms`],
/// with version, blob and token of zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateServicesCredential {
    /// The operation; the same over retries.
    pub op_id: OperationId,
    /// The transaction key that is used up.
    pub key_id: KeyId,
    /// `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`, 136 bytes.
    pub encrypted_password_hash: Base64,
    /// What the member chose.
    pub terms: ServicesTerms,
}

/// What the app brings for a Vault Services Credential; the `params` that its password proof is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesTerms {
    /// Salt of the password, 16 bytes.
    pub password_salt: Base64,
    /// Inner layer that the app sealed with `inner_seq` 1: `nonce[24] ‖ ciphertext ‖ tag`, closed to services.
    pub secrets: Base64,
}

/// Answer to `POST /v1/credentials/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesKeys {
    /// Fingerprint of services as an issuer.
    pub issuer: Fingerprint,
    /// New keys.
    pub new_transaction_keys: Vec<TransactionKey>,
    /// Every key that services take, the new ones included.
    pub live_key_ids: Vec<KeyId>,
}

/// The part of a recovery container for the Vault Services Credential: its password is the same, all else is its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesCredentialBackup {
    /// The newest package.
    pub package: CredentialPackage,
    /// Fingerprint of services as its issuer.
    pub issuer: Fingerprint,
    /// Salt of the password, 16 bytes.
    pub password_salt: Base64,
    /// The app's half of the password.
    pub device_secret: SecretField,
    /// Transaction keys that were not used yet.
    pub transaction_keys: Vec<TransactionKey>,
    /// Highest epoch that the app knows; a lower one is refused.
    pub credential_epoch: u64,
}
