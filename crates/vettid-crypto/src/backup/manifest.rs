//! Backup manifests: signed by the vault, and compared with a sealed file without any key (spec 2.10).

use vettid_wire::backup::{BackupManifest, FORMAT, MANIFEST_TYPE, MANIFEST_VERSION};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::json;

use super::chunk_root;
use crate::identity::{SigningKey, VerifyingKey};
use crate::kdf;
use crate::signature::{self, Context, SignatureError, Verified};

/// What a manifest says about its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Length, in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
    /// RFC 6962 root over chunks of 64 KiB.
    pub chunk_root: Digest,
}

impl FileFacts {
    /// Measures a sealed file.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        Self {
            size: sealed.len() as u64,
            sha256: Digest::from_bytes(kdf::h256(sealed)),
            chunk_root: Digest::from_bytes(chunk_root(sealed)),
        }
    }

    /// What a verified manifest says.
    #[must_use]
    pub fn claimed(manifest: &Verified<BackupManifest>) -> Self {
        let BackupManifest { size, sha256, chunk_root, .. } = *manifest.get();
        Self { size, sha256, chunk_root }
    }
}

/// Signs a manifest; `key_id` and `signature` are filled in.
///
/// # Errors
/// [`SignatureError::NotSignable`] for a number outside the profile.
pub fn sign(manifest: BackupManifest, key: &SigningKey) -> Result<BackupManifest, SignatureError> {
    let named = BackupManifest { key_id: key.key_id(), signature: Base64::default(), ..manifest };
    let signature = signature::sign(Context::BackupManifest, key, &named)?;
    Ok(BackupManifest { signature, ..named })
}

/// Reads a manifest that this key signed.
///
/// # Errors
/// [`SignatureError`], also for another type, version or format.
pub fn verify(bytes: &[u8], key: &VerifyingKey) -> Result<Verified<BackupManifest>, SignatureError> {
    let received = json::parse(bytes).map_err(SignatureError::NotSignable)?;
    let manifest: Verified<BackupManifest> = signature::open(Context::BackupManifest, key, received)?;
    let BackupManifest { kind, version, format, .. } = manifest.get();
    let known = kind == MANIFEST_TYPE && *version == MANIFEST_VERSION && format == FORMAT;
    if known { Ok(manifest) } else { Err(SignatureError::Invalid) }
}

/// `prev_manifest_hash` of the manifest after this one.
///
/// # Errors
/// [`json::JsonError`] for a number outside the profile.
pub fn hash(manifest: &BackupManifest) -> Result<Digest, json::JsonError> {
    Ok(Digest::from_bytes(kdf::h256(&json::canonical(manifest)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;
    use vettid_wire::backup::BackupTrigger;
    use vettid_wire::id::{EventId, Fingerprint, MemberId};
    use vettid_wire::time::Timestamp;

    fn key() -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([1; 32]))
    }

    fn manifest() -> BackupManifest {
        let FileFacts { size, sha256, chunk_root } = FileFacts::of(b"sealed");
        BackupManifest {
            kind: MANIFEST_TYPE.to_owned(),
            version: MANIFEST_VERSION,
            backup_id: EventId::from_bytes([1; 16]),
            guid: MemberId::from_bytes([2; 16]),
            vault_fp: Fingerprint::from_bytes([3; 32]),
            created_at: Timestamp::from_unix_ms(0),
            sequence: 1,
            prev_manifest_hash: Digest::from_bytes([0; 32]),
            format: FORMAT.to_owned(),
            backup_key_id: key().key_id(),
            credential_version: 1,
            credential_epoch: 1,
            incarnation: 1,
            journal_seq: 1,
            audit_seq: 1,
            audit_hash: Digest::from_bytes([4; 32]),
            schema_version: 1,
            trigger: BackupTrigger::Scheduled,
            size,
            sha256,
            chunk_root,
            key_id: key().key_id(),
            signature: Base64::default(),
        }
    }

    #[test]
    fn a_signed_manifest_tells_its_file() {
        let signed = sign(manifest(), &key()).unwrap();
        let verified = verify(&json::canonical(&signed).unwrap(), &key().verifying_key()).unwrap();
        assert_eq!(FileFacts::claimed(&verified), FileFacts::of(b"sealed"));
        assert_ne!(FileFacts::claimed(&verified), FileFacts::of(b"sealee"));
        assert_ne!(hash(&signed).unwrap(), hash(&manifest()).unwrap());
    }

    #[test]
    fn a_changed_manifest_is_refused() {
        let signed = serde_json::to_value(sign(manifest(), &key()).unwrap()).unwrap();
        let other = SigningKey::from_seed(&Secret32::from_bytes([2; 32]));
        let bytes = |value: &serde_json::Value| json::canonical(value).unwrap();
        assert!(verify(&bytes(&signed), &other.verifying_key()).is_err());
        for field in ["sequence", "size", "incarnation", "credential_epoch", "journal_seq"] {
            let mut changed = signed.clone();
            changed[field] = 2.into();
            assert!(verify(&bytes(&changed), &key().verifying_key()).is_err(), "{field}");
        }
        let mut more = signed;
        more["note"] = "x".into();
        assert!(verify(&bytes(&more), &key().verifying_key()).is_err());
    }

    #[test]
    fn another_kind_of_object_is_refused_though_it_is_signed() {
        let others = [
            BackupManifest { kind: "other".to_owned(), ..manifest() },
            BackupManifest { version: 2, ..manifest() },
            BackupManifest { format: "zip".to_owned(), ..manifest() },
        ];
        for other in others {
            let signed = sign(other, &key()).unwrap();
            assert!(verify(&json::canonical(&signed).unwrap(), &key().verifying_key()).is_err(), "{signed:?}");
        }
    }
}
