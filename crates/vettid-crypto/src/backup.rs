//! Backup boxes: files of the age format, version 1, for X25519 recipients (spec 2.10), which a stock `age` opens too.
//!
//! Must never hand out a part of a content: every chunk verifies, or nothing comes back.

pub(crate) mod format;
pub mod manifest;
mod reader;
mod writer;

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::audit::merkle;
use crate::committed::Undecryptable;
use crate::secret::{Secret32, SecretBytes};
use crate::stored::{InvalidStored, SecretText, Stored};
use crate::suite::x25519;
use reader::File;

/// Most recipients of one file.
pub const MAX_STANZAS: usize = 8;
/// Longest header, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Length of the chunks that [`chunk_root`] hashes.
pub const CHUNK_BYTES: usize = 64 * 1024;

const SECRET_HRP: &str = "age-secret-key-";
const PUBLIC_HRP: &str = "age";

/// `bk`: the member's private backup key.
pub struct BackupKey {
    secret: x25519::SecretKey,
    bytes: Secret32,
}

/// The text is not an X25519 key in the form of `age`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key in the form of age")]
pub struct InvalidAgeKey;

impl BackupKey {
    /// A fresh key.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::from_secret(Secret32::random(rng))
    }

    /// A stored key.
    #[must_use]
    pub fn from_secret(bytes: Secret32) -> Self {
        Self { secret: x25519::SecretKey::from_secret(bytes.duplicate()), bytes }
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> BackupRecipient {
        BackupRecipient(self.secret.public_key())
    }

    /// `AGE-SECRET-KEY-1…`, for a member who opens a file with a stock `age`. Never log, store or send it.
    #[must_use]
    pub fn to_age_identity(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(128));
        let done = bech32::encode_upper_to_fmt::<Bech32, _>(&mut *text, hrp(SECRET_HRP), self.bytes.expose());
        assert!(done.is_ok(), "32 bytes fit into a bech32 text");
        text
    }

    /// Reads `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    /// [`InvalidAgeKey`].
    pub fn from_age_identity(text: &str) -> Result<Self, InvalidAgeKey> {
        decode(SECRET_HRP, text).map(Self::from_secret)
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BackupKey")
    }
}

impl Stored for BackupKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.bytes.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Secret32::from_form(form).map(Self::from_secret)
    }
}

/// Somebody for whom a backup is sealed; written `age1…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupRecipient(x25519::PublicKey);

impl BackupRecipient {
    /// Wraps a public key.
    #[must_use]
    pub fn new(key: x25519::PublicKey) -> Self {
        Self(key)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &x25519::PublicKey {
        &self.0
    }
}

impl fmt::Display for BackupRecipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        bech32::encode_lower_to_fmt::<Bech32, _>(formatter, hrp(PUBLIC_HRP), bytes).map_err(|_| fmt::Error)
    }
}

impl FromStr for BackupRecipient {
    type Err = InvalidAgeKey;
    fn from_str(text: &str) -> Result<Self, InvalidAgeKey> {
        if text.contains(|letter: char| letter.is_ascii_uppercase()) {
            return Err(InvalidAgeKey);
        }
        decode(PUBLIC_HRP, text).map(|bytes| Self(x25519::PublicKey::from_bytes(*bytes.expose())))
    }
}

fn hrp(text: &'static str) -> Hrp {
    let Ok(hrp) = Hrp::parse(text) else { unreachable!("the prefixes of age are valid") };
    hrp
}

fn decode(prefix: &'static str, text: &str) -> Result<Secret32, InvalidAgeKey> {
    let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|_| InvalidAgeKey)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    bytes.extend(parsed.byte_iter().take(64));
    if parsed.hrp() != hrp(prefix) {
        return Err(InvalidAgeKey);
    }
    Secret32::from_slice(&bytes).ok_or(InvalidAgeKey)
}

/// Why a backup cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealBackupError {
    /// No recipient, or more than [`MAX_STANZAS`].
    #[error("a backup has 1 to {MAX_STANZAS} recipients")]
    Recipients,
    /// A recipient key of low order.
    #[error("a recipient key cannot be used")]
    Key,
}

/// Seals a content for every recipient.
///
/// # Errors
/// [`SealBackupError`].
pub fn seal(
    recipients: &[BackupRecipient],
    content: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SealBackupError> {
    writer::write(recipients, content, rng)
}

/// Opens a file of at most `max_bytes` (the size that its manifest declares).
///
/// # Errors
/// [`Undecryptable`], whatever is wrong.
pub fn open(key: &BackupKey, sealed: &[u8], max_bytes: usize) -> Result<SecretBytes, Undecryptable> {
    let file = parse(sealed, max_bytes)?;
    file.content(&file.unwrap(&key.secret)?)
}

fn parse(sealed: &[u8], max_bytes: usize) -> Result<File<'_>, Undecryptable> {
    if sealed.len() > max_bytes { Err(Undecryptable) } else { File::parse(sealed) }
}

/// The key of one file. Whoever has it can open this file and no other.
pub struct BackupFileKey(Box<Zeroizing<[u8; 16]>>);

impl BackupFileKey {
    /// Unwraps the file key from the first bytes of a file (header and nonce), without its body.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn unwrap(key: &BackupKey, head: &[u8]) -> Result<Self, Undecryptable> {
        File::parse(head)?.unwrap(&key.secret)
    }

    /// A fresh file key.
    pub(crate) fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut place = Box::new(Zeroizing::new([0; 16]));
        rng.fill_bytes(place.as_mut_slice());
        Self(place)
    }

    /// A received file key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let mut place = Box::new(Zeroizing::new([0; 16]));
        place.copy_from_slice(bytes);
        Self(place)
    }

    /// The bytes, to be sealed for the vault that restores. Never log or store them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Opens the file that this key belongs to.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, sealed: &[u8], max_bytes: usize) -> Result<SecretBytes, Undecryptable> {
        parse(sealed, max_bytes)?.content(self)
    }
}

impl fmt::Debug for BackupFileKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BackupFileKey")
    }
}

/// RFC 6962 root over the chunks of a file: a store that returns a part of it can be checked without keys.
#[must_use]
pub fn chunk_root(sealed: &[u8]) -> [u8; 32] {
    merkle::root_of(sealed.chunks(CHUNK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    #[test]
    fn keys_have_the_form_of_age() {
        // From the age specification, "X25519 recipient type".
        let key =
            BackupKey::from_age_identity("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
                .unwrap();
        assert_eq!(key.bytes.expose(), &[0x42; 32]);
        let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        assert_eq!(key.recipient().to_string(), recipient);
        assert_eq!(recipient.parse::<BackupRecipient>().unwrap(), key.recipient());
        assert_eq!(BackupKey::from_age_identity(&key.to_age_identity()).unwrap().recipient(), key.recipient());
        for wrong in [&recipient.to_uppercase(), &recipient[..61], &recipient.replace("j", "q"), "", "age1"] {
            assert!(wrong.parse::<BackupRecipient>().is_err(), "{wrong}");
        }
        assert!(BackupKey::from_age_identity(recipient).is_err());
    }

    #[test]
    fn a_file_key_opens_its_own_file_only() {
        let mut rng = Scripted::counting();
        let (key, other) = (BackupKey::random(&mut rng), BackupKey::random(&mut rng));
        let sealed = seal(&[key.recipient()], b"content", &mut rng).unwrap();
        let second = seal(&[key.recipient()], b"other content", &mut rng).unwrap();
        let head_bytes = sealed.len() - b"content".len() - 16;
        let file_key = BackupFileKey::unwrap(&key, &sealed[..head_bytes]).unwrap();
        assert_eq!(file_key.open(&sealed, sealed.len()).unwrap().expose(), b"content");
        assert_eq!(file_key.open(&second, second.len()).err(), Some(Undecryptable));
        assert!(BackupFileKey::unwrap(&other, &sealed).is_err());
        assert!(BackupFileKey::unwrap(&key, &sealed[..head_bytes - 1]).is_err());
        assert_eq!(format!("{file_key:?} {key:?}"), "BackupFileKey BackupKey");
    }

    #[test]
    fn a_file_above_its_declared_size_is_refused() {
        let mut rng = Scripted::counting();
        let key = BackupKey::random(&mut rng);
        let sealed = seal(&[key.recipient()], b"content", &mut rng).unwrap();
        assert!(open(&key, &sealed, sealed.len()).is_ok());
        assert_eq!(open(&key, &sealed, sealed.len() - 1).err(), Some(Undecryptable));
    }

    #[test]
    fn a_backup_has_one_to_eight_recipients() {
        let mut rng = Scripted::counting();
        let keys: Vec<_> = (1..=9).map(|seed| BackupKey::from_secret(Secret32::from_bytes([seed; 32]))).collect();
        let recipients: Vec<_> = keys.iter().map(BackupKey::recipient).collect();
        assert_eq!(seal(&[], b"", &mut rng), Err(SealBackupError::Recipients));
        assert_eq!(seal(&recipients, b"", &mut rng), Err(SealBackupError::Recipients));
        let sealed = seal(&recipients[..8], b"x", &mut rng).unwrap();
        for key in &keys[..8] {
            assert_eq!(open(key, &sealed, sealed.len()).unwrap().expose(), b"x");
        }
        assert!(open(&keys[8], &sealed, sealed.len()).is_err());
        let low_order = BackupRecipient::new(x25519::PublicKey::from_bytes([0; 32]));
        assert_eq!(seal(&[low_order], b"", &mut rng), Err(SealBackupError::Key));
    }
}
