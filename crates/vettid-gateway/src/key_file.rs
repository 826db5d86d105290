//! Secrets that lie in files of their own: the key of the sealed state and the key of the HTTP face. Made when they are
//! first needed; never made anew over a state that was sealed with a lost one.

use crate::files::{self, FileError};
use crate::random;
use std::fmt;
use std::path::{Path, PathBuf};
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::{decode, encode, encode_url};
use zeroize::Zeroizing;

/// Shortest key of the HTTP face in bytes.
const MIN_API_KEY_BYTES: usize = 32;

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not 32 bytes in base64.
    #[error("{0}: does not hold a key: 32 bytes in base64 on one line")]
    NotAKey(PathBuf),
    /// Too short to be safe, or with characters that cannot stand in a header.
    #[error("{0}: an API key has 32 or more letters, digits and signs on one line")]
    NotAnApiKey(PathBuf),
    /// The state was sealed with a key that is not there.
    #[error("{0}: the key of the sealed state is missing; without it the state cannot be opened")]
    Lost(PathBuf),
}

/// Reads the key of the sealed state; makes it at the first start. `state_exists`: something was sealed with it before.
///
/// # Errors
/// See [`KeyFileError`].
pub(crate) fn storage_key(path: &Path, state_exists: bool) -> Result<StorageKey, KeyFileError> {
    match files::read_secret_text(path)? {
        Some(text) => {
            let bytes = Zeroizing::new(decode(text.trim_end()).unwrap_or_default());
            let secret = Secret32::from_slice(&bytes).ok_or_else(|| KeyFileError::NotAKey(path.to_owned()))?;
            Ok(StorageKey::from_secret(secret))
        }
        None if state_exists => Err(KeyFileError::Lost(path.to_owned())),
        None => {
            let key = StorageKey::random(&mut random::system());
            let text = Zeroizing::new(format!("{}\n", encode(key.expose())));
            files::create_secret(path, text.as_bytes())?;
            Ok(key)
        }
    }
}

/// What programs of the service show to be let in. Kept as a hash, so that comparing takes the same time for every guess.
pub(crate) struct ApiKey(Secret32);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

impl ApiKey {
    /// Reads the key; makes it at the first start.
    pub(crate) fn read_or_make(path: &Path) -> Result<Self, KeyFileError> {
        if let Some(text) = files::read_secret_text(path)? {
            let text = text.trim_end();
            let sound = text.len() >= MIN_API_KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
            return if sound { Ok(Self::of(text)) } else { Err(KeyFileError::NotAnApiKey(path.to_owned())) };
        }
        let text = Zeroizing::new(encode_url(&random::bytes::<32>()));
        files::create_secret(path, Zeroizing::new(format!("{}\n", text.as_str())).as_bytes())?;
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        Self(Secret32::from_bytes(h256(text.as_bytes())))
    }

    /// Whether this is the key; takes the same time for every guess.
    pub(crate) fn is(&self, shown: &str) -> bool {
        self.0 == Secret32::from_bytes(h256(shown.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_key_of_a_state_is_made_once_and_never_over_a_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.key");
        assert!(matches!(storage_key(&path, true), Err(KeyFileError::Lost(_))));
        let first = storage_key(&path, false).unwrap();
        let second = storage_key(&path, true).unwrap();
        assert_eq!(first.expose(), second.expose());
        fs::write(&path, "short").unwrap();
        assert!(matches!(storage_key(&path, true), Err(KeyFileError::NotAKey(_))));
    }

    #[test]
    fn an_api_key_is_long_and_compared_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.key");
        let key = ApiKey::read_or_make(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(key.is(text.trim_end()) && !key.is("") && !key.is(&text));
        assert!(ApiKey::read_or_make(&path).unwrap().is(text.trim_end()));
        fs::write(&path, "short\n").unwrap();
        assert!(matches!(ApiKey::read_or_make(&path), Err(KeyFileError::NotAnApiKey(_))));
    }
}
