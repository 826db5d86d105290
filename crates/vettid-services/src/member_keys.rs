//! The keys with which services serve members: one signs tokens of the HTTP API, one seals what the ledger keeps of
//! members' credentials. In a sealed file of their own. Must never be made anew beside what the older ones sealed.

use crate::keys::{Bootstraps, KeysError};
use crate::randomness;
use serde::{Deserialize, Serialize};
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::recovery::{RecoverySalt, RecoveryVerifier};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::json::{self, JsonError};

const FILE: &str = "members";

/// The form of the sealed file.
#[derive(Serialize, Deserialize)]
enum Version {
    #[serde(rename = "1")]
    One,
}

/// The keys, as in the sealed file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberKeys {
    version: Version,
    /// Signs tokens of the HTTP API.
    #[serde(with = "vettid_crypto::stored")]
    pub(crate) action_signing: SigningKey,
    #[serde(with = "vettid_crypto::stored")]
    ledger: StorageKey,
    #[serde(with = "vettid_crypto::stored")]
    decoys: Secret32,
}

impl std::fmt::Debug for MemberKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemberKeys")
    }
}

impl MemberKeys {
    /// Reads the keys, or makes them; `in_use` says whether the ledger holds something that they sealed.
    ///
    /// # Errors
    /// [`KeysError`]
    pub(crate) fn load_or_make(sealed: &Bootstraps, in_use: bool) -> Result<Self, KeysError> {
        if let Some(content) = sealed.folder.read(FILE)? {
            return json::read(content.expose()).map_err(KeysError::Form);
        }
        if in_use {
            return Err(KeysError::Lost);
        }
        let rng = &mut randomness::system();
        let keys = Self {
            version: Version::One,
            action_signing: SigningKey::random(rng),
            ledger: StorageKey::random(rng),
            decoys: Secret32::random(rng),
        };
        let content = serde_json::to_vec(&keys).map_err(|error| KeysError::Form(JsonError::Shape(error)))?;
        sealed.folder.write(FILE, &SecretBytes::new(content), rng)?;
        Ok(keys)
    }

    /// Seals a value for one place of the ledger.
    pub(crate) fn seal(&self, place: &str, value: &[u8]) -> Vec<u8> {
        at_rest::seal(&self.ledger, place.as_bytes(), value, &mut randomness::system())
    }

    /// Opens the value of a place of the ledger.
    ///
    /// # Errors
    /// [`vettid_crypto::Undecryptable`] if it is not what these keys sealed for this place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<SecretBytes, vettid_crypto::Undecryptable> {
        at_rest::open(&self.ledger, place.as_bytes(), sealed)
    }

    /// A salt for a code behind which there is none: always the same for the same token.
    pub(crate) fn decoy_salt(&self, token: &[u8]) -> RecoverySalt {
        RecoverySalt::decoy(&self.decoys, token)
    }

    /// A verifier that no proof fits, to compare with where there is none.
    pub(crate) fn decoy_verifier(&self) -> RecoveryVerifier {
        RecoveryVerifier::from_secret(self.decoys.duplicate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;
    use tempfile::TempDir;
    use vettid_wire::time::Timestamp;

    fn sealed(folder: &TempDir) -> Bootstraps {
        let (data, key) = (folder.path().join("data"), folder.path().join("services.key"));
        keys::load_or_make(&data, &key, Timestamp::from_unix_ms(1_800_000_000_000)).unwrap().1
    }

    #[test]
    fn later_starts_have_the_same_keys() {
        let folder = TempDir::new().unwrap();
        let first = MemberKeys::load_or_make(&sealed(&folder), false).unwrap();
        let value = first.seal("a", b"canary");
        let second = MemberKeys::load_or_make(&sealed(&folder), true).unwrap();
        assert_eq!(first.action_signing.key_id(), second.action_signing.key_id());
        assert_eq!(second.open("a", &value).unwrap().expose(), b"canary");
        assert!(second.open("b", &value).is_err(), "another place");
        assert!(!value.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn keys_are_not_made_anew_beside_what_they_sealed() {
        let folder = TempDir::new().unwrap();
        assert!(matches!(MemberKeys::load_or_make(&sealed(&folder), true), Err(KeysError::Lost)));
    }
}
