//! Ed25519 identities, fingerprints, key ids, and the ways in which two people compare them (spec 2.0, 2.1, 2.4).
//!
//! Verification is strict: no small-order or non-canonical points, no malleable signatures, no batches.

use std::fmt;

use ed25519_dalek::Signer;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha512};
use vettid_wire::base64::Base64;
use vettid_wire::id::{Fingerprint, KeyId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};

use crate::kdf::{self, Lp};
use crate::secret::Secret32;
use crate::stored::{InvalidStored, SecretText, Stored};

/// Why a key or a signature is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a canonical Ed25519 or P-256 public key, or one of small order.
    #[error("not a valid identity key")]
    InvalidKey,
    /// The signature was not made by this key over these bytes.
    #[error("not a valid signature")]
    InvalidSignature,
}

/// A private Ed25519 key.
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    /// A fresh key.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::from_seed(&Secret32::random(rng))
    }

    /// The key with this seed (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Secret32) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(seed.expose())))
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.verifying_key().key_id()
    }

    /// Signs bytes as they are. Signed objects go through [`crate::signature`] instead.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl Stored for SigningKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        SecretText::new(self.0.as_bytes())
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        form.secret32().map(|seed| Self::from_seed(&seed))
    }
}

/// A public Ed25519 key: canonical and not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Reads 32 bytes.
    ///
    /// # Errors
    /// [`IdentityError::InvalidKey`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| IdentityError::InvalidKey)?;
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        if canonical && !key.is_weak() { Ok(Self(key)) } else { Err(IdentityError::InvalidKey) }
    }

    /// Reads a typed key.
    ///
    /// # Errors
    /// [`IdentityError::InvalidKey`], also for another algorithm.
    pub fn from_typed(key: &TypedKey) -> Result<Self, IdentityError> {
        match (key.algorithm(), key.as_bytes().try_into()) {
            (KeyAlgorithm::Ed25519, Ok(bytes)) => Self::from_bytes(bytes),
            _ => Err(IdentityError::InvalidKey),
        }
    }

    /// The key as it is published.
    #[must_use]
    pub fn typed(&self) -> TypedKey {
        let Ok(key) = TypedKey::new(KeyAlgorithm::Ed25519, self.as_bytes().as_slice()) else {
            unreachable!("an ed25519 key has 32 bytes");
        };
        key
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        key_id(KeyAlgorithm::Ed25519, self.as_bytes())
    }

    /// The fingerprint of this key as an identity: `H256("vettid-fp-v1" 0x00 ‖ LP("ed25519") ‖ key)`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let input = Lp::labelled("vettid-fp-v1").lp_str("ed25519").raw(self.as_bytes());
        Fingerprint::from_bytes(kdf::h256(input.as_bytes()))
    }

    /// Strict verification.
    ///
    /// # Errors
    /// [`IdentityError::InvalidSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), IdentityError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| IdentityError::InvalidSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifyingKey({})", self.key_id())
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.typed().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_typed(&TypedKey::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 signature of 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps 64 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Reads the form on the wire.
    ///
    /// # Errors
    /// [`IdentityError::InvalidSignature`] for another length.
    pub fn from_base64(text: &Base64) -> Result<Self, IdentityError> {
        text.to_array().map(Self).map_err(|_| IdentityError::InvalidSignature)
    }

    /// The form on the wire.
    #[must_use]
    pub fn to_base64(self) -> Base64 {
        Base64::new(self.0)
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// `key_id(alg, pub) = "k_" ‖ base32lower(H256("vettid-keyid-v1" 0x00 ‖ LP(alg) ‖ LP(pub))[0..16])` (spec 2.0).
#[must_use]
pub fn key_id(algorithm: KeyAlgorithm, public_key: &[u8]) -> KeyId {
    let input = Lp::labelled_with_capacity("vettid-keyid-v1", public_key.len() + 16);
    let hash = kdf::h256(input.lp_str(algorithm.name()).lp(public_key).as_bytes());
    let (half, _) = hash.split_at(16);
    let text = format!("k_{}", data_encoding::BASE32_NOPAD.encode(half).to_ascii_lowercase());
    let Ok(id) = text.parse() else {
        unreachable!("sixteen bytes are 26 characters of base32");
    };
    id
}

/// The key id of a typed key.
#[must_use]
pub fn key_id_of(key: &TypedKey) -> KeyId {
    key_id(key.algorithm(), key.as_bytes())
}

/// Sixty digits in twelve groups, the same for both sides of a pair of identities (spec 2.4).
#[must_use]
pub fn safety_number(one: &Fingerprint, other: &Fingerprint) -> String {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let seed = Lp::labelled("vettid-sn-v1").raw(low.as_bytes()).raw(high.as_bytes());
    let mut digest = Vec::from(seed.as_bytes());
    for _ in 0..5200 {
        let mut hash = Sha512::new_with_prefix(&digest);
        hash.update(low.as_bytes());
        hash.update(high.as_bytes());
        digest.clear();
        digest.extend_from_slice(&hash.finalize());
    }
    let groups: Vec<String> = digest.chunks_exact(5).take(12).map(digit_group).collect();
    groups.join(" ")
}

/// `be40(bytes) mod 100000`, five digits.
fn digit_group(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
    format!("{:05}", number % 100_000)
}

/// A P-256 device key (ES256): made and kept by the device, seen here as a public key only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKey(Vec<u8>);

impl DeviceKey {
    /// Reads a typed key: an uncompressed point.
    ///
    /// # Errors
    /// [`IdentityError::InvalidKey`] for another algorithm or form.
    pub fn from_typed(key: &TypedKey) -> Result<Self, IdentityError> {
        let uncompressed = key.algorithm() == KeyAlgorithm::P256 && key.as_bytes().first() == Some(&4);
        if uncompressed { Ok(Self(key.as_bytes().to_vec())) } else { Err(IdentityError::InvalidKey) }
    }

    /// Verifies `r ‖ s` (64 bytes) over the bytes, with SHA-256.
    ///
    /// # Errors
    /// [`IdentityError::InvalidSignature`], also for a point that is not on the curve.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), IdentityError> {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0)
            .verify(message, signature)
            .map_err(|_| IdentityError::InvalidSignature)
    }
}
