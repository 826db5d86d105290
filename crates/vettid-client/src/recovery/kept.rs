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
use vettid_wire::time::Timestamp;

const VERSION: u8 = 1;

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Seal the next container.
    #[serde(with = "stored")]
    pub(super) keys: Option<RecoveryKeys>,
    /// When the phrase was made that gave them; `None` if that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys_made_at: Option<Timestamp>,
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

/// Keys that a phrase gave are kept.
pub(crate) struct HasKeys {
    /// When the phrase was made, where that is recorded.
    pub(crate) made_at: Option<Timestamp>,
}

/// Whether keys that a phrase gave are kept.
pub(crate) fn has_keys(hold: &impl Hold) -> Result<Option<HasKeys>, StoreError> {
    let kept = Kept::load(hold)?.filter(|kept| kept.keys.is_some());
    Ok(kept.map(|kept| HasKeys { made_at: kept.keys_made_at }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::store::Store;
    use crate::store::file::FileStore;
    use vettid_crypto::recovery::{RecoveryPhrase, RecoverySalt};

    const PHRASE: &str =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    /// An earlier program stored the keys of a phrase without the time.
    #[tokio::test]
    async fn the_age_of_a_phrase_is_kept_and_that_of_an_older_one_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("app"), SystemRandom::new().unwrap());
        let mut hold = store.hold().await.unwrap();
        let made_at = Some(Timestamp::from_unix_ms(1_800_000_000_000));
        Kept { keys_made_at: made_at, ..Kept::default() }.save(&mut hold).unwrap();
        assert!(has_keys(&hold).unwrap().is_none(), "a time is no key");
        let keys = RecoveryPhrase::parse(PHRASE).unwrap().keys(&RecoverySalt::from_bytes([2; 16])).unwrap();
        Kept { keys: Some(keys), keys_made_at: made_at, ..Kept::default() }.save(&mut hold).unwrap();
        assert_eq!(has_keys(&hold).unwrap().unwrap().made_at, made_at);

        let bytes = hold.load(Place::Recovery).unwrap().unwrap();
        let mut older: serde_json::Value = serde_json::from_slice(bytes.expose()).unwrap();
        assert!(older["recovery"].as_object_mut().unwrap().remove("keys_made_at").is_some());
        hold.save(Place::Recovery, &serde_json::to_vec(&older).unwrap()).unwrap();
        assert_eq!(has_keys(&hold).unwrap().unwrap().made_at, None);
    }
}
