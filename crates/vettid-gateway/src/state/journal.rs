//! The file behind the state: sealed records one after the other, each bound to the one before. An unfinished record at
//! the very end is the trace of a crash and is cut off; anything else that cannot be read stops the start.

use crate::files::{self, FileError};
use crate::random;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vettid_core::journal::{BrokenJournal, Chain, Changes, Record, RecordKind};
use vettid_crypto::at_rest::{self, SEAL_OVERHEAD_BYTES, StorageKey};
use vettid_crypto::kdf::h256_parts;

const AAD: &[u8] = b"vettid-gateway journal record";
/// Largest record that is read back.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;
/// Records of a rewritten file are about this large.
const CHUNK_BYTES: usize = 1024 * 1024;
/// A file smaller than this is never rewritten.
const SMALL_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record does not open with this key, and it is not the last one.
    #[error("a record of the state does not open: the key file belongs to another state, or the file was changed")]
    Undecryptable,
    /// Records do not follow each other.
    #[error(transparent)]
    Broken(#[from] BrokenJournal),
}

/// Where the journal of a state folder lies.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("journal")
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    key: Arc<StorageKey>,
    chain: Chain,
    length_bytes: u64,
}

/// All values by key.
pub(super) type Values = BTreeMap<String, Vec<u8>>;

impl JournalFile {
    /// Opens or makes the file and reads it.
    pub(super) fn open(folder: &Path, key: Arc<StorageKey>) -> Result<(Self, Values), JournalError> {
        let path = path_in(folder);
        let unfinished = unfinished(&path);
        if unfinished.exists() {
            fs::remove_file(&unfinished).map_err(files::at(&unfinished))?;
        }
        let (file, created) = open_or_create(&path).map_err(files::at(&path))?;
        let mut journal = Self { path, file, key, chain: Chain::default(), length_bytes: 0 };
        let values = if created { Values::new() } else { journal.read()? };
        Ok((journal, values))
    }

    fn read(&mut self) -> Result<Values, JournalError> {
        let total_bytes = self.file.metadata().map_err(files::at(&self.path))?.len();
        let mut reader = BufReader::new(File::open(&self.path).map_err(files::at(&self.path))?);
        let mut values = Values::new();
        while self.length_bytes < total_bytes {
            let frame = read_frame(&mut reader).map_err(files::at(&self.path))?;
            let sealed = match frame {
                Frame::Whole(sealed) => sealed,
                Frame::Torn => break,
                Frame::Garbage => return Err(JournalError::Undecryptable),
            };
            let end = self.length_bytes + (HEAD_BYTES + sealed.len()) as u64;
            let Ok(bytes) = at_rest::open(&self.key, AAD, &sealed) else {
                if end == total_bytes && self.chain.number() > 0 {
                    break;
                }
                return Err(JournalError::Undecryptable);
            };
            let record = Record::from_bytes(bytes.expose())?;
            self.chain.follow(&record, bytes.expose())?;
            apply(&mut values, record.changes);
            self.length_bytes = end;
        }
        self.cut_off(total_bytes)?;
        Ok(values)
    }

    /// Takes away what a crash left behind the last whole record.
    fn cut_off(&self, total_bytes: u64) -> Result<(), JournalError> {
        if self.length_bytes == total_bytes {
            return Ok(());
        }
        tracing::warn!(
            bytes = total_bytes - self.length_bytes,
            "an unfinished record at the end of the state was cut off"
        );
        let cut = || -> io::Result<()> {
            self.file.set_len(self.length_bytes)?;
            self.file.sync_all()
        };
        cut().map_err(|error| files::at(&self.path)(error).into())
    }

    /// Appends one record and waits for the disk.
    pub(super) fn append(&mut self, changes: Changes) -> io::Result<()> {
        let bytes = self.write(RecordKind::Commit, changes)?;
        self.file.sync_data()?;
        self.length_bytes += bytes;
        Ok(())
    }

    fn write(&mut self, kind: RecordKind, changes: Changes) -> io::Result<u64> {
        let record = self.chain.next(kind, changes);
        let bytes = record.to_bytes();
        let sealed = at_rest::seal(&self.key, AAD, &bytes, &mut random::system());
        let head = head(sealed.len()).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let frame = [head.as_slice(), sealed.as_slice()].concat();
        self.file.write_all(&frame)?;
        self.chain.follow(&record, &bytes).map_err(io::Error::other)?;
        Ok(frame.len() as u64)
    }

    /// Whether most of the file is outdated.
    pub(super) fn wants_rewrite(&self, live_bytes: u64) -> bool {
        self.length_bytes > SMALL_FILE_BYTES.max(live_bytes.saturating_mul(4))
    }

    /// Writes the present values into a new file that takes the place of this one.
    pub(super) fn rewrite(&mut self, values: &Values) -> io::Result<()> {
        let path = unfinished(&self.path);
        let file = create(&path)?;
        let mut fresh = Self {
            path: self.path.clone(),
            file,
            key: Arc::clone(&self.key),
            chain: self.chain.clone(),
            length_bytes: 0,
        };
        let mut kind = RecordKind::Snapshot;
        for chunk in chunks(values) {
            fresh.length_bytes += fresh.write(kind, chunk)?;
            kind = RecordKind::Commit;
        }
        fresh.file.sync_all()?;
        files::replace(&path, &self.path)?;
        *self = fresh;
        Ok(())
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = create(path)?;
            files::sync_parent(path)?;
            Ok((file, true))
        }
        other => other.map(|file| (file, false)),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Length of a record and a check over it, so that damage to a length is not taken for the end of the file.
const HEAD_BYTES: usize = 8;

fn head(length_bytes: usize) -> Option<[u8; HEAD_BYTES]> {
    let fits = (SEAL_OVERHEAD_BYTES..=MAX_RECORD_BYTES).contains(&length_bytes);
    let length = u32::try_from(length_bytes).ok().filter(|_| fits)?.to_be_bytes();
    let check = h256_parts(&[b"vettid-gateway journal length", &length]);
    let mut head = [0; HEAD_BYTES];
    head.iter_mut().zip(length.iter().chain(&check)).for_each(|(place, byte)| *place = *byte);
    Some(head)
}

/// The length that a head speaks of, if it is one.
fn length_in(read: [u8; HEAD_BYTES]) -> Option<usize> {
    let [a, b, c, d, ..] = read;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (head(length)? == read).then_some(length)
}

enum Frame {
    Whole(Vec<u8>),
    Torn,
    Garbage,
}

fn read_frame(reader: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; HEAD_BYTES];
    if !filled(reader, &mut head)? {
        return Ok(Frame::Torn);
    }
    let Some(length) = length_in(head) else {
        // Space that a file system gave before a crash took the content holds zeros.
        let mut rest = head.to_vec();
        reader.read_to_end(&mut rest)?;
        return Ok(if rest.iter().all(|&byte| byte == 0) { Frame::Torn } else { Frame::Garbage });
    };
    let mut sealed = vec![0; length];
    let whole = filled(reader, &mut sealed)?;
    Ok(if whole { Frame::Whole(sealed) } else { Frame::Torn })
}

/// Fills the place, or says that the file ended before.
fn filled(reader: &mut impl Read, place: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts changes into effect.
pub(super) fn apply(values: &mut Values, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
}

/// All values in records of a fitting size; at least one record.
fn chunks(values: &Values) -> Vec<Changes> {
    let mut chunks = vec![Changes::new()];
    let mut size = 0;
    for (key, value) in values {
        if size > CHUNK_BYTES {
            chunks.push(Changes::new());
            size = 0;
        }
        size += key.len() + value.len();
        if let Some(chunk) = chunks.last_mut() {
            chunk.insert(key.clone(), Some(value.clone()));
        }
    }
    chunks
}
