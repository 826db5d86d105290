//! What the app keeps for recoveries: the keys that a phrase gave, never the phrase; and on a new device who it is.

use crate::lock::KnownLock;
use crate::store::{Hold, Place, StoreError, to_bytes};
use serde::{Deserialize, Serialize};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::recovery::RecoveryKeys;
use vettid_crypto::stored;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialPackage, VaultSeen};
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId};

const VERSION: u8 = 1;

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Seal the next container.
    #[serde(with = "stored")]
    pub(super) keys: Option<RecoveryKeys>,
    /// Of the last container that was made.
    pub(super) sequence: u64,
    /// SHA-256 of the newest blob in the last container that services took.
    pub(super) stored: Option<Digest>,
    /// A device that recovered and is not enrolled yet.
    pub(super) device: Option<NewDevice>,
    /// The packages of the last container, newest first: recovery material, and never used for anything else.
    #[serde(default)]
    pub(super) before: Before,
    /// Salt of the Services Credential that came with the container: its device secret is that of the device before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inherited: Option<Base64>,
}

/// What the next container takes over from the last one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    /// Of the password that they need.
    pub(super) salt: Base64,
    pub(super) packages: Vec<CredentialPackage>,
}

/// A device that recovered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevice {
    pub(super) guid: MemberId,
    /// The key by which services know it.
    #[serde(with = "stored")]
    pub(super) signing: SigningKey,
    pub(super) services_url: String,
    pub(super) trust: String,
    /// There is a vault, and it did not let this device in yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
}

/// What a device needs to get into its vault.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    pub(super) recovery_id: EventId,
    /// How far the app before had seen the vault.
    pub(super) seen: Option<VaultSeen>,
    /// The lock of the vault, if the container told of one.
    pub(super) lock: Option<KnownLock>,
}

/// Whether keys that a phrase gave are kept.
pub(crate) fn has_keys(hold: &impl Hold) -> Result<bool, StoreError> {
    Ok(Kept::load(hold)?.is_some_and(|kept| kept.keys.is_some()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned<T> {
    version: u8,
    recovery: T,
}

impl Kept {
    /// What is stored; `None` if nothing is.
    pub(super) fn load(hold: &impl Hold) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = hold.load(Place::Recovery)? else { return Ok(None) };
        let stored: Versioned<Self> = serde_json::from_slice(bytes.expose()).map_err(StoreError::Form)?;
        if stored.version == VERSION {
            Ok(Some(stored.recovery))
        } else {
            Err(StoreError::Version { found: stored.version })
        }
    }

    /// Stores it.
    pub(super) fn save(&self, hold: &mut impl Hold) -> Result<(), StoreError> {
        let bytes = to_bytes(&Versioned { version: VERSION, recovery: self })?;
        hold.save(Place::Recovery, &bytes)
    }
}
