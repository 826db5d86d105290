//! The sealer for development and small hosts: a key in a file that only its owner reads. Who has the whole disk has it.

use super::{Sealer, SealerError};
use crate::host::storage_key::{StorageKeyError, write_new};
use rand_core::CryptoRng;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::lock::SealerKind;
use zeroize::Zeroizing;

/// A key in a file of mode 0600.
#[derive(Debug)]
pub struct KeyFile(StorageKey);

impl KeyFile {
    /// Reads the key file, or makes one if there is none. What was sealed under a lost key does not open under a new one.
    pub fn open_or_create(path: &Path, rng: &mut dyn CryptoRng) -> Result<Self, StorageKeyError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, rng),
            Err(source) => Err(StorageKeyError::File { path: path.into(), source }),
        }
    }

    fn read(path: &Path, mut file: File) -> Result<Self, StorageKeyError> {
        let failed = |source| StorageKeyError::File { path: path.into(), source };
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        let mut bytes = Zeroizing::new([0; 32]);
        let exact = file.read_exact(bytes.as_mut_slice()).is_ok() && file.read(&mut [0]).is_ok_and(|more| more == 0);
        match Secret32::from_slice(bytes.as_slice()) {
            Some(secret) if mode & 0o077 == 0 && exact => Ok(Self(StorageKey::from_secret(secret))),
            _ => Err(StorageKeyError::KeyFile(path.into())),
        }
    }

    fn create(path: &Path, rng: &mut dyn CryptoRng) -> Result<Self, StorageKeyError> {
        let key = StorageKey::random(rng);
        write_new(path, key.expose())?;
        Ok(Self(key))
    }
}

impl Sealer for KeyFile {
    fn kind(&self) -> SealerKind {
        SealerKind::KeyFile
    }

    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealerError> {
        Ok(seal_file(&self.0, purpose, plaintext, rng))
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBytes, SealerError> {
        open_file(&self.0, purpose, sealed).map_err(|_| SealerError::NotOpened)
    }
}
