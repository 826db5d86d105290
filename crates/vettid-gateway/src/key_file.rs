//! Secrets that lie in files of their own: the key of the sealed state, with the time at which it was made, and the key of the HTTP face. Made
//! when they are first needed; never made anew over a state that was sealed with a lost one.

use crate::files::{self, FileError};
use crate::random;
use std::fmt;
use std::path::{Path, PathBuf};
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::{decode, encode, encode_url};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// Shortest key of the HTTP face in bytes.
const MIN_API_KEY_BYTES: usize = 32;

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not 32 bytes in base64, or something else than a time beside it.
    #[error(
        "{0}: does not hold a key: 32 bytes in base64 on one line, and on the next, if there is one, when it was made"
    )]
    NotAKey(PathBuf),
    /// Too short to be safe, or with characters that cannot stand in a header.
    #[error("{0}: an API key has 32 or more letters, digits and signs on one line")]
    NotAnApiKey(PathBuf),
    /// The state was sealed with a key that is not there.
    #[error("{0}: the key of the sealed state is missing; without it the state cannot be opened")]
    Lost(PathBuf),
}

/// The key of the sealed state.
pub(crate) struct StateKey {
    pub(crate) key: StorageKey,
    /// Of a key that was made before this was recorded, or by somebody else, it is not known.
    pub(crate) made_at: Option<Timestamp>,
}

impl StateKey {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.trim_end().lines();
        let bytes = Zeroizing::new(decode(lines.next()?).ok()?);
        let key = StorageKey::from_secret(Secret32::from_slice(&bytes)?);
        let made_at = lines.next().map(str::parse).transpose().ok()?;
        lines.next().is_none().then_some(Self { key, made_at })
    }
}

/// Reads the key of the sealed state; makes it at the first start, `now`. `state_exists`: something was sealed with it before.
///
/// # Errors
/// See [`KeyFileError`].
pub(crate) fn storage_key(path: &Path, state_exists: bool, now: Timestamp) -> Result<StateKey, KeyFileError> {
    match files::read_secret_text(path)? {
        Some(text) => StateKey::read(&text).ok_or_else(|| KeyFileError::NotAKey(path.to_owned())),
        None if state_exists => Err(KeyFileError::Lost(path.to_owned())),
        None => {
            let key = StorageKey::random(&mut random::system());
            let text = Zeroizing::new(format!("{}\n{now}\n", encode(key.expose())));
            files::create_secret(path, text.as_bytes())?;
            Ok(StateKey { key, made_at: Some(now) })
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
        let [first, later] = [1_800_000_000_000, 1_900_000_000_000].map(Timestamp::from_unix_ms);
        assert!(matches!(storage_key(&path, true, first), Err(KeyFileError::Lost(_))));
        let made = storage_key(&path, false, first).unwrap();
        let read = storage_key(&path, true, later).unwrap();
        assert_eq!(made.key.expose(), read.key.expose());
        assert_eq!(
            (made.made_at, read.made_at),
            (Some(first), Some(first)),
            "a key keeps the time at which it was made"
        );
        // One of an earlier version has no time, and none is guessed.
        fs::write(&path, format!("{}\n", encode(made.key.expose()))).unwrap();
        let old = storage_key(&path, true, later).unwrap();
        assert_eq!((old.key.expose(), old.made_at), (made.key.expose(), None));
        for wrong in [
            "short".to_owned(),
            format!("{}\nyesterday\n", encode(made.key.expose())),
            format!("{0}\n{first}\n{0}", encode(made.key.expose())),
        ] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(storage_key(&path, true, later), Err(KeyFileError::NotAKey(_))));
        }
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
