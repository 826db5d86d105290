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

/// Classes of what a PostgreSQL server says that pass: a lost connection, a rolled back transaction, too few resources, a server that
/// is going or coming.
const PASSING: [&str; 4] = ["08", "40", "53", "57"];
/// A server that only serves readers, as after a failover; and a lock that somebody else held.
const PASSING_CODES: [&str; 2] = ["25006", "55P03"];

impl StoreError {
    /// Whether the same may succeed later, in a new session. Whether a commit under way was kept is not known.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::InUse => true,
            Self::Backend(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                PASSING.iter().any(|class| code.starts_with(class)) || PASSING_CODES.contains(&code.as_ref())
            }),
            Self::Backend(error) => {
                matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
            }
            _ => false,
        }
    }

    /// The store did not answer in time.
    #[must_use]
    pub fn silent() -> Self {
        Self::Backend(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
    }
}

/// An operation under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store that this process has taken for itself. After an error it must not be written to any more, until
/// [`come_back`](Self::come_back) says what it holds.
pub trait StateStore: Send {
    /// Makes the changes and the head durable together or not at all. Refused: [`StoreError::TakenOver`].
    fn commit<'a>(&'a mut self, head: &'a [u8], changes: &'a RowChanges) -> Pending<'a, ()>;
    /// Afterwards the files of the store hold the present rows alone, nothing that was removed or replaced. A log that a
    /// server keeps for its own recovery is not among them. While somebody reads everything, such as a backup, this waits for
    /// a later [`check`](Self::check).
    fn purge(&mut self) -> Pending<'_, ()>;
    /// Whether this process still has the store. Refused: [`StoreError::TakenOver`].
    fn check(&mut self) -> Pending<'_, ()>;
    /// A new session in the place of one that was lost, and everything that the store holds now. `None`: this kind of store has to
    /// be opened anew by a new process. Refused: [`StoreError::TakenOver`] if another process has taken the store since, and
    /// [`StoreError::InUse`] while the lost session has not ended at the server, so that nothing of it can be kept later.
    fn come_back(&mut self) -> Pending<'_, Option<Contents>>;
    /// Gives the store back.
    fn close(self: Box<Self>) -> Pending<'static, ()>;
}

/// A generation that was checked while the row was held says who may write; no row means somebody else does.
fn still_mine(rows_affected: u64) -> Result<(), StoreError> {
    if rows_affected == 1 { Ok(()) } else { Err(StoreError::TakenOver) }
}
