//! Sealing of values before they reach a disk or a server, and the sealed file (spec 2.1, storage key).
//!
//! The one format: `"VAR" ‖ u8 1 ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`. Each value is bound to its place
//! through the AAD, so that a valid value copied to another place does not open.

use std::fmt;

use rand_core::CryptoRng;

use crate::committed::{OVERHEAD_BYTES, Padding, Schedule, Undecryptable};
use crate::kdf::Lp;
use crate::secret::{Secret32, SecretBytes};
use crate::stored::{InvalidStored, SecretText, Stored};

const LABEL: &str = "vettid-at-rest-v1";
const FILE_LABEL: &[u8] = b"vettid-at-rest-v1 file";
const MAGIC: &[u8; 4] = b"VAR\x01";

/// Bytes that sealing adds.
pub const SEAL_OVERHEAD_BYTES: usize = MAGIC.len() + OVERHEAD_BYTES;

/// The key under which one vault or one program keeps its values.
pub struct StorageKey(Secret32);

impl StorageKey {
    /// A fresh key.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }

    /// A key that a sealer released.
    #[must_use]
    pub fn from_secret(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The bytes, for the sealer that keeps this key. Never log or store them in clear.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StorageKey")
    }
}

impl Stored for StorageKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.0.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Secret32::from_form(form).map(Self)
    }
}

/// Seals a value; `aad` names its place and goes into the key.
#[must_use]
pub fn seal(key: &StorageKey, aad: &[u8], plaintext: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    let header = header(aad);
    let mut sealed = MAGIC.to_vec();
    sealed.append(&mut schedule(key, &header).seal(rng, Padding::None, plaintext));
    sealed
}

/// Opens a value of this key and place.
///
/// # Errors
/// [`Undecryptable`], whatever is wrong.
pub fn open(key: &StorageKey, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
    let body = sealed.strip_prefix(MAGIC).ok_or(Undecryptable)?;
    schedule(key, &header(aad)).open(Padding::None, body)
}

fn header(aad: &[u8]) -> Vec<u8> {
    Lp::labelled_with_capacity(LABEL, MAGIC.len() + 4 + aad.len()).raw(MAGIC).lp(aad).finish()
}

fn schedule<'a>(key: &'a StorageKey, header: &'a [u8]) -> Schedule<'a> {
    Schedule { label: LABEL, header, shared: &key.0, psk: &[] }
}

/// A sealed file cannot be read. An operator's matter: the causes are kept apart as far as they are harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedFileError {
    /// Another kind of file, or a newer format.
    #[error("not a sealed file that this version can read")]
    Format,
    /// Another key, another purpose, or changed bytes.
    #[error("the sealed file does not open with this key")]
    Undecryptable,
}

/// The content of a sealed file; `purpose` says what it is for and is needed to open it.
#[must_use]
pub fn seal_file(key: &StorageKey, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    seal(key, &file_aad(purpose), plaintext, rng)
}

/// Opens the content of a sealed file of this purpose.
///
/// # Errors
/// [`SealedFileError`].
pub fn open_file(key: &StorageKey, purpose: &str, content: &[u8]) -> Result<SecretBytes, SealedFileError> {
    if !is_sealed_file(content) {
        return Err(SealedFileError::Format);
    }
    open(key, &file_aad(purpose), content).map_err(|Undecryptable| SealedFileError::Undecryptable)
}

/// Whether a file begins like a sealed one.
#[must_use]
pub fn is_sealed_file(content: &[u8]) -> bool {
    content.starts_with(MAGIC)
}

fn file_aad(purpose: &str) -> Vec<u8> {
    [FILE_LABEL, b"\0", purpose.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;

    fn key(byte: u8) -> StorageKey {
        StorageKey::from_secret(Secret32::from_bytes([byte; 32]))
    }

    #[test]
    fn each_changed_bit_is_refused() {
        let sealed = seal(&key(1), b"place", b"value", &mut Scripted::counting());
        assert_eq!(sealed.len(), b"value".len() + SEAL_OVERHEAD_BYTES);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key(1), b"place", &changed).err(), Some(Undecryptable));
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), b"place", &sealed[..length]).is_err());
        }
        assert!(open(&key(2), b"place", &sealed).is_err());
        assert!(open(&key(1), b"other", &sealed).is_err());
    }

    #[test]
    fn a_file_is_bound_to_its_purpose() {
        let content = seal_file(&key(1), "operator keys", b"seed", &mut Scripted::counting());
        assert_eq!(open_file(&key(1), "operator keys", &content).unwrap().expose(), b"seed");
        assert_eq!(open_file(&key(1), "app state", &content).err(), Some(SealedFileError::Undecryptable));
        assert_eq!(open_file(&key(2), "operator keys", &content).err(), Some(SealedFileError::Undecryptable));
        assert_eq!(open_file(&key(1), "operator keys", b"{}").err(), Some(SealedFileError::Format));
        let newer = [b"VAR\x02", &content[4..]].concat();
        assert_eq!(open_file(&key(1), "operator keys", &newer).err(), Some(SealedFileError::Format));
        assert!(open(&key(1), b"operator keys", &content).is_err());
    }

    #[test]
    fn debug_shows_the_type_name_only() {
        assert_eq!(format!("{:?}", key(0xab)), "StorageKey");
    }

    proptest! {
        #[test]
        fn opens_to_what_was_sealed(secret: [u8; 32], aad: Vec<u8>, other: Vec<u8>, text: Vec<u8>) {
            let key = StorageKey::from_secret(Secret32::from_bytes(secret));
            let sealed = seal(&key, &aad, &text, &mut Scripted::counting());
            let opened = open(&key, &aad, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), text.as_slice());
            prop_assert_eq!(open(&key, &other, &sealed).is_ok(), aad == other);
        }
    }
}
