//! Secret bytes in memory that is wiped when dropped.
//!
//! Must never be cloned, printed or serialised; [`crate::stored`] is the one way into a sealed store.

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes, held in one heap place so that moving the value leaves no copy behind.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    /// A secret of known bytes. The argument is not wiped: what is secret already comes by [`Self::copied_from`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::copied_from(&bytes)
    }

    /// Copies from the place of a secret to a second one, leaving nothing on the stack. The caller wipes the first.
    #[must_use]
    pub fn copied_from(bytes: &[u8; 32]) -> Self {
        let mut secret = Self::zero();
        secret.0.copy_from_slice(bytes);
        secret
    }

    /// Takes 32 bytes from a slice; `None` if it has another length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::copied_from)
    }

    /// A fresh secret, born in place.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut secret = Self::zero();
        rng.fill_bytes(secret.0.as_mut_slice());
        secret
    }

    /// The bytes themselves. Never log, store or send them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second handle on the same secret, where one value has two owners.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copied_from(self.expose())
    }

    /// The place where a secret is born.
    #[must_use]
    pub(crate) fn zero() -> Self {
        Self(Box::new([0; 32]))
    }

    /// The place itself, for functions that write a secret into it.
    pub(crate) fn place(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl ConstantTimeEq for Secret32 {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret32")
    }
}

/// Secret bytes of any length.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes over a buffer. Earlier reallocations of that buffer are the caller's matter.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Copies a slice.
    #[must_use]
    pub fn copied_from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// `length_bytes` fresh secret bytes, born in place.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng, length_bytes: usize) -> Self {
        let mut bytes = vec![0; length_bytes];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The place of the bytes, for what is opened in place.
    pub(crate) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The bytes themselves. Never log, store or send them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl ConstantTimeEq for SecretBytes {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_type_name_only() {
        assert_eq!(format!("{:?}", Secret32::from_bytes([7; 32])), "Secret32");
        assert_eq!(format!("{:?}", SecretBytes::new(vec![7])), "SecretBytes");
    }

    #[test]
    fn equality_sees_each_byte() {
        let secret = Secret32::from_bytes([7; 32]);
        for place in 0..32 {
            let mut other = [7; 32];
            other[place] ^= 1;
            assert_ne!(secret, Secret32::from_bytes(other));
        }
        assert_eq!(secret, secret.duplicate());
        assert_ne!(SecretBytes::new(vec![1, 2]), SecretBytes::new(vec![1]));
    }

    /// Compilers have been seen to hand one constant to two calls of a closure (decision 0112): neither call may write to it.
    #[test]
    fn a_constant_that_is_used_twice_stays_what_it_is() {
        let secret = |bytes| Secret32::from_bytes(bytes);
        let (first, second) = (secret([7; 32]), secret([7; 32]));
        assert_eq!((first.expose(), second.expose()), (&[7; 32], &[7; 32]));
    }

    #[test]
    fn only_32_bytes_make_a_secret() {
        assert!(Secret32::from_slice(&[0; 31]).is_none());
        assert!(Secret32::from_slice(&[0; 33]).is_none());
        assert!(Secret32::from_slice(&[0; 32]).is_some());
    }
}
