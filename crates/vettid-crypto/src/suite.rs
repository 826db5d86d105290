//! Suites and their key encapsulation (spec 2.2). A private key belongs to one suite by its type, so it cannot be used
//! under another one; an unknown suite is refused, never guessed. Must never negotiate: the caller names the suite.

pub mod rsa4096;
pub mod x25519;

use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vettid_wire::id::KeyId;
use vettid_wire::key::{KeyAlgorithm, TypedKey};

use crate::committed::Undecryptable;
use crate::secret::Secret32;
use crate::stored::{InvalidStored, SecretText, Stored};

/// A suite of this standard. An id is never used again with another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// 0x0001, mandatory and the default.
    X25519,
    /// 0x0002, for partners that have RSA only; envelopes, no handshake.
    Rsa4096,
    /// 0x0003, hybrid with ML-KEM-768. Known by its number and refused: no build has it yet (ADR 0010).
    XWing,
}

impl Suite {
    /// Every suite of the standard, whether or not it is part of this build.
    pub const ALL: [Self; 3] = [Self::X25519, Self::Rsa4096, Self::XWing];

    /// Number in headers and transcripts.
    #[must_use]
    pub fn id(self) -> u16 {
        match self {
            Self::X25519 => 1,
            Self::Rsa4096 => 2,
            Self::XWing => 3,
        }
    }

    /// The `algorithm` string on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "X25519+XChaCha20-Poly1305",
            Self::Rsa4096 => "RSA-4096-OAEP+XChaCha20-Poly1305",
            Self::XWing => "X-Wing+XChaCha20-Poly1305",
        }
    }

    /// The suite with this number.
    ///
    /// # Errors
    /// [`SuiteError::Unknown`], or [`SuiteError::NotBuilt`] if this build does not have it.
    pub fn from_id(id: u16) -> Result<Self, SuiteError> {
        Self::find(|suite| suite.id() == id)
    }

    /// The suite with this `algorithm` string.
    ///
    /// # Errors
    /// [`SuiteError::Unknown`], or [`SuiteError::NotBuilt`] if this build does not have it.
    pub fn from_name(name: &str) -> Result<Self, SuiteError> {
        Self::find(|suite| suite.name() == name)
    }

    /// Whether this build has the suite.
    #[must_use]
    pub fn is_built(self) -> bool {
        self != Self::XWing
    }

    fn find(wanted: impl Fn(Self) -> bool) -> Result<Self, SuiteError> {
        let suite = Self::ALL.into_iter().find(|&suite| wanted(suite)).ok_or(SuiteError::Unknown)?;
        if suite.is_built() { Ok(suite) } else { Err(SuiteError::NotBuilt(suite.name())) }
    }
}

impl Serialize for Suite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.id())
    }
}

impl<'de> Deserialize<'de> for Suite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_id(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a key or a suite cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// No suite of the standard.
    #[error("unknown suite")]
    Unknown,
    /// A suite of the standard that this build leaves out.
    #[error("the suite {0} is not part of this build")]
    NotBuilt(&'static str),
    /// Not a public key of a suite.
    #[error("not a valid key encapsulation key")]
    InvalidKey,
    /// The key agreement gave all zeros: the other side sent a point of low order.
    #[error("non-contributory key agreement")]
    NonContributory,
    /// The library could not do it.
    #[error("the cryptographic library reported a failure")]
    Library,
}

/// A recipient's public key of any suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KemPublicKey {
    /// Suite 1.
    X25519(x25519::PublicKey),
    /// Suite 2.
    Rsa4096(rsa4096::PublicKey),
}

impl KemPublicKey {
    /// Reads a typed key.
    ///
    /// # Errors
    /// [`SuiteError::InvalidKey`] if it is no key encapsulation key, [`SuiteError::NotBuilt`] for a suite left out.
    pub fn from_typed(key: &TypedKey) -> Result<Self, SuiteError> {
        match key.algorithm() {
            KeyAlgorithm::X25519 => x25519::PublicKey::from_slice(key.as_bytes()).map(Self::X25519),
            KeyAlgorithm::Rsa4096 => rsa4096::PublicKey::from_spki(key.as_bytes()).map(Self::Rsa4096),
            KeyAlgorithm::XWing => Err(SuiteError::NotBuilt(Suite::XWing.name())),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::MlKem768 | KeyAlgorithm::P256 | KeyAlgorithm::WebAuthnP256 => {
                Err(SuiteError::InvalidKey)
            }
        }
    }

    /// The key as it is published.
    #[must_use]
    pub fn typed(&self) -> TypedKey {
        let Ok(key) = TypedKey::new(self.algorithm(), self.as_bytes()) else {
            unreachable!("each kind of key has the length of its algorithm");
        };
        key
    }

    /// The suite that the key belongs to.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match self {
            Self::X25519(_) => Suite::X25519,
            Self::Rsa4096(_) => Suite::Rsa4096,
        }
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        crate::identity::key_id(self.algorithm(), self.as_bytes())
    }

    /// A fresh shared secret and its encapsulation for the holder of this key.
    ///
    /// # Errors
    /// [`SuiteError::NonContributory`] for a key of low order, [`SuiteError::Library`].
    pub fn encapsulate(&self, rng: &mut dyn CryptoRng) -> Result<(Secret32, Vec<u8>), SuiteError> {
        match self {
            Self::X25519(key) => key.encapsulate(rng).map(|(shared, enc)| (shared, enc.to_vec())),
            Self::Rsa4096(key) => key.encapsulate(rng),
        }
    }

    fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::X25519(_) => KeyAlgorithm::X25519,
            Self::Rsa4096(_) => KeyAlgorithm::Rsa4096,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::X25519(key) => key.as_bytes(),
            Self::Rsa4096(key) => key.as_spki(),
        }
    }
}

/// A recipient's private key of any suite.
#[derive(Debug)]
pub enum KemSecretKey {
    /// Suite 1.
    X25519(x25519::SecretKey),
    /// Suite 2.
    Rsa4096(rsa4096::SecretKey),
}

impl KemSecretKey {
    /// A fresh key. RSA keys take seconds, and their randomness comes from the library itself.
    ///
    /// # Errors
    /// [`SuiteError::NotBuilt`] for a suite left out, [`SuiteError::Library`].
    pub fn generate(suite: Suite, rng: &mut dyn CryptoRng) -> Result<Self, SuiteError> {
        match suite {
            Suite::X25519 => Ok(Self::X25519(x25519::SecretKey::random(rng))),
            Suite::Rsa4096 => rsa4096::SecretKey::generate().map(Self::Rsa4096),
            Suite::XWing => Err(SuiteError::NotBuilt(suite.name())),
        }
    }

    /// The suite that the key belongs to.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match self {
            Self::X25519(_) => Suite::X25519,
            Self::Rsa4096(_) => Suite::Rsa4096,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> KemPublicKey {
        match self {
            Self::X25519(key) => KemPublicKey::X25519(key.public_key()),
            Self::Rsa4096(key) => KemPublicKey::Rsa4096(key.public_key().clone()),
        }
    }

    /// The shared secret behind an encapsulation.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn decapsulate(&self, enc: &[u8]) -> Result<Secret32, Undecryptable> {
        match self {
            Self::X25519(key) => key.decapsulate(enc),
            Self::Rsa4096(key) => key.decapsulate(enc),
        }
    }
}

/// `{suite, key}`: the number of the suite beside the private key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKemKey {
    suite: u16,
    key: SecretText,
}

impl Stored for KemSecretKey {
    type Form = StoredKemKey;

    fn to_form(&self) -> StoredKemKey {
        let key = match self {
            Self::X25519(key) => key.to_form(),
            Self::Rsa4096(key) => key.to_form(),
        };
        StoredKemKey { suite: self.suite().id(), key }
    }

    fn from_form(form: StoredKemKey) -> Result<Self, InvalidStored> {
        match Suite::from_id(form.suite).map_err(|_| InvalidStored)? {
            Suite::X25519 => Stored::from_form(form.key).map(Self::X25519),
            Suite::Rsa4096 => Stored::from_form(form.key).map(Self::Rsa4096),
            Suite::XWing => Err(InvalidStored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    #[test]
    fn ids_and_names_are_unique_and_come_back() {
        for suite in Suite::ALL {
            if suite.is_built() {
                assert_eq!(Suite::from_id(suite.id()), Ok(suite));
                assert_eq!(Suite::from_name(suite.name()), Ok(suite));
            } else {
                assert_eq!(Suite::from_id(suite.id()), Err(SuiteError::NotBuilt(suite.name())));
            }
        }
        assert_eq!(Suite::from_id(0), Err(SuiteError::Unknown));
        assert_eq!(Suite::from_id(4), Err(SuiteError::Unknown));
        assert_eq!(Suite::from_name("x25519+XChaCha20-Poly1305"), Err(SuiteError::Unknown));
    }

    #[test]
    fn keys_come_back_from_typed_and_stored_form() {
        let mut rng = Scripted::counting();
        for suite in Suite::ALL.into_iter().filter(|&suite| suite.is_built() && suite != Suite::Rsa4096) {
            let key = KemSecretKey::generate(suite, &mut rng).unwrap();
            let public = KemPublicKey::from_typed(&key.public_key().typed()).unwrap();
            let (shared, enc) = public.encapsulate(&mut rng).unwrap();
            let stored = KemSecretKey::from_form(key.to_form()).unwrap();
            assert_eq!(stored.decapsulate(&enc), Ok(shared));
            for wrong in [&enc[1..], &[enc.as_slice(), &[0]].concat()] {
                assert_eq!(stored.decapsulate(wrong), Err(Undecryptable));
            }
        }
    }
}
