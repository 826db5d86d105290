//! The value of a secret before it is boxed: what fits which kind, and values made here. The vault checks each again.
//! Must never show a value in an error.

use crate::random::SystemRandom;
use vettid_crypto::backup::BackupKey;
use vettid_crypto::member_key::MemberKey;
use vettid_crypto::recovery::RecoveryPhrase;
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::secret::{Curve, MAX_SECRET_BYTES, SecretKind};
use zeroize::Zeroizing;

/// Letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 56] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a password made here: more than 139 bits.
const PASSWORD_CHARS: usize = 24;

/// The value of one secret.
#[derive(Debug)]
pub struct SecretValue {
    kind: SecretKind,
    curve: Option<Curve>,
    bytes: SecretBytes,
}

/// Why bytes are no value of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitValue {
    /// Nothing.
    #[error("the value is empty")]
    Empty,
    /// More than [`MAX_SECRET_BYTES`].
    #[error("the value is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8, or with a character that steers a terminal.
    #[error("the value is not a text")]
    NotText,
    /// Not a BIP-39 phrase, or its checksum is wrong.
    #[error("this is no seed phrase: a word is unknown, one is missing, or the checksum is wrong")]
    NotAPhrase,
    /// Not in the form of `age`.
    #[error("this is no private key: not in the form AGE-SECRET-KEY-1…")]
    NotAPrivateKey,
    /// Another character than digits, spaces, `-`, `.` and `/`.
    #[error("a number has digits, spaces, '-', '.' and '/' only")]
    NotANumber,
    /// Not 32 bytes, or not on the curve.
    #[error("this is no private key of the curve")]
    NotASigningKey,
    /// Exactly a signing key has a curve.
    #[error("a curve belongs to a signing key, and to each")]
    Curve,
}

impl SecretValue {
    /// Takes bytes over as a value of this kind; `curve` exactly for a signing key.
    ///
    /// # Errors
    /// [`UnfitValue`].
    pub fn new(kind: SecretKind, curve: Option<Curve>, bytes: SecretBytes) -> Result<Self, UnfitValue> {
        if (kind == SecretKind::SigningKey) != curve.is_some() {
            return Err(UnfitValue::Curve);
        }
        if bytes.expose().is_empty() {
            return Err(UnfitValue::Empty);
        }
        if bytes.expose().len() > MAX_SECRET_BYTES {
            return Err(UnfitValue::TooLarge);
        }
        let value = Self { kind, curve, bytes };
        value.check()?;
        Ok(value)
    }

    /// A new signing key, made here.
    #[must_use]
    pub fn new_signing_key(curve: Curve, mut random: SystemRandom) -> Self {
        loop {
            let key = Secret32::random(&mut random);
            // Almost every 32 bytes are a key of each curve.
            if MemberKey::from_slice(curve, key.expose()).is_ok() {
                let bytes = SecretBytes::copied_from(key.expose());
                return Self { kind: SecretKind::SigningKey, curve: Some(curve), bytes };
            }
        }
    }

    /// A new password, made here: each character is drawn evenly.
    #[must_use]
    pub fn new_password(mut random: SystemRandom) -> Self {
        let mut text = Vec::with_capacity(PASSWORD_CHARS);
        // Bytes above the largest multiple of the alphabet would favour its first characters.
        let even = u8::try_from(256 / ALPHABET.len() * ALPHABET.len() - 1).unwrap_or(0);
        while text.len() < PASSWORD_CHARS {
            let [byte] = crate::random::bytes(&mut random);
            let drawn = ALPHABET.get(usize::from(byte) % ALPHABET.len()).filter(|_| byte <= even);
            text.extend(drawn);
        }
        Self { kind: SecretKind::Password, curve: None, bytes: SecretBytes::new(text) }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// Curve of a signing key.
    #[must_use]
    pub fn curve(&self) -> Option<Curve> {
        self.curve
    }

    /// The bytes, to be boxed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    fn check(&self) -> Result<(), UnfitValue> {
        match (self.kind, self.curve) {
            (SecretKind::File, _) => Ok(()),
            (SecretKind::SigningKey, Some(curve)) => {
                MemberKey::from_slice(curve, self.expose()).map(|_| ()).map_err(|_| UnfitValue::NotASigningKey)
            }
            (SecretKind::SigningKey, None) => Err(UnfitValue::Curve),
            (kind, _) => check_text(kind, str::from_utf8(self.expose()).map_err(|_| UnfitValue::NotText)?),
        }
    }
}

fn check_text(kind: SecretKind, text: &str) -> Result<(), UnfitValue> {
    match kind {
        SecretKind::SeedPhrase => RecoveryPhrase::parse(text).map(|_| ()).map_err(|_| UnfitValue::NotAPhrase),
        SecretKind::PrivateKey => {
            BackupKey::from_age_identity(text).map(|_| ()).map_err(|_| UnfitValue::NotAPrivateKey)
        }
        SecretKind::Number if is_number(text) => Ok(()),
        SecretKind::Number => Err(UnfitValue::NotANumber),
        SecretKind::Password if text.chars().any(char::is_control) => Err(UnfitValue::NotText),
        _ => Ok(()),
    }
}

fn is_number(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '/');
    text.chars().all(fits) && text.chars().any(|c| c.is_ascii_digit())
}

/// 32 bytes from 64 hexadecimal digits, with blanks around them left out.
#[must_use]
pub fn signing_key_from_hex(text: &str) -> Option<SecretBytes> {
    let digits = text.trim().as_bytes();
    let mut bytes = Zeroizing::new(Vec::with_capacity(32));
    for pair in digits.chunks(2) {
        let &[high, low] = pair else { return None };
        let (high, low) = (char::from(high).to_digit(16)?, char::from(low).to_digit(16)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    (bytes.len() == 32).then(|| SecretBytes::copied_from(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: SecretKind, text: &str) -> Result<SecretValue, UnfitValue> {
        SecretValue::new(kind, None, SecretBytes::copied_from(text.as_bytes()))
    }

    #[test]
    fn each_kind_takes_its_own_values() {
        let phrase = "abandon ".repeat(11) + "about";
        let age = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert!(value(SecretKind::SeedPhrase, &phrase).is_ok());
        assert!(value(SecretKind::PrivateKey, age).is_ok());
        assert!(value(SecretKind::Number, "078-05-1120").is_ok());
        assert!(value(SecretKind::Note, "two\nlines").is_ok());
        let wrong = [
            (SecretKind::SeedPhrase, "abandon ".repeat(12), UnfitValue::NotAPhrase),
            (SecretKind::PrivateKey, phrase, UnfitValue::NotAPrivateKey),
            (SecretKind::Number, "12a".to_owned(), UnfitValue::NotANumber),
            (SecretKind::Number, "--".to_owned(), UnfitValue::NotANumber),
            (SecretKind::Password, "a\u{1b}b".to_owned(), UnfitValue::NotText),
            (SecretKind::Password, String::new(), UnfitValue::Empty),
            (SecretKind::Note, "x".repeat(MAX_SECRET_BYTES + 1), UnfitValue::TooLarge),
            (SecretKind::SigningKey, "x".repeat(32), UnfitValue::Curve),
        ];
        for (kind, text, unfit) in wrong {
            assert_eq!(value(kind, &text).err(), Some(unfit), "{kind:?}");
        }
        let not_text = SecretValue::new(SecretKind::Note, None, SecretBytes::new(vec![0xff]));
        assert_eq!(not_text.err(), Some(UnfitValue::NotText));
    }

    #[test]
    fn values_that_are_made_here_fit() {
        let random = SystemRandom::new().unwrap();
        for curve in [Curve::Ed25519, Curve::Secp256k1, Curve::P256] {
            let key = SecretValue::new_signing_key(curve, random);
            let bytes = SecretBytes::copied_from(key.expose());
            assert!(SecretValue::new(SecretKind::SigningKey, Some(curve), bytes).is_ok());
        }
        let (one, other) = (SecretValue::new_password(random), SecretValue::new_password(random));
        assert_eq!(one.expose().len(), PASSWORD_CHARS);
        assert_ne!(one.expose(), other.expose());
        assert!(one.expose().iter().all(|byte| ALPHABET.contains(byte)));
    }

    #[test]
    fn a_signing_key_has_64_digits() {
        assert_eq!(signing_key_from_hex(&format!(" {}\n", "0a".repeat(32))).unwrap().expose(), [0x0a; 32]);
        for wrong in ["", "0a", &"0".repeat(63), &"zz".repeat(32), &"é".repeat(32)] {
            assert!(signing_key_from_hex(wrong).is_none(), "{wrong}");
        }
    }
}
