//! State in a folder: a sealed file for each place, a key file of mode 0600 beside them, and a lock.
//!
//! A key that others may read is not used. A new value is written beside the old one and takes its place at once, so
//! a crash leaves either the one or the other.

use super::disk::{Disk, Target, Unwatched, Watch, open_private};
use super::{Hold, Place, Store, StoreError};
use crate::random::SystemRandom;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64;
use zeroize::Zeroizing;

/// What binds the content of a file to its place.
fn purpose_of(place: Place) -> &'static str {
    match place {
        Place::App => "vettid app state",
        Place::Credential => "vettid app credential",
        Place::SlotA => "vettid app credential slot a",
        Place::SlotB => "vettid app credential slot b",
        Place::ServicesCredential => "vettid app services credential",
        Place::ServicesSlotA => "vettid app services credential slot a",
        Place::ServicesSlotB => "vettid app services credential slot b",
        Place::Recovery => "vettid app recovery",
    }
}

/// A key file holds 44 characters and a line end; a little more is read to notice anything else.
const MAX_KEY_BYTES: u64 = 64;
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The state of one app in a folder of its own.
#[derive(Debug, Clone)]
pub struct FileStore<W = Unwatched> {
    disk: Disk<W>,
    random: SystemRandom,
}

impl FileStore {
    /// A store in this folder, which is made on first use.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, random: SystemRandom) -> Self {
        Self::watched(folder, random, Unwatched)
    }
}

impl<W: Watch> FileStore<W> {
    /// The same, with somebody who is told of each durable step.
    #[must_use]
    pub fn watched(folder: impl Into<PathBuf>, random: SystemRandom, watch: W) -> Self {
        Self { disk: Disk { folder: folder.into(), watch }, random }
    }
}

impl<W: Watch> Store for FileStore<W> {
    type Hold = FileHold<W>;

    async fn hold(&self) -> Result<FileHold<W>, StoreError> {
        make_folder(&self.disk.folder)?;
        let path = self.disk.folder.join("lock");
        let lock = open_private(OpenOptions::new().create(true).truncate(false).write(true), &path)?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(FileHold { disk: self.disk.clone(), random: self.random, _lock: lock });
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
pub struct FileHold<W = Unwatched> {
    disk: Disk<W>,
    random: SystemRandom,
    _lock: File,
}

impl<W: Watch> FileHold<W> {
    fn path(&self, place: Place) -> PathBuf {
        self.disk.path(Target::Value(place))
    }

    fn key_path(&self) -> PathBuf {
        self.disk.path(Target::Key)
    }

    fn key(&self) -> Result<Option<StorageKey>, StoreError> {
        read_key(&self.key_path())
    }

    /// The first key. It takes its place whole or not at all: half a key would shut the app out.
    fn new_key(&mut self) -> Result<StorageKey, StoreError> {
        let key = StorageKey::random(&mut self.random);
        let text = Zeroizing::new(base64::encode(key.expose()) + "\n");
        self.disk.replace(Target::Key, text.as_bytes())?;
        Ok(key)
    }
}

impl<W: Watch> Hold for FileHold<W> {
    fn load(&self, place: Place) -> Result<Option<SecretBytes>, StoreError> {
        let path = self.path(place);
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let key = self.key()?.ok_or_else(|| StoreError::MissingKey { path: self.key_path() })?;
        at_rest::open_file(&key, purpose_of(place), &sealed)
            .map(Some)
            .map_err(|source| StoreError::Sealed { path, source })
    }

    fn save(&mut self, place: Place, value: &[u8]) -> Result<(), StoreError> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.new_key()?,
        };
        let sealed = at_rest::seal_file(&key, purpose_of(place), value, &mut self.random);
        self.disk.replace(Target::Value(place), &sealed)
    }

    fn remove(&mut self, place: Place) -> Result<(), StoreError> {
        self.disk.remove(Target::Value(place))
    }
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| StoreError::Io { path: folder.to_owned(), source })
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
        assert!(hold.load(Place::App).unwrap().is_none());
        for text in ["first", "second"] {
            hold.save(Place::App, text.as_bytes()).unwrap();
            assert_eq!(hold.load(Place::App).unwrap().unwrap().expose(), text.as_bytes());
        }
        drop(hold);
        assert_eq!(store.hold().await.unwrap().load(Place::App).unwrap().unwrap().expose(), b"second");
    }

    #[tokio::test]
    async fn each_value_opens_at_its_own_place_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        let places = [
            Place::App,
            Place::Credential,
            Place::SlotA,
            Place::SlotB,
            Place::ServicesCredential,
            Place::ServicesSlotA,
            Place::ServicesSlotB,
            Place::Recovery,
        ];
        for (number, place) in (0..).zip(places) {
            hold.save(place, &[number]).unwrap();
        }
        for (number, place) in (0..).zip(places) {
            assert_eq!(hold.load(place).unwrap().unwrap().expose(), [number]);
            let swapped = places[(usize::from(number) + 1) % places.len()];
            fs::copy(hold.path(place), folder.path().join("kept")).unwrap();
            fs::copy(hold.path(swapped), hold.path(place)).unwrap();
            assert!(matches!(hold.load(place), Err(StoreError::Sealed { .. })), "{place:?}");
            fs::copy(folder.path().join("kept"), hold.path(place)).unwrap();
        }
        hold.remove(Place::SlotA).unwrap();
        hold.remove(Place::SlotA).unwrap();
        assert!(hold.load(Place::SlotA).unwrap().is_none());
        assert!(hold.load(Place::SlotB).unwrap().is_some());
    }

    #[tokio::test]
    async fn nothing_is_readable_by_others_or_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        hold.save(Place::App, b"canary-canary").unwrap();
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
        hold.save(Place::App, b"state").unwrap();
        let (state, key) = (hold.path(Place::App), hold.key_path());
        let sealed = fs::read(&state).unwrap();
        fs::write(&state, [&sealed[..sealed.len() - 1], &[sealed.last().unwrap() ^ 1]].concat()).unwrap();
        assert!(matches!(hold.load(Place::App), Err(StoreError::Sealed { .. })));
        fs::write(&state, &sealed).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(hold.load(Place::App), Err(StoreError::ExposedKey { mode: 0o640, .. })));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "AAAA\n").unwrap();
        assert!(matches!(hold.load(Place::App), Err(StoreError::InvalidKey { .. })));
        assert!(matches!(hold.save(Place::App, b"other"), Err(StoreError::InvalidKey { .. })));
        fs::remove_file(&key).unwrap();
        assert!(matches!(hold.load(Place::App), Err(StoreError::MissingKey { .. })));
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
