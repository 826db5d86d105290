//! Public keys on the wire: `alg:base64`, the algorithm always beside the bytes.

use crate::base64::{decode, encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The algorithm of a public key (spec 2.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// Signatures, RFC 8032.
    Ed25519,
    /// Key agreement, RFC 7748.
    X25519,
    /// Hybrid key encapsulation, X25519 with ML-KEM-768.
    XWing,
    /// Key encapsulation, FIPS 203.
    MlKem768,
    /// RSA with a modulus of 4096 bits; the bytes are a SubjectPublicKeyInfo.
    Rsa4096,
    /// ECDSA on P-256; the bytes are an uncompressed point.
    P256,
    /// The same curve in the hands of a WebAuthn authenticator, which signs nothing but its assertions. The bytes are an uncompressed
    /// point.
    WebAuthnP256,
}

impl KeyAlgorithm {
    const ALL: [Self; 7] =
        [Self::Ed25519, Self::X25519, Self::XWing, Self::MlKem768, Self::Rsa4096, Self::P256, Self::WebAuthnP256];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::X25519 => "x25519",
            Self::XWing => "xwing",
            Self::MlKem768 => "mlkem768",
            Self::Rsa4096 => "rsa4096",
            Self::P256 => "p256",
            Self::WebAuthnP256 => "webauthn-p256",
        }
    }

    fn length_fits(self, length: usize) -> bool {
        match self {
            Self::Ed25519 | Self::X25519 => length == 32,
            Self::XWing => length == 1216,
            Self::MlKem768 => length == 1184,
            Self::Rsa4096 => (526..=600).contains(&length),
            Self::P256 | Self::WebAuthnP256 => length == 65,
        }
    }
}

/// A public key with its algorithm; the length fits the algorithm.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypedKey {
    algorithm: KeyAlgorithm,
    bytes: Vec<u8>,
}

/// The text or the bytes are not a public key of a known algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a typed public key")]
pub struct InvalidKey;

impl TypedKey {
    /// A key of this algorithm; the length is checked.
    pub fn new(algorithm: KeyAlgorithm, bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidKey> {
        let bytes = bytes.into();
        if algorithm.length_fits(bytes.len()) { Ok(Self { algorithm, bytes }) } else { Err(InvalidKey) }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for TypedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), encode(&self.bytes))
    }
}

impl fmt::Debug for TypedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TypedKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (name, body) = text.split_once(':').ok_or(InvalidKey)?;
        let algorithm = KeyAlgorithm::ALL.into_iter().find(|a| a.name() == name).ok_or(InvalidKey)?;
        Self::new(algorithm, decode(body).map_err(|_| InvalidKey)?)
    }
}

impl Serialize for TypedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TypedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_name_are_checked() {
        let key = TypedKey::new(KeyAlgorithm::Ed25519, [7; 32]).unwrap();
        assert_eq!(key.to_string().parse::<TypedKey>().unwrap(), key);
        for wrong in ["ed25519:AAAA", "ed448:AAAA", "AAAA", "", "Ed25519:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="]
        {
            assert!(wrong.parse::<TypedKey>().is_err(), "{wrong}");
        }
    }
}
