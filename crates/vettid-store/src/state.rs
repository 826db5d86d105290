//! The port of a program's durable state: sealed rows by name, and a sealed head that vouches for all of them. SQLite and
//! PostgreSQL behind it. Must never see a value or a key in clear, and never let two processes write.

pub mod postgres;
pub mod sqlite;

use sqlx::migrate::MigrateError;
use std::collections::BTreeMap;
use std::pin::Pin;

/// The name of a row. Says nothing about what the row holds: the caller makes it with a key.
pub type RowName = [u8; 32];
/// Rows by name.
pub type Rows = BTreeMap<RowName, Vec<u8>>;
/// What a commit does to rows: a new content, or `None` for removal.
pub type RowChanges = BTreeMap<RowName, Option<Vec<u8>>>;

/// Everything that a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// What the last commit said of all rows; `None` in a store that nothing was committed to.
    pub head: Option<Vec<u8>>,
    /// All rows.
    pub rows: Rows,
}

/// Why a store cannot be used, or may not be used any more.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the state is in use by another process")]
    InUse,
    /// Another process has taken it over since; nothing of this commit was kept.
    #[error("another process has taken the state over")]
    TakenOver,
    /// A commit would not survive a power cut.
    #[error("the database server does not keep its promises: `{0}` is off")]
    NotDurable(&'static str),
    /// The address cannot be used.
    #[error("the address of the database cannot be used: {0}")]
    Address(&'static str),
    /// Made by a newer version, or changed by hand.
    #[error("the tables of the state are not those of this version")]
    Tables(#[from] MigrateError),
    /// The database refused or is gone. Whether a commit under way was kept is not known.
    #[error("the database of the state failed")]
    Backend(#[from] sqlx::Error),
}

/// An operation under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store that this process has taken for itself. After an error it must not be written to any more.
pub trait StateStore: Send {
    /// Makes the changes and the head durable together or not at all. Refused: [`StoreError::TakenOver`].
    fn commit<'a>(&'a mut self, head: &'a [u8], changes: &'a RowChanges) -> Pending<'a, ()>;
    /// Afterwards the files of the store hold the present rows alone, nothing that was removed or replaced. A log that a
    /// server keeps for its own recovery is not among them. While somebody reads everything, such as a backup, this waits for
    /// a later [`check`](Self::check).
    fn purge(&mut self) -> Pending<'_, ()>;
    /// Whether this process still has the store. Refused: [`StoreError::TakenOver`].
    fn check(&mut self) -> Pending<'_, ()>;
    /// Gives the store back.
    fn close(self: Box<Self>) -> Pending<'static, ()>;
}

/// A generation that was checked while the row was held says who may write; no row means somebody else does.
fn still_mine(rows_affected: u64) -> Result<(), StoreError> {
    if rows_affected == 1 { Ok(()) } else { Err(StoreError::TakenOver) }
}
