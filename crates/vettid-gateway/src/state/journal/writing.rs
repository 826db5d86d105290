//! The half of the journal file that wrote it, kept for tests of the move and for the benchmark that compares.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use vettid_core::journal::{Chain, Changes, RecordKind};
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::kdf::h256_parts;

/// A journal in a folder, open for appending.
pub(crate) struct Journal {
    file: File,
    key: StorageKey,
    chain: Chain,
}

impl Journal {
    /// A new one.
    pub(crate) fn create(folder: &Path, key: StorageKey) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join("journal"))?;
        Ok(Self { file, key, chain: Chain::default() })
    }

    /// A change of one value, as it was sealed.
    pub(crate) fn change(&self, key: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
        let place = [b"vettid-gateway value\0", key.as_bytes()].concat();
        (key.to_owned(), Some(at_rest::seal(&self.key, &place, value, &mut rand::rng())))
    }

    /// Appends one record and waits for the disk.
    pub(crate) fn append(&mut self, changes: Changes) -> io::Result<()> {
        self.write(RecordKind::Commit, changes)?;
        self.file.sync_data()
    }

    /// Appends one record.
    pub(crate) fn write(&mut self, kind: RecordKind, changes: Changes) -> io::Result<()> {
        let record = self.chain.next(kind, changes);
        let bytes = record.to_bytes();
        let sealed = at_rest::seal(&self.key, b"vettid-gateway journal record", &bytes, &mut rand::rng());
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?.to_be_bytes();
        let check = h256_parts(&[b"vettid-gateway journal length", &length]);
        let frame = [length.as_slice(), check.split_at(4).0, sealed.as_slice()].concat();
        self.file.write_all(&frame)?;
        self.chain.follow(&record, &bytes).map_err(io::Error::other)
    }
}
