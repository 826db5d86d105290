//! The storage keys of the vaults on a host. Each vault has its own, sealed by the host's sealer: a key file of mode 0600
//! for now; TPM and PKCS#11 stand behind the same port later. Never writes a key in clear, and never replaces one.

use rand_core::CryptoRng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::Secret32;
use vettid_wire::id::MemberId;

const PURPOSE: &str = "vettid-vault-storage-key";
const KEPT: &str = "vettid-host-kept";

/// Why a storage key is not at hand. A vault without its key does not start.
#[derive(Debug, thiserror::Error)]
pub enum StorageKeyError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file can be read by others, or has another size.
    #[error("{0} is not a key file of mode 0600; restore the right one, a new key would lose the vaults")]
    KeyFile(PathBuf),
    /// The sealed key does not open.
    #[error("{0} does not open under this host's key file")]
    Sealed(PathBuf),
    /// What was kept under this name opens and cannot be read.
    #[error("what this host kept as {0} cannot be read")]
    Kept(&'static str),
}

/// Seals what a host keeps on disk.
pub trait Sealer {
    /// Seals bytes for a purpose.
    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8>;
    /// Opens what was sealed for that purpose; `None` if it does not open.
    fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// The sealer for development and small hosts: a key in a file that only its owner reads.
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
        let mut bytes = [0; 32];
        let exact = file.read_exact(&mut bytes).is_ok() && file.read(&mut [0]).is_ok_and(|more| more == 0);
        if mode & 0o077 != 0 || !exact {
            return Err(StorageKeyError::KeyFile(path.into()));
        }
        Ok(Self(StorageKey::from_secret(Secret32::from_bytes(bytes))))
    }

    fn create(path: &Path, rng: &mut dyn CryptoRng) -> Result<Self, StorageKeyError> {
        let key = StorageKey::random(rng);
        write_new(path, key.expose())?;
        Ok(Self(key))
    }
}

impl Sealer for KeyFile {
    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        seal_file(&self.0, purpose, plaintext, rng)
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        Some(open_file(&self.0, purpose, sealed).ok()?.expose().to_vec())
    }
}

/// The folder with the sealed storage keys.
pub struct StorageKeys {
    folder: PathBuf,
    sealer: Box<dyn Sealer + Send + Sync>,
}

impl StorageKeys {
    /// The keys in this folder.
    pub fn new(folder: PathBuf, sealer: Box<dyn Sealer + Send + Sync>) -> Result<Self, StorageKeyError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| StorageKeyError::File { path: folder.clone(), source })?;
        Ok(Self { folder, sealer })
    }

    /// The members whose vaults this host runs.
    pub fn members(&self) -> Result<Vec<MemberId>, StorageKeyError> {
        let failed = |source| StorageKeyError::File { path: self.folder.clone(), source };
        let mut members = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let guid: Option<MemberId> =
                name.to_str().and_then(|name| name.strip_suffix(".sealed")).and_then(|guid| guid.parse().ok());
            members.extend(guid);
        }
        members.sort();
        Ok(members)
    }

    /// The storage key of a vault, if it runs here.
    pub fn get(&self, member: MemberId) -> Result<Option<StorageKey>, StorageKeyError> {
        let path = self.path(member);
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageKeyError::File { path, source }),
        };
        let opened = self.sealer.open(&purpose(member), &sealed).and_then(|bytes| Secret32::from_slice(&bytes));
        opened.map(|secret| Some(StorageKey::from_secret(secret))).ok_or(StorageKeyError::Sealed(path))
    }

    /// Makes the storage key of a new vault.
    pub fn create(&self, member: MemberId, rng: &mut dyn CryptoRng) -> Result<StorageKey, StorageKeyError> {
        let key = StorageKey::random(rng);
        write_new(&self.path(member), &self.sealer.seal(&purpose(member), key.expose(), rng))?;
        Ok(key)
    }

    /// What was kept under this name.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, StorageKeyError> {
        let path = self.folder.join(format!("{name}.kept"));
        match fs::read(&path) {
            Ok(sealed) => {
                self.sealer.open(&format!("{KEPT}/{name}"), &sealed).map(Some).ok_or(StorageKeyError::Sealed(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StorageKeyError::File { path, source }),
        }
    }

    /// Keeps bytes under a name, sealed; the old ones stay until the new ones are safe.
    pub fn keep(&self, name: &str, bytes: &[u8], rng: &mut dyn CryptoRng) -> Result<(), StorageKeyError> {
        let path = self.folder.join(format!("{name}.kept"));
        let next = self.folder.join(format!("{name}.kept.next"));
        let failed = |source| StorageKeyError::File { path: path.clone(), source };
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        write_new(&next, &self.sealer.seal(&format!("{KEPT}/{name}"), bytes, rng))?;
        fs::rename(&next, &path).map_err(failed)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn path(&self, member: MemberId) -> PathBuf {
        self.folder.join(format!("{member}.sealed"))
    }
}

fn purpose(member: MemberId) -> String {
    format!("{PURPOSE}/{member}")
}

/// Writes a file that must not exist, for its owner alone, through to the disk.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StorageKeyError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|source| StorageKeyError::File { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    fn keys(folder: &Path) -> Result<StorageKeys, StorageKeyError> {
        let sealer = KeyFile::open_or_create(&folder.join("host.key"), &mut UnwrapErr(SysRng))?;
        StorageKeys::new(folder.join("vaults"), Box::new(sealer))
    }

    fn member() -> MemberId {
        "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()
    }

    #[test]
    fn a_key_comes_back_and_is_not_on_disk_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let made = keys(folder.path()).unwrap().create(member(), &mut UnwrapErr(SysRng)).unwrap();
        let again = keys(folder.path()).unwrap();
        assert_eq!(again.get(member()).unwrap().unwrap().expose(), made.expose());
        assert_eq!(again.members().unwrap(), [member()]);
        let stored = fs::read(folder.path().join(format!("vaults/{}.sealed", member()))).unwrap();
        assert!(!stored.windows(32).any(|window| window == made.expose()));
    }

    #[test]
    fn a_wrong_or_open_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        keys(folder.path()).unwrap().create(member(), &mut UnwrapErr(SysRng)).unwrap();
        let path = folder.path().join("host.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(keys(folder.path()), Err(StorageKeyError::KeyFile(_))));
        fs::remove_file(&path).unwrap();
        assert!(matches!(keys(folder.path()).unwrap().get(member()), Err(StorageKeyError::Sealed(_))));
    }

    #[test]
    fn a_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path()).unwrap();
        keys.create(member(), &mut UnwrapErr(SysRng)).unwrap();
        assert!(keys.create(member(), &mut UnwrapErr(SysRng)).is_err());
    }
}
