//! The member's own signing keys: made elsewhere, kept in the credential, used for one signature at a time.
//!
//! Nonces of ECDSA are derived from key and digest (RFC 6979): no randomness, no reuse.

use std::fmt;

use ed25519_dalek::Signer as _;
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use vettid_wire::secret::Curve;

use crate::kdf;

/// Why a key or a use of it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberKeyError {
    /// Not 32 bytes, zero, or not below the order of the curve.
    #[error("not a private key of this curve")]
    InvalidKey,
    /// Ed25519 signs messages, never digests.
    #[error("this key signs messages only")]
    MessagesOnly,
    /// The library refuses, which it does not for valid keys.
    #[error("the key cannot sign")]
    CannotSign,
}

/// A private key of the member.
pub struct MemberKey(Inner);

enum Inner {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Secp256k1(Box<k256::ecdsa::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

impl MemberKey {
    /// From the 32 bytes of a seed (Ed25519) or scalar, big-endian.
    ///
    /// # Errors
    /// [`MemberKeyError::InvalidKey`].
    pub fn from_slice(curve: Curve, bytes: &[u8]) -> Result<Self, MemberKeyError> {
        let invalid = MemberKeyError::InvalidKey;
        // The curves of ECDSA would take shorter ones, too.
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| invalid)?;
        let inner = match curve {
            Curve::Ed25519 => Inner::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(bytes))),
            Curve::Secp256k1 => {
                Inner::Secp256k1(Box::new(k256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| invalid)?))
            }
            Curve::P256 => Inner::P256(Box::new(p256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| invalid)?)),
        };
        Ok(Self(inner))
    }

    /// 32 bytes for Ed25519, else a compressed point of 33.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        match &self.0 {
            Inner::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            Inner::Secp256k1(key) => key.verifying_key().to_sec1_point(true).as_bytes().to_vec(),
            Inner::P256(key) => key.verifying_key().to_sec1_point(true).as_bytes().to_vec(),
        }
    }

    /// Signs a message: 64 bytes. The curves of ECDSA sign its SHA-256.
    ///
    /// # Errors
    /// [`MemberKeyError::CannotSign`].
    pub fn sign_message(&self, message: &[u8]) -> Result<[u8; 64], MemberKeyError> {
        match &self.0 {
            Inner::Ed25519(key) => Ok(key.sign(message).to_bytes()),
            _ => self.sign_digest(&kdf::h256(message)),
        }
    }

    /// Signs a digest that somebody else made: `r ‖ s`, 64 bytes; `s` of secp256k1 is the low one.
    ///
    /// # Errors
    /// [`MemberKeyError::MessagesOnly`] for Ed25519, [`MemberKeyError::CannotSign`].
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], MemberKeyError> {
        let failed = MemberKeyError::CannotSign;
        match &self.0 {
            Inner::Ed25519(_) => Err(MemberKeyError::MessagesOnly),
            Inner::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.sign_prehash(digest).map_err(|_| failed)?;
                Ok(signature.normalize_s().to_bytes().into())
            }
            Inner::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(digest).map_err(|_| failed)?;
                Ok(signature.to_bytes().into())
            }
        }
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MemberKey")
    }
}

#[cfg(test)]
mod tests;
