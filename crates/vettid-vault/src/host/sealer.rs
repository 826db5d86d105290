//! The port behind which a host's secrets are sealed at rest: a key file, a TPM, a PKCS#11 token. The configuration
//! names one; a sealer that cannot be had stops the start, and nothing is ever sealed by another one instead.

pub mod key_file;
pub mod pkcs11;
#[cfg(feature = "tpm")]
pub mod tpm;

use super::storage_key::StorageKeyError;
use rand_core::CryptoRng;
use std::path::PathBuf;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::lock::SealerKind;

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
    /// Which kind it is, for the member to see.
    fn kind(&self) -> SealerKind;
    /// Seals bytes for a purpose.
    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealerError>;
    /// Opens what was sealed for that purpose.
    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBytes, SealerError>;
}

/// Which sealer a host uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealerConfig {
    /// A key file of mode 0600, made at the first start; best kept on another medium.
    KeyFile(PathBuf),
    /// A PKCS#11 token.
    Pkcs11(pkcs11::Pkcs11Config),
    /// A TPM 2.0.
    #[cfg(feature = "tpm")]
    Tpm(tpm::TpmConfig),
}

impl SealerConfig {
    /// Opens this sealer and no other. `is_new`: nothing was sealed before, so a key may be made.
    ///
    /// # Errors
    /// If it cannot be had, with what to do.
    pub fn open(&self, is_new: bool, rng: &mut dyn CryptoRng) -> Result<Box<dyn Sealer>, StorageKeyError> {
        match self {
            Self::KeyFile(path) => Ok(Box::new(key_file::KeyFile::open_or_create(path, rng)?)),
            Self::Pkcs11(config) => {
                Ok(Box::new(pkcs11::Pkcs11::open(config, is_new).map_err(StorageKeyError::Sealer)?))
            }
            #[cfg(feature = "tpm")]
            Self::Tpm(config) => Ok(Box::new(tpm::Tpm::open(config, is_new, rng).map_err(StorageKeyError::Sealer)?)),
        }
    }
}
