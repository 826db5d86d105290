//! The gateway's durable state: sealed values by key, changed by commits that survive a kill at any point. A commit is
//! acknowledged only when the disk has it; commits that wait at the same time share one write.

mod book;
mod journal;
mod place;
mod rows;
mod writer;

pub(crate) use journal::JournalError;
pub(crate) use place::Place;

use crate::files::FileError;
use book::Values;
use rows::RowKeys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::SecretBytes;
use vettid_store::state::{RowChanges, StoreError};
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
    #[error("the state is in use by another gateway")]
    InUse,
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// The journal that was kept before cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Sealed with another key, or changed.
    #[error("the state does not open: the key file belongs to another state, or the database was changed")]
    Undecryptable,
    /// Each row is sound, but they do not belong together.
    #[error("rows of the state were removed, exchanged or brought back: restore the database as a whole from a backup")]
    Mixed,
    /// The folder has a state that is not the one in the database.
    #[error(
        "there are two states: the one in the gateway's folder is not the one that was moved into the database: \
         set one of them aside"
    )]
    TwoStates,
    /// The configuration names no database server any more.
    #[error("the state of this gateway is in PostgreSQL: name it in [postgres] of the configuration")]
    Elsewhere,
    /// The database held the state and is empty.
    #[error("the database that held the state of this gateway is empty: restore it from a backup")]
    Vanished,
    /// A value is not of the kind that its key promises; the state was written by another program or version.
    #[error("the stored value of {0} cannot be read")]
    Unreadable(String),
    /// A value cannot be written.
    #[error("the value of {0} cannot be stored")]
    Unwritable(String),
    /// The database failed before; only a restart helps.
    #[error("the state can no longer be written: restart the gateway after checking its disk and its database")]
    Broken,
    /// The task that writes fell.
    #[error("the program fell over a fault of its own while it stored something: restart the gateway")]
    Fallen,
    /// The database came back with something else than what this gateway left there.
    #[error(
        "the database came back without what was stored last: it must not be used before it holds everything that was acknowledged"
    )]
    Rewound,
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse => Self::InUse,
            other => Self::Store(other),
        }
    }
}

/// The state, opened by this process alone.
#[derive(Debug)]
pub(crate) struct State {
    keys: Arc<RowKeys>,
    writer: Writer,
}

/// What the state held at start, by key.
#[derive(Debug)]
pub(crate) struct Loaded(Values);

/// What is done as soon as a commit is durable, even if nobody waits for the commit any more.
pub(crate) type After = Box<dyn FnOnce() + Send>;

/// Changes that become durable together or not at all.
pub(crate) struct Draft {
    keys: Arc<RowKeys>,
    changes: RowChanges,
    after: Vec<After>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} changes)", self.changes.len())
    }
}

impl State {
    /// Opens the state in the place that was taken, and reads all of it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(crate) async fn open(place: Place, key: StorageKey) -> Result<(Self, Loaded), StateError> {
        let keys = Arc::new(RowKeys::new(key));
        let (desk, values) = place.open(&keys).await?;
        Ok((Self { keys, writer: Writer::start(desk) }, Loaded(values)))
    }

    /// Whether commits are still taken: not after a failure, nor when another process has the state.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_open()
    }

    /// Whether the database is away and waited for. Commits wait meanwhile; nothing is acknowledged.
    #[must_use]
    pub(crate) fn is_away(&self) -> bool {
        self.writer.is_away()
    }

    /// Waits until nothing can be stored any more before the next start; says why.
    pub(crate) async fn lost(&self) -> Arc<str> {
        self.writer.lost().await
    }

    /// The gateway is about to end: a database that is away is not waited for any longer.
    pub(crate) fn wait_no_more(&self) {
        self.writer.wait_no_more();
    }

    /// Begins a commit.
    #[must_use]
    pub(crate) fn draft(&self) -> Draft {
        Draft { keys: Arc::clone(&self.keys), changes: RowChanges::new(), after: Vec::new() }
    }

    /// Makes the changes durable. Returns when the disk has them.
    ///
    /// # Errors
    /// [`StateError::Broken`] if the database refused this commit or an earlier one.
    pub(crate) async fn commit(&self, draft: Draft) -> Result<(), StateError> {
        self.write(draft, false).await
    }

    /// As [`commit`](Self::commit); afterwards the files of the database hold the present values alone, nothing that was removed or
    /// replaced.
    ///
    /// # Errors
    /// [`StateError::Broken`] if the database refused this commit or an earlier one.
    pub(crate) async fn purge(&self, draft: Draft) -> Result<(), StateError> {
        self.write(draft, true).await
    }

    async fn write(&self, draft: Draft, purges: bool) -> Result<(), StateError> {
        if draft.changes.is_empty() {
            draft.after.into_iter().for_each(|after| after());
            return Ok(());
        }
        self.writer.commit(draft.changes, draft.after, purges).await
    }

    /// Writes what waits and gives the database back.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
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
        self.changes.insert(self.keys.name(&key), Some(self.keys.seal(&key, plain.expose())));
        Ok(())
    }

    /// Whether it changes nothing.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Does this as soon as the changes are durable, in the order of the commits. Must be short: the next commit waits.
    pub(crate) fn then(&mut self, after: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(after));
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, key: String) {
        self.changes.insert(self.keys.name(&key), None);
    }
}

impl Loaded {
    /// The value of one key.
    ///
    /// # Errors
    /// [`StateError::Unreadable`].
    pub(crate) fn value<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        self.0.get(key).map(|value| read(key, value)).transpose()
    }

    /// All values whose keys begin with `prefix`.
    ///
    /// # Errors
    /// [`StateError::Unreadable`].
    pub(crate) fn values<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, StateError> {
        let from = self.0.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, value)| read(key, value)).collect()
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &SecretBytes) -> Result<T, StateError> {
    serde_json::from_slice(value.expose()).map_err(|_| StateError::Unreadable(key.to_owned()))
}

#[cfg(test)]
mod tests;
