//! NKeys: Ed25519 keys whose text form says what they are for. A secret key leaves this type only through `seed`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use nkeys::{KeyPair, KeyPairType};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use crate::secret::{Secret32, SecretBytes};

/// What a key is for; the first letter of its text form.
pub trait Kind: Copy + Ord + fmt::Debug {
    /// The noun for errors.
    const NOUN: &'static str;
    /// The kind in the words of the `nkeys` crate.
    const PAIR: KeyPairType;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident, $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {}
        impl Kind for $name {
            const NOUN: &'static str = $noun;
            const PAIR: KeyPairType = KeyPairType::$name;
        }
    )*};
}

kinds! {
    /// Signs accounts.
    Operator, "operator key";
    /// Names an account, or signs users of one.
    Account, "account key";
    /// Names a user.
    User, "user key";
}

/// The operator's identity or one of its signing keys.
pub type OperatorKey = SecretKey<Operator>;
/// An account's identity or one of its signing keys.
pub type AccountKey = SecretKey<Account>;
/// A user's key.
pub type UserKey = SecretKey<User>;
/// Public half of an [`OperatorKey`].
pub type OperatorPublic = PublicKey<Operator>;
/// Public half of an [`AccountKey`].
pub type AccountPublic = PublicKey<Account>;
/// Public half of a [`UserKey`].
pub type UserPublic = PublicKey<User>;

/// The text is not a key of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidKey(&'static str);

/// A public key: 56 characters of base32, checked for kind and checksum.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey<K> {
    text: String,
    kind: PhantomData<K>,
}

impl<K: Kind> PublicKey<K> {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `signature` (64 bytes) is this key's over `message`; strict as in spec 2.0.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok((_, bytes)) = nkeys::from_public_key(&self.text) else {
            return false;
        };
        let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(&bytes), Signature::from_slice(signature)) else {
            return false;
        };
        key.verify_strict(message, &signature).is_ok()
    }
}

impl<K: Kind> FromStr for PublicKey<K> {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match nkeys::from_public_key(text) {
            Ok((prefix, _)) if KeyPairType::from(prefix) == K::PAIR => {
                Ok(Self { text: text.to_owned(), kind: PhantomData })
            }
            _ => Err(InvalidKey(K::NOUN)),
        }
    }
}

impl<K> fmt::Display for PublicKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Debug for PublicKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> Serialize for PublicKey<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K: Kind> Deserialize<'de> for PublicKey<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A secret key. It is wiped when dropped.
pub struct SecretKey<K> {
    seed: Secret32,
    public: PublicKey<K>,
}

impl<K: Kind> SecretKey<K> {
    /// A key out of 32 bytes of fresh randomness.
    ///
    /// # Errors
    /// If the bytes make no key.
    pub fn from_secret(seed: Secret32) -> Result<Self, InvalidKey> {
        let pair = KeyPair::new_from_raw(K::PAIR, *seed.expose()).map_err(|_| InvalidKey(K::NOUN))?;
        let public = PublicKey { text: pair.public_key(), kind: PhantomData };
        Ok(Self { seed, public })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// If the random bytes make no key.
    pub fn random(rng: &mut dyn CryptoRng) -> Result<Self, InvalidKey> {
        Self::from_secret(Secret32::random(rng))
    }

    /// Reads the text form of a seed (`SU…`, `SA…`, `SO…`).
    ///
    /// # Errors
    /// If it is not a seed of this kind.
    pub fn from_seed(text: &str) -> Result<Self, InvalidKey> {
        match nkeys::decode_seed(text) {
            Ok((prefix, mut bytes)) if KeyPairType::from(prefix) == K::PAIR => {
                let seed = Secret32::copied_from(&bytes);
                bytes.zeroize();
                Self::from_secret(seed)
            }
            _ => Err(InvalidKey(K::NOUN)),
        }
    }

    /// The text form of the seed, to be sealed by the caller. Never log or send it.
    ///
    /// # Errors
    /// If the key has no text form.
    pub fn seed(&self) -> Result<SecretBytes, InvalidKey> {
        let pair = KeyPair::new_from_raw(K::PAIR, *self.seed.expose()).map_err(|_| InvalidKey(K::NOUN))?;
        let text = pair.seed().map_err(|_| InvalidKey(K::NOUN))?;
        Ok(SecretBytes::new(text.into_bytes()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey<K> {
        &self.public
    }

    /// Signs: 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(self.seed.expose()).sign(message).to_bytes()
    }
}

impl<K: Kind> fmt::Debug for SecretKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<K: Kind>(byte: u8) -> SecretKey<K> {
        SecretKey::from_secret(Secret32::from_bytes([byte; 32])).unwrap()
    }

    #[test]
    fn a_seed_is_read_as_it_is_written() {
        let first = key::<User>(7);
        let seed = first.seed().unwrap();
        let text = std::str::from_utf8(seed.expose()).unwrap();
        assert!(text.starts_with("SU"));
        let second = UserKey::from_seed(text).unwrap();
        assert_eq!(first.public(), second.public());
        assert!(first.public().verifies(b"nonce", &second.sign(b"nonce")));
        assert!(!first.public().verifies(b"other", &second.sign(b"nonce")));
        assert!(!key::<User>(8).public().verifies(b"nonce", &second.sign(b"nonce")));
    }

    #[test]
    fn kinds_are_not_confused() {
        let account = key::<Account>(1);
        assert!(account.public().as_str().parse::<AccountPublic>().is_ok());
        assert!(account.public().as_str().parse::<UserPublic>().is_err());
        assert!(account.public().as_str().parse::<OperatorPublic>().is_err());
        let seed = account.seed().unwrap();
        assert!(UserKey::from_seed(std::str::from_utf8(seed.expose()).unwrap()).is_err());
    }

    #[test]
    fn damaged_texts_are_refused() {
        let text = key::<User>(7).public().to_string();
        for place in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
            assert!(std::str::from_utf8(&wrong).unwrap().parse::<UserPublic>().is_err(), "{place}");
        }
        for wrong in ["", "U", "*", ">", &text.to_lowercase(), &text[1..]] {
            assert!(wrong.parse::<UserPublic>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_key_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", key::<Operator>(3)), "SecretKey");
    }
}
