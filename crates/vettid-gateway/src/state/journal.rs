//! The journal file in which gateways kept their state before: sealed records one after the other, each bound to the one before. It is
//! read once, when its state is moved into a database. Never written.

use super::book::{Origin, Values};
use crate::files::{self, FileError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use vettid_core::journal::{BrokenJournal, Chain, Changes, Record};
use vettid_crypto::at_rest::{self, SEAL_OVERHEAD_BYTES, StorageKey};
use vettid_crypto::kdf::h256_parts;

const AAD: &[u8] = b"vettid-gateway journal record";
/// Largest record that is read back.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;
/// What stands in the place of a journal that was moved. No journal begins like this, so a program that knows journals alone
/// does not start over it.
const MOVED: &[u8] = b"The state that was here was moved into a database.\n";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record does not open with this key, and it is not the last one.
    #[error("a record of the journal does not open: the key file belongs to another state, or the file was changed")]
    Undecryptable,
    /// Records do not follow each other.
    #[error(transparent)]
    Broken(#[from] BrokenJournal),
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("journal")
}

/// Whether a folder holds a journal that was not moved yet.
pub(super) fn is_in(folder: &Path) -> Result<bool, FileError> {
    let path = path_in(folder);
    let mut begin = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(MOVED.len() as u64).read_to_end(&mut begin).map_err(files::at(&path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(files::at(&path)(error)),
    };
    Ok(begin != MOVED)
}

/// All values, and what names this very state: the end of its chain. An unfinished record at the very end is what a crash
/// leaves: nobody was told of it.
pub(super) fn read(folder: &Path, key: &StorageKey) -> Result<(Origin, Values), JournalError> {
    let path = path_in(folder);
    let file = File::open(&path).map_err(files::at(&path))?;
    let total_bytes = file.metadata().map_err(files::at(&path))?.len();
    let mut reader = BufReader::new(file);
    let (mut chain, mut sealed_values, mut read_bytes) = (Chain::default(), BTreeMap::new(), 0);
    while read_bytes < total_bytes {
        let sealed = match read_frame(&mut reader).map_err(files::at(&path))? {
            Frame::Whole(sealed) => sealed,
            Frame::Torn => break,
            Frame::Garbage => return Err(JournalError::Undecryptable),
        };
        read_bytes += (HEAD_BYTES + sealed.len()) as u64;
        let Ok(bytes) = at_rest::open(key, AAD, &sealed) else {
            if read_bytes == total_bytes && chain.number() > 0 {
                break;
            }
            return Err(JournalError::Undecryptable);
        };
        let record = Record::from_bytes(bytes.expose())?;
        chain.follow(&record, bytes.expose())?;
        apply(&mut sealed_values, record.changes);
    }
    Ok((*chain.hash(), opened(key, sealed_values)?))
}

fn apply(values: &mut BTreeMap<String, Vec<u8>>, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
}

fn opened(key: &StorageKey, sealed: BTreeMap<String, Vec<u8>>) -> Result<Values, JournalError> {
    let open = |(name, sealed): (String, Vec<u8>)| {
        let place = [b"vettid-gateway value\0", name.as_bytes()].concat();
        let value = at_rest::open(key, &place, &sealed).map_err(|_| JournalError::Undecryptable)?;
        Ok((name, value))
    };
    sealed.into_iter().map(open).collect()
}

/// Puts a note in the place of a journal whose state is elsewhere now; nothing of it is left.
pub(super) fn retire(folder: &Path) -> Result<(), FileError> {
    let path = path_in(folder);
    let note = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&note)?;
        file.write_all(MOVED)?;
        file.sync_all()?;
        files::replace(&note, &path)
    };
    write().map_err(files::at(&path))
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

#[cfg(test)]
pub(super) mod writing;
