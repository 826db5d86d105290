//! State in a folder: a sealed file, a key file of mode 0600 beside it, and a lock.
//!
//! A key that others may read is not used. A new state is written beside the old one and takes its place at once, so
//! a crash leaves either the one or the other.

use super::{Hold, Store, StoreError};
use crate::random::SystemRandom;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64;
use zeroize::Zeroizing;

const PURPOSE: &str = "vettid app state";
/// A key file holds 44 characters and a line end; a little more is read to notice anything else.
const MAX_KEY_BYTES: u64 = 64;
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The state of one app in a folder of its own.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
    random: SystemRandom,
}

impl FileStore {
    /// A store in this folder, which is made on first use.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, random: SystemRandom) -> Self {
        Self { folder: folder.into(), random }
    }
}

impl Store for FileStore {
    type Hold = FileHold;

    async fn hold(&self) -> Result<FileHold, StoreError> {
        make_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let lock = open_private(OpenOptions::new().create(true).truncate(false).write(true), &path)?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(FileHold { folder: self.folder.clone(), random: self.random, _lock: lock });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(source)) => return Err(StoreError::Io { path, source }),
            }
        }
        Err(StoreError::Busy)
    }
}

/// The locked folder.
#[derive(Debug)]
pub struct FileHold {
    folder: PathBuf,
    random: SystemRandom,
    _lock: File,
}

impl FileHold {
    fn state_path(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn key_path(&self) -> PathBuf {
        self.folder.join("key")
    }

    fn key(&self) -> Result<Option<StorageKey>, StoreError> {
        read_key(&self.key_path())
    }

    fn new_key(&mut self) -> Result<StorageKey, StoreError> {
        let key = StorageKey::random(&mut self.random);
        let text = Zeroizing::new(base64::encode(key.expose()) + "\n");
        let path = self.key_path();
        let mut file = open_private(OpenOptions::new().create_new(true).write(true), &path)?;
        write_all(&mut file, &path, text.as_bytes())?;
        sync_folder(&self.folder)?;
        Ok(key)
    }
}

impl Hold for FileHold {
    fn load(&self) -> Result<Option<SecretBytes>, StoreError> {
        let path = self.state_path();
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let key = self.key()?.ok_or_else(|| StoreError::MissingKey { path: self.key_path() })?;
        at_rest::open_file(&key, PURPOSE, &sealed).map(Some).map_err(|source| StoreError::Sealed { path, source })
    }

    fn save(&mut self, state: &[u8]) -> Result<(), StoreError> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.new_key()?,
        };
        let sealed = at_rest::seal_file(&key, PURPOSE, state, &mut self.random);
        replace(&self.folder, &self.state_path(), &sealed)
    }
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| StoreError::Io { path: folder.to_owned(), source })
}

fn open_private(options: &mut OpenOptions, path: &Path) -> Result<File, StoreError> {
    options.mode(0o600).open(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn read_key(path: &Path) -> Result<Option<StorageKey>, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(source)),
    };
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::ExposedKey { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(io)?;
    let bytes = base64::decode(text.trim_end()).map(SecretBytes::new).ok();
    let secret = bytes.and_then(|bytes| Secret32::from_slice(bytes.expose()));
    let key = secret.ok_or_else(|| StoreError::InvalidKey { path: path.to_owned() })?;
    Ok(Some(StorageKey::from_secret(key)))
}

/// Writes beside `path`, then takes its place; durable when it returns.
fn replace(folder: &Path, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    let mut file = open_private(OpenOptions::new().create(true).truncate(true).write(true), &fresh)?;
    write_all(&mut file, &fresh, content)?;
    fs::rename(&fresh, path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    sync_folder(folder)
}

fn write_all(file: &mut File, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| StoreError::Io { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> FileStore {
        FileStore::new(folder.join("app"), SystemRandom::new().unwrap())
    }

    #[tokio::test]
    async fn a_saved_state_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mut hold = store.hold().await.unwrap();
        assert!(hold.load().unwrap().is_none());
        for text in ["first", "second"] {
            hold.save(text.as_bytes()).unwrap();
            assert_eq!(hold.load().unwrap().unwrap().expose(), text.as_bytes());
        }
        drop(hold);
        assert_eq!(store.hold().await.unwrap().load().unwrap().unwrap().expose(), b"second");
    }

    #[tokio::test]
    async fn nothing_is_readable_by_others_or_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        hold.save(b"canary-canary").unwrap();
        let mut seen = 0;
        for entry in fs::read_dir(folder.path().join("app")).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{path:?}");
            assert!(!fs::read(&path).unwrap().windows(6).any(|window| window == b"canary"), "{path:?}");
            seen += 1;
        }
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    async fn a_changed_state_or_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        hold.save(b"state").unwrap();
        let (state, key) = (hold.state_path(), hold.key_path());
        let sealed = fs::read(&state).unwrap();
        fs::write(&state, [&sealed[..sealed.len() - 1], &[sealed.last().unwrap() ^ 1]].concat()).unwrap();
        assert!(matches!(hold.load(), Err(StoreError::Sealed { .. })));
        fs::write(&state, &sealed).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(hold.load(), Err(StoreError::ExposedKey { mode: 0o640, .. })));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "AAAA\n").unwrap();
        assert!(matches!(hold.load(), Err(StoreError::InvalidKey { .. })));
        assert!(matches!(hold.save(b"other"), Err(StoreError::InvalidKey { .. })));
        fs::remove_file(&key).unwrap();
        assert!(matches!(hold.load(), Err(StoreError::MissingKey { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_holder_waits_and_gives_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let hold = store.hold().await.unwrap();
        assert!(matches!(store.hold().await, Err(StoreError::Busy)));
        let (second, ()) = tokio::join!(store.hold(), async {
            tokio::time::sleep(LOCK_PAUSE * 3).await;
            drop(hold);
        });
        assert!(second.is_ok());
    }
}
