//! The manifest of a backup: signed, beside the object and inside it (spec 2.10). Form only.

use crate::base64::Base64;
use crate::digest::Digest;
use crate::id::{EventId, Fingerprint, KeyId, MemberId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The `type` of a [`BackupManifest`].
pub const MANIFEST_TYPE: &str = "vettid_backup_manifest";
/// The `version` of a [`BackupManifest`].
pub const MANIFEST_VERSION: u64 = 1;
/// The `format` of a [`BackupManifest`]: an age file that holds a `VBP1` payload.
pub const FORMAT: &str = "age-encryption.org/v1+VBP1";

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupTrigger {
    /// Daily.
    Scheduled,
    /// The member asked.
    Member,
    /// The operator asked; to the pinned key only.
    Operator,
    /// Before the vault stops.
    BeforeStop,
    /// Before the membership expires.
    BeforeExpiry,
    /// After a change of the backup key.
    KeyRotation,
}

/// A signed backup manifest (ctx `vettid/backup-manifest/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupManifest {
    /// [`MANIFEST_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// [`MANIFEST_VERSION`].
    pub version: u64,
    /// Names the backup.
    pub backup_id: EventId,
    /// The member.
    pub guid: MemberId,
    /// Identity of the vault that made it.
    pub vault_fp: Fingerprint,
    /// When.
    pub created_at: Timestamp,
    /// Rises with each backup of a vault.
    pub sequence: u64,
    /// SHA-256 of the canonical bytes of the manifest before; zeros for the first.
    pub prev_manifest_hash: Digest,
    /// [`FORMAT`].
    pub format: String,
    /// The backup key that it was sealed for.
    pub backup_key_id: KeyId,
    /// The credential that was in force.
    pub credential_version: u64,
    /// Its epoch.
    pub credential_epoch: u64,
    /// Incarnation of the vault.
    pub incarnation: u64,
    /// The journal commit at which it was taken.
    pub journal_seq: u64,
    /// Number of audit entries.
    pub audit_seq: u64,
    /// Hash of the last audit entry.
    pub audit_hash: Digest,
    /// Version of the records inside.
    pub schema_version: u64,
    /// Why it was made.
    pub trigger: BackupTrigger,
    /// Length of the sealed file, in bytes.
    pub size: u64,
    /// SHA-256 of the sealed file.
    pub sha256: Digest,
    /// RFC 6962 root over its chunks of 64 KiB.
    pub chunk_root: Digest,
    /// The vault key that signed.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}
