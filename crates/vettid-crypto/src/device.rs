//! The private half of a P-256 device key (ES256) for native programs: what a browser keeps in WebCrypto and a phone in its
//! secure element. Must never leave the program that made it.

use crate::secret::Secret32;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rand_core::CryptoRng;
use std::fmt;
use vettid_wire::key::{KeyAlgorithm, TypedKey};

/// A device key.
pub struct DeviceSigner(Box<p256::ecdsa::SigningKey>);

/// The key could not be made or could not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device key cannot be used")]
pub struct DeviceKeyFailed;

impl DeviceSigner {
    /// Makes a key.
    ///
    /// # Errors
    /// [`DeviceKeyFailed`] if the randomness gives no scalar in a few tries.
    pub fn random(rng: &mut dyn CryptoRng) -> Result<Self, DeviceKeyFailed> {
        for _ in 0..8 {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            let seed = Secret32::from_bytes(bytes);
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(seed.expose()) {
                return Ok(Self(Box::new(key)));
            }
        }
        Err(DeviceKeyFailed)
    }

    /// The public half: an uncompressed point.
    ///
    /// # Errors
    /// [`DeviceKeyFailed`].
    pub fn public_key(&self) -> Result<TypedKey, DeviceKeyFailed> {
        let point = self.0.verifying_key().to_sec1_point(false);
        TypedKey::new(KeyAlgorithm::P256, point.as_bytes()).map_err(|_| DeviceKeyFailed)
    }

    /// Signs a message with SHA-256: `r ‖ s`, 64 bytes.
    ///
    /// # Errors
    /// [`DeviceKeyFailed`].
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceKeyFailed> {
        let signature: p256::ecdsa::Signature =
            self.0.sign_prehash(&crate::kdf::h256(message)).map_err(|_| DeviceKeyFailed)?;
        Ok(signature.to_bytes().into())
    }
}

impl fmt::Debug for DeviceSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSigner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::DeviceKey;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn what_a_device_signs_verifies_for_that_message_and_key_alone() {
        let mut rng = StdRng::seed_from_u64(1);
        let [one, two] = [(); 2].map(|()| DeviceSigner::random(&mut rng).unwrap());
        let signature = one.sign(b"text").unwrap();
        let verify = |signer: &DeviceSigner, text: &[u8]| {
            DeviceKey::from_typed(&signer.public_key().unwrap()).unwrap().verify(text, &signature)
        };
        assert!(verify(&one, b"text").is_ok());
        assert!(verify(&one, b"texts").is_err() && verify(&two, b"text").is_err());
    }
}
