//! The gateway's durable state: sealed values by key, changed by commits that survive a kill at any point. A commit is
//! acknowledged only when the disk has it; commits that wait at the same time share one write.

mod journal;
mod writer;

pub(crate) use journal::JournalError;

use crate::files::{self, FileError};
use crate::random;
use journal::JournalFile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use vettid_core::journal::Changes;
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::secret::SecretBytes;
use writer::Writer;

/// Room for the serialised form of one value, so that it is seldom moved while it grows.
const VALUE_CAPACITY_BYTES: usize = 16 * 1024;

/// Why the state cannot be used. A gateway without its state must not run.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has it open.
    #[error("the state folder is in use by another gateway")]
    InUse,
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A value is not of the kind that its key promises; the state was written by another program or version.
    #[error("the stored value of {0} cannot be read")]
    Unreadable(String),
    /// A value cannot be written.
    #[error("the value of {0} cannot be stored")]
    Unwritable(String),
    /// The disk failed before; only a restart helps.
    #[error("the state can no longer be written: restart the gateway after checking its disk")]
    Broken,
}

/// The state folder, opened by this process alone.
#[derive(Debug)]
pub(crate) struct State {
    key: Arc<StorageKey>,
    writer: Writer,
    _lock: File,
}

/// What the journal held at start, by key.
#[derive(Debug)]
pub(crate) struct Loaded {
    key: Arc<StorageKey>,
    sealed: BTreeMap<String, Vec<u8>>,
}

/// What is done as soon as a commit is durable, even if nobody waits for the commit any more.
pub(crate) type After = Box<dyn FnOnce() + Send>;

/// Changes that become durable together or not at all.
pub(crate) struct Draft {
    key: Arc<StorageKey>,
    changes: Changes,
    after: Vec<After>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} changes)", self.changes.len())
    }
}

impl State {
    /// Opens or makes the state in `folder` and reads all of it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(crate) fn open(folder: &Path, key: StorageKey) -> Result<(Self, Loaded), StateError> {
        files::create_folder(folder)?;
        let lock = lock(folder)?;
        let key = Arc::new(key);
        let (file, sealed) = JournalFile::open(folder, Arc::clone(&key))?;
        let loaded = Loaded { key: Arc::clone(&key), sealed: sealed.clone() };
        let writer = Writer::start(file, sealed)?;
        Ok((Self { key, writer, _lock: lock }, loaded))
    }

    /// Whether a folder holds a state, so that its key is not made anew over it.
    #[must_use]
    pub(crate) fn exists(folder: &Path) -> bool {
        journal::path_in(folder).exists()
    }

    /// Begins a commit.
    #[must_use]
    pub(crate) fn draft(&self) -> Draft {
        Draft { key: Arc::clone(&self.key), changes: Changes::new(), after: Vec::new() }
    }

    /// Makes the changes durable. Returns when the disk has them.
    ///
    /// # Errors
    /// [`StateError::Broken`] if the disk refused this commit or an earlier one.
    pub(crate) async fn commit(&self, draft: Draft) -> Result<(), StateError> {
        if draft.changes.is_empty() {
            draft.after.into_iter().for_each(|after| after());
            return Ok(());
        }
        self.writer.commit(draft.changes, draft.after, false).await
    }

    /// As [`commit`](Self::commit); afterwards the file holds the present values alone, nothing that was removed or replaced.
    ///
    /// # Errors
    /// [`StateError::Broken`] if the disk refused this commit or an earlier one.
    pub(crate) async fn purge(&self, draft: Draft) -> Result<(), StateError> {
        if draft.changes.is_empty() {
            draft.after.into_iter().for_each(|after| after());
            return Ok(());
        }
        self.writer.commit(draft.changes, draft.after, true).await
    }

    /// Writes what waits and closes the file.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
    }
}

fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(files::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StateError::InUse),
        Err(std::fs::TryLockError::Error(error)) => Err(files::at(&path)(error).into()),
    }
}

impl Draft {
    /// Stores a value. The value may hold secrets: it is sealed here.
    ///
    /// # Errors
    /// [`StateError::Unwritable`].
    pub(crate) fn put(&mut self, key: String, value: &impl Serialize) -> Result<(), StateError> {
        let mut bytes = Vec::with_capacity(VALUE_CAPACITY_BYTES);
        let written = serde_json::to_writer(&mut bytes, value);
        let plain = SecretBytes::new(bytes);
        if written.is_err() {
            return Err(StateError::Unwritable(key));
        }
        let sealed = at_rest::seal(&self.key, &place(&key), plain.expose(), &mut random::system());
        self.changes.insert(key, Some(sealed));
        Ok(())
    }

    /// Does this as soon as the changes are durable, in the order of the commits. Must be short: the next commit waits.
    pub(crate) fn then(&mut self, after: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(after));
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, key: String) {
        self.changes.insert(key, None);
    }
}

impl Loaded {
    /// The value of one key.
    ///
    /// # Errors
    /// [`StateError::Unreadable`].
    pub(crate) fn value<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        self.sealed.get(key).map(|sealed| self.open(key, sealed)).transpose()
    }

    /// All values whose keys begin with `prefix`.
    ///
    /// # Errors
    /// [`StateError::Unreadable`].
    pub(crate) fn values<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, StateError> {
        let from = self.sealed.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, sealed)| self.open(key, sealed)).collect()
    }

    fn open<T: DeserializeOwned>(&self, key: &str, sealed: &[u8]) -> Result<T, StateError> {
        let unreadable = || StateError::Unreadable(key.to_owned());
        let plain = at_rest::open(&self.key, &place(key), sealed).map_err(|_| unreadable())?;
        serde_json::from_slice(plain.expose()).map_err(|_| unreadable())
    }
}

/// Binds a value to its key.
fn place(key: &str) -> Vec<u8> {
    [b"vettid-gateway value\0", key.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
