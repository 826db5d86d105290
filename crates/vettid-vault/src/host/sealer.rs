//! The port behind which a host's secrets are sealed at rest: a key file, a TPM, a PKCS#11 token. The configuration
//! names one; a sealer that cannot be had stops the start, and nothing is ever sealed by another one instead.

pub mod key_file;

use rand_core::CryptoRng;
use vettid_crypto::secret::SecretBytes;

/// Why a sealer does not seal or open.
#[derive(Debug, thiserror::Error)]
pub enum SealerError {
    /// Sealed by another sealer, for another purpose, or changed.
    #[error("it was not sealed by this sealer")]
    NotOpened,
    /// The device behind the sealer does not do it.
    #[error("the sealer failed: {0}")]
    Failed(String),
}

/// Seals what a host keeps on disk.
pub trait Sealer: Send + Sync {
    /// Seals bytes for a purpose.
    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealerError>;
    /// Opens what was sealed for that purpose.
    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBytes, SealerError>;
}
