//! State in a folder: a sealed file for each place, a key file of mode 0600 beside them, and a lock.
//!
//! A key that others may read is not used. A new value is written beside the old one, into the other region of its file, so a
//! crash leaves either the one or the other (docs/decisions/0132). A slot has one region: what is in it is not needed any more.

use super::disk::{Disk, Target, Unwatched, Watch, open_private};
use super::region::{self, Found, Newest};
use super::{Hold, Place, Store, StoreError};
use crate::random::SystemRandom;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use vettid_crypto::at_rest::{self, SealedFileError, StorageKey};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64;
use vettid_wire::time::Timestamp;
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
                    return Ok(FileHold {
                        disk: self.disk.clone(),
                        random: self.random,
                        written: BTreeMap::new(),
                        _lock: lock,
                    });
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
    /// The files that this holder wrote: what they hold now is on the disk.
    written: BTreeMap<Place, Written>,
    _lock: File,
}

/// A file, and where its newest value stands.
#[derive(Debug)]
struct Written {
    file: File,
    /// Bytes of each region.
    size: usize,
    region: usize,
    sequence: u64,
    /// Bytes of the newest value with its frame.
    used: usize,
}

/// What a file of this place holds, wherever the file lies by now; `None` if nothing.
///
/// # Errors
/// [`SealedFileError`] if there is something that does not open.
pub fn open_content(key: &StorageKey, place: Place, content: &[u8]) -> Result<Option<SecretBytes>, SealedFileError> {
    Ok(match region::read(key, purpose_of(place), content, regions_of(place))? {
        Found::Nothing => None,
        Found::Value(Newest { value, .. }) | Found::Whole(value) => Some(value),
    })
}

/// How many values a place has room for.
fn regions_of(place: Place) -> usize {
    if place.is_slot() { 1 } else { 2 }
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

impl<W: Watch> FileHold<W> {
    /// What the file of this place holds, as it lies there.
    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(place);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    /// The file of this place, to go on in it; `None` if there is none of its form.
    fn find(&self, place: Place, key: &StorageKey) -> Result<Option<Written>, StoreError> {
        let Some(content) = self.read(place)? else { return Ok(None) };
        let (regions, length) = (regions_of(place), content.len());
        let (region, sequence, used) = match region::read(key, purpose_of(place), &content, regions) {
            Ok(Found::Value(newest)) => (newest.region, newest.sequence, newest.used),
            Ok(Found::Nothing) => (regions - 1, 0, 0),
            Ok(Found::Whole(_)) | Err(_) => return Ok(None),
        };
        let file = open_private(OpenOptions::new().read(true).write(true), &self.path(place))?;
        Ok(Some(Written { file, size: region::size_of_each(length, regions), region, sequence, used }))
    }

    /// A file with room for a value like this one, which is in its first region.
    fn write_fresh(&self, place: Place, framed: &[u8], sequence: u64) -> Result<Written, StoreError> {
        let size = region::size_for(framed.len());
        let mut content = framed.to_vec();
        content.resize(size * regions_of(place), 0);
        let file = self.disk.replace(Target::Value(place), &content)?;
        Ok(Written { file, size, region: 0, sequence, used: framed.len() })
    }

    /// The next value goes into the next region; the one before it is wiped once this one is on the disk.
    fn write_next(&self, place: Place, before: Written, framed: &[u8], sequence: u64) -> Result<Written, StoreError> {
        let (target, regions) = (Target::Value(place), regions_of(place));
        let Written { file, size, .. } = before;
        let region = (before.region + 1) % regions;
        if let Err(error) = self.disk.overwrite(target, &file, region::start(region, size), framed) {
            // Nobody counts on it, so it had better not be found. If it is, after a failure of this as well, it is as if the program
            // had ended after the sync: whatever it stored is finished or tried again, and the next value goes over it.
            let _ = self.disk.wipe(target, &file, region::start(region, size), framed.len());
            return Err(error);
        }
        if regions > 1 {
            // The new value stands, and is the newer one whatever becomes of this.
            let _ = self.disk.wipe(target, &file, region::start(before.region, size), before.used);
        }
        Ok(Written { file, size, region, sequence, used: framed.len() })
    }

    /// What a program wrote that was ended meanwhile may not be on the disk yet: it goes there before anybody counts on it.
    fn settle(&self, place: Place) -> Result<(), StoreError> {
        let path = self.path(place);
        let synced = File::open(&path).and_then(|file| file.sync_data());
        synced.map_err(|source| StoreError::Io { path, source })
    }

    /// Wipes the file of this place. Gives it, if there is one.
    fn wipe(&mut self, place: Place) -> Result<Option<File>, StoreError> {
        self.written.remove(&place);
        let path = self.path(place);
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let length = file.metadata().map_err(|source| StoreError::Io { path, source })?.len();
        self.disk.wipe(Target::Value(place), &file, 0, usize::try_from(length).unwrap_or(0))?;
        Ok(Some(file))
    }
}

impl<W: Watch> Hold for FileHold<W> {
    fn load(&self, place: Place) -> Result<Option<SecretBytes>, StoreError> {
        let Some(content) = self.read(place)? else { return Ok(None) };
        let key = self.key()?.ok_or_else(|| StoreError::MissingKey { path: self.key_path() })?;
        let found = region::read(&key, purpose_of(place), &content, regions_of(place))
            .map_err(|source| StoreError::Sealed { path: self.path(place), source })?;
        let (value, is_settled) = match found {
            Found::Nothing => return Ok(None),
            Found::Whole(value) => (value, true),
            Found::Value(newest) => (newest.value, !place.is_slot() && !newest.is_unsettled),
        };
        if !is_settled && !self.written.contains_key(&place) {
            self.settle(place)?;
        }
        Ok(Some(value))
    }

    /// The key file is written once.
    fn key_made_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let path = self.key_path();
        let written = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(written) => written.duration_since(UNIX_EPOCH).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        Ok(written.and_then(|age| i64::try_from(age.as_millis()).ok()).map(Timestamp::from_unix_ms))
    }

    fn save(&mut self, place: Place, value: &[u8]) -> Result<(), StoreError> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.new_key()?,
        };
        let before = match self.written.remove(&place) {
            Some(written) => Some(written),
            None => self.find(place, &key)?,
        };
        let sequence = before.as_ref().map_or(0, |before| before.sequence) + 1;
        let plaintext = region::plaintext(sequence, value);
        let sealed = at_rest::seal_file(&key, purpose_of(place), plaintext.expose(), &mut self.random);
        let framed = region::framed(&sealed).ok_or(StoreError::NotKept)?;
        let written = match before.filter(|before| framed.len() <= before.size) {
            Some(before) => self.write_next(place, before, &framed, sequence)?,
            None => self.write_fresh(place, &framed, sequence)?,
        };
        self.written.insert(place, written);
        Ok(())
    }

    fn free(&mut self, place: Place) -> Result<(), StoreError> {
        self.wipe(place).map(drop)
    }

    fn remove(&mut self, place: Place) -> Result<(), StoreError> {
        match self.wipe(place)? {
            Some(file) => self.disk.sync(Target::Value(place), &file),
            None => Ok(()),
        }
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
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

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
        for _ in 0..2 {
            hold.remove(Place::SlotA).unwrap();
            hold.free(Place::ServicesSlotB).unwrap();
        }
        for (place, is_there) in [(Place::SlotA, false), (Place::ServicesSlotB, false), (Place::SlotB, true)] {
            assert_eq!(hold.load(place).unwrap().is_some(), is_there, "{place:?}");
        }
        hold.save(Place::SlotA, b"again").unwrap();
        assert_eq!(hold.load(Place::SlotA).unwrap().unwrap().expose(), b"again");
    }

    /// Each sector as it was, or as it became where this says so.
    fn mixed(before: &[u8], after: &[u8], mut is_after: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        const SECTOR_BYTES: usize = 512;
        let sectors = before.chunks(SECTOR_BYTES).zip(after.chunks(SECTOR_BYTES));
        sectors.flat_map(|(before, after)| if is_after(after) { after } else { before }.to_vec()).collect()
    }

    /// Whatever of a write in place has reached the disk when the machine ends: the former value or the new one is found, and
    /// both go on being written. Of a slot: the new one, or nothing that opens.
    #[tokio::test]
    async fn a_torn_write_leaves_one_of_both() {
        let mut draw = StdRng::seed_from_u64(7);
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        for (place, before) in [(Place::Credential, 1), (Place::Credential, 2), (Place::SlotA, 1), (Place::SlotA, 2)] {
            let (mut former_ones, mut new_ones) = (0, 0);
            for _ in 0..150 {
                let _ = fs::remove_file(folder.path().join("app").join(Target::Value(place).file_name()));
                let mut hold = store.hold().await.unwrap();
                (0..before).for_each(|n| hold.save(place, &[n; 3000]).unwrap());
                let path = hold.path(place);
                let former = fs::read(&path).unwrap();
                hold.save(place, &[9; 4000]).unwrap();
                let (after, part) = (fs::read(&path).unwrap(), draw.random_bool(0.5));
                // The former value is wiped once the new one is on the disk, and not before.
                let written = mixed(&former, &after, |after| after.iter().any(|byte| *byte != 0));
                let torn = match part {
                    true => mixed(&former, &written, |_| draw.random_bool(0.7)),
                    false => mixed(&written, &after, |_| draw.random_bool(0.7)),
                };
                fs::write(&path, torn).unwrap();
                drop(hold);
                let mut hold = store.hold().await.unwrap();
                match hold.load(place) {
                    Ok(Some(value)) if value.expose() == [9; 4000] => new_ones += 1,
                    Ok(Some(value)) if value.expose() == [before - 1; 3000] => former_ones += 1,
                    Ok(None) | Err(StoreError::Sealed { .. }) if place.is_slot() => {}
                    other => panic!("{place:?}: {other:?}"),
                }
                for text in [b"one".as_slice(), b"two"] {
                    hold.save(place, text).unwrap();
                    assert_eq!(hold.load(place).unwrap().unwrap().expose(), text);
                }
            }
            assert!(place.is_slot() || former_ones > 0 && new_ones > 0, "{former_ones} former, {new_ones} new");
        }
    }

    /// What stood in the file before is not there any more once the next value is.
    #[tokio::test]
    async fn the_former_value_is_wiped() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        hold.save(Place::App, &[1; 2000]).unwrap();
        let first = fs::read(hold.path(Place::App)).unwrap();
        hold.save(Place::App, &[2; 2000]).unwrap();
        let second = fs::read(hold.path(Place::App)).unwrap();
        assert_eq!(first.len(), second.len(), "it is the same file");
        assert!(first[100..2000].windows(16).all(|part| part == [0; 16] || !second.windows(16).any(|w| w == part)));
    }

    #[tokio::test]
    async fn a_value_that_has_no_room_gets_a_larger_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mut hold = store.hold().await.unwrap();
        for length in [10, 100_000, 10, 300_000, 299_000] {
            let value = vec![7; length];
            hold.save(Place::Credential, &value).unwrap();
            assert_eq!(hold.load(Place::Credential).unwrap().unwrap().expose(), value);
        }
        drop(hold);
        assert_eq!(store.hold().await.unwrap().load(Place::Credential).unwrap().unwrap().expose(), vec![7; 299_000]);
    }

    /// A folder of an earlier version is read, and takes the present form with the next value.
    #[tokio::test]
    async fn a_file_that_is_one_value_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut hold = store(folder.path()).hold().await.unwrap();
        hold.save(Place::App, b"first").unwrap();
        let key = hold.key().unwrap().unwrap();
        let whole = at_rest::seal_file(&key, purpose_of(Place::App), b"earlier", &mut SystemRandom::new().unwrap());
        fs::write(hold.path(Place::App), whole).unwrap();
        drop(hold);
        let mut hold = store(folder.path()).hold().await.unwrap();
        assert_eq!(hold.load(Place::App).unwrap().unwrap().expose(), b"earlier");
        hold.save(Place::App, b"second").unwrap();
        assert_eq!(hold.load(Place::App).unwrap().unwrap().expose(), b"second");
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
        let content = fs::read(&state).unwrap();
        for byte in 0..content.iter().rposition(|byte| *byte != 0).unwrap() {
            let mut changed = content.clone();
            changed[byte] ^= 1;
            fs::write(&state, changed).unwrap();
            assert!(matches!(hold.load(Place::App), Err(StoreError::Sealed { .. })), "byte {byte}");
        }
        fs::write(&state, &content).unwrap();
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
