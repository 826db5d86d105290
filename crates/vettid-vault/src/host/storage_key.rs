//! The storage keys of the vaults on a host. Each vault has its own, sealed by the host's sealer; that of a vault with a
//! lock lies in its lock record, where the sealer alone does not open it. With each lies when it was made. Never writes a key
//! in clear, never replaces one.

use super::sealer::{Sealer, SealerError};
use rand_core::CryptoRng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::id::MemberId;
use vettid_wire::lock::SealerKind;
use vettid_wire::time::Timestamp;

const PURPOSE: &str = "vettid-vault-storage-key";
const KEPT: &str = "vettid-host-kept";
const LOCK: &str = "vettid-vault-lock";

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
    /// The sealer does not work.
    #[error(transparent)]
    Sealer(SealerError),
    /// The vault has a lock: only its member's key gives its storage key.
    #[error("the vault of {0} has a lock")]
    Locked(MemberId),
    /// The lock record has another form than this program knows.
    #[error("the lock record of {0} cannot be read")]
    LockRecord(MemberId),
}

/// The folder with the sealed storage keys.
pub struct StorageKeys {
    folder: PathBuf,
    sealer: Box<dyn Sealer>,
}

impl StorageKeys {
    /// The keys in this folder.
    pub fn new(folder: PathBuf, sealer: Box<dyn Sealer>) -> Result<Self, StorageKeyError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| StorageKeyError::File { path: folder.clone(), source })?;
        Ok(Self { folder, sealer })
    }

    /// What seals them.
    #[must_use]
    pub fn sealer_kind(&self) -> SealerKind {
        self.sealer.kind()
    }

    /// The members whose vaults lie on this host.
    pub fn members(&self) -> Result<Vec<MemberId>, StorageKeyError> {
        let failed = |source| StorageKeyError::File { path: self.folder.clone(), source };
        let mut members = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".sealed").or(name.strip_suffix(".lock")));
            members.extend(stem.and_then(|guid| guid.parse::<MemberId>().ok()));
        }
        members.sort();
        members.dedup();
        Ok(members)
    }

    /// The storage key of a vault, if the sealer alone gives it.
    pub fn get(&self, member: MemberId) -> Result<Option<StorageKey>, StorageKeyError> {
        Ok(self.aged(member)?.map(|(key, _)| key))
    }

    /// When the storage key of a vault was made, if the sealer alone gives it and the time was recorded.
    pub(super) fn made_at(&self, member: MemberId) -> Result<Option<Timestamp>, StorageKeyError> {
        Ok(self.aged(member)?.and_then(|(_, made_at)| made_at))
    }

    fn aged(&self, member: MemberId) -> Result<Option<(StorageKey, Option<Timestamp>)>, StorageKeyError> {
        let opened = self.read(self.path(member), &purpose(member))?;
        let aged = opened.map(|bytes| parted(bytes.expose()).ok_or_else(|| StorageKeyError::Sealed(self.path(member))));
        aged.transpose()
    }

    /// Makes the storage key of a new vault.
    pub fn create(
        &self,
        member: MemberId,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<StorageKey, StorageKeyError> {
        if self.lock_path(member).exists() {
            return Err(StorageKeyError::Locked(member));
        }
        let key = StorageKey::random(rng);
        write_new(&self.path(member), &self.seal(&purpose(member), joined(&key, Some(now)).expose(), rng)?)?;
        Ok(key)
    }

    /// Puts the storage key of a vault back under the sealer alone, and reads it again.
    pub(super) fn put_back(
        &self,
        member: MemberId,
        key: &StorageKey,
        made_at: Option<Timestamp>,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StorageKeyError> {
        self.replace(&self.path(member), &self.seal(&purpose(member), joined(key, made_at).expose(), rng)?)?;
        let is_there = self.get(member)?.is_some_and(|found| found.expose() == key.expose());
        if is_there { Ok(()) } else { Err(StorageKeyError::Sealed(self.path(member))) }
    }

    /// Removes the storage key that the sealer alone gives: from now on the lock record is the only way to it.
    pub(super) fn remove(&self, member: MemberId) -> Result<(), StorageKeyError> {
        let path = self.path(member);
        let failed = |source| StorageKeyError::File { path: path.clone(), source };
        remove_if_there(&path).map_err(failed)?;
        sync_folder(&self.folder).map_err(failed)
    }

    /// The lock record of a vault, if it has one.
    pub(super) fn lock_record(&self, member: MemberId) -> Result<Option<SecretBytes>, StorageKeyError> {
        self.read(self.lock_path(member), &lock_purpose(member))
    }

    /// Writes the lock record of a vault, through to the disk; the old one stays until the new one is safe.
    pub(super) fn keep_lock_record(
        &self,
        member: MemberId,
        bytes: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StorageKeyError> {
        self.replace(&self.lock_path(member), &self.seal(&lock_purpose(member), bytes, rng)?)
    }

    /// What was kept under this name.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, StorageKeyError> {
        let opened = self.read(self.folder.join(format!("{name}.kept")), &format!("{KEPT}/{name}"))?;
        Ok(opened.map(|bytes| bytes.expose().to_vec()))
    }

    /// Keeps bytes under a name, sealed; the old ones stay until the new ones are safe.
    pub fn keep(&self, name: &str, bytes: &[u8], rng: &mut dyn CryptoRng) -> Result<(), StorageKeyError> {
        let sealed = self.seal(&format!("{KEPT}/{name}"), bytes, rng)?;
        self.replace(&self.folder.join(format!("{name}.kept")), &sealed)
    }

    fn seal(&self, purpose: &str, bytes: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, StorageKeyError> {
        self.sealer.seal(purpose, bytes, rng).map_err(StorageKeyError::Sealer)
    }

    fn read(&self, path: PathBuf, purpose: &str) -> Result<Option<SecretBytes>, StorageKeyError> {
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageKeyError::File { path, source }),
        };
        match self.sealer.open(purpose, &sealed) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SealerError::NotOpened) => Err(StorageKeyError::Sealed(path)),
            Err(error) => Err(StorageKeyError::Sealer(error)),
        }
    }

    fn replace(&self, path: &Path, sealed: &[u8]) -> Result<(), StorageKeyError> {
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        let next = PathBuf::from(next);
        let failed = |source| StorageKeyError::File { path: path.into(), source };
        remove_if_there(&next).map_err(failed)?;
        write_new(&next, sealed)?;
        fs::rename(&next, path).map_err(failed)?;
        sync_folder(&self.folder).map_err(failed)
    }

    fn lock_path(&self, member: MemberId) -> PathBuf {
        self.folder.join(format!("{member}.lock"))
    }

    fn path(&self, member: MemberId) -> PathBuf {
        self.folder.join(format!("{member}.sealed"))
    }
}

/// What is sealed: the 32 bytes of the key, and 8 of the time at which it was made, which earlier programs did not write.
fn joined(key: &StorageKey, made_at: Option<Timestamp>) -> SecretBytes {
    let time = made_at.map(|made_at| made_at.unix_ms().to_be_bytes());
    SecretBytes::new([key.expose().as_slice(), time.as_ref().map_or(&[], |time| time.as_slice())].concat())
}

fn parted(bytes: &[u8]) -> Option<(StorageKey, Option<Timestamp>)> {
    let (secret, time) = bytes.split_at_checked(32)?;
    let made_at = match time {
        [] => None,
        time => Some(Timestamp::from_unix_ms(i64::from_be_bytes(time.try_into().ok()?))),
    };
    Some((StorageKey::from_secret(Secret32::from_slice(secret)?), made_at))
}

fn purpose(member: MemberId) -> String {
    format!("{PURPOSE}/{member}")
}

fn lock_purpose(member: MemberId) -> String {
    format!("{LOCK}/{member}")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a file that must not exist, for its owner alone, through to the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StorageKeyError> {
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
    use crate::host::sealer::key_file::KeyFile;
    use getrandom::SysRng;
    use rand_core::UnwrapErr;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_790_000_000_000)
    }

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
        let made = keys(folder.path()).unwrap().create(member(), now(), &mut UnwrapErr(SysRng)).unwrap();
        let again = keys(folder.path()).unwrap();
        assert_eq!(again.get(member()).unwrap().unwrap().expose(), made.expose());
        assert_eq!(again.members().unwrap(), [member()]);
        let stored = fs::read(folder.path().join(format!("vaults/{}.sealed", member()))).unwrap();
        assert!(!stored.windows(32).any(|window| window == made.expose()));
    }

    /// An earlier program sealed the key alone.
    #[test]
    fn the_time_at_which_a_key_was_made_is_kept_with_it_and_that_of_an_older_one_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path()).unwrap();
        let made = keys.create(member(), now(), &mut UnwrapErr(SysRng)).unwrap();
        assert_eq!(keys.made_at(member()).unwrap(), Some(now()));
        keys.put_back(member(), &made, None, &mut UnwrapErr(SysRng)).unwrap();
        assert_eq!(keys.made_at(member()).unwrap(), None);
        let older = keys.seal(&purpose(member()), made.expose(), &mut UnwrapErr(SysRng)).unwrap();
        keys.replace(&keys.path(member()), &older).unwrap();
        assert_eq!(keys.get(member()).unwrap().unwrap().expose(), made.expose());
        assert_eq!(keys.made_at(member()).unwrap(), None);
        for wrong in [31, 33, 39, 41] {
            let other = keys.seal(&purpose(member()), &vec![7; wrong], &mut UnwrapErr(SysRng)).unwrap();
            keys.replace(&keys.path(member()), &other).unwrap();
            assert!(matches!(keys.get(member()), Err(StorageKeyError::Sealed(_))), "{wrong} bytes are a key");
        }
    }

    #[test]
    fn a_wrong_or_open_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        keys(folder.path()).unwrap().create(member(), now(), &mut UnwrapErr(SysRng)).unwrap();
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
        keys.create(member(), now(), &mut UnwrapErr(SysRng)).unwrap();
        assert!(keys.create(member(), now(), &mut UnwrapErr(SysRng)).is_err());
    }
}
