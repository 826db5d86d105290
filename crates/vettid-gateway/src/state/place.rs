//! Where the state lies: an SQLite file in the gateway's folder, or a PostgreSQL database. A state that is still in its former place is
//! moved: there or here, never in both and never in half.

use super::book::{Book, Origin, Values};
use super::rows::RowKeys;
use super::writer::Desk;
use super::{StateError, journal};
use crate::files;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vettid_crypto::kdf::h256;
use vettid_store::state::postgres::{DatabaseAddress, PostgresState};
use vettid_store::state::sqlite::SqliteState;
use vettid_store::state::{Contents, RowChanges, StateStore};

/// The file of the state in the gateway's folder.
pub(super) const FILE: &str = "state.sqlite";
/// Says that the state of this folder is in a database server.
const ELSEWHERE: &str = "postgres";

/// The place of the state, taken by this process alone, before anything in it was opened with its key.
pub(crate) struct Place {
    lock: File,
    store: Box<dyn StateStore>,
    contents: Contents,
    /// A state in the folder that belongs here.
    left: Option<Left>,
    folder: PathBuf,
    /// Whether the database is not in the folder.
    is_elsewhere: bool,
}

/// Where a state was before.
enum Left {
    Journal,
    File(SqliteState, Contents),
}

impl Place {
    /// Takes the place: the folder, and the database if one is named.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(crate) async fn take(folder: &Path, database: Option<&DatabaseAddress>) -> Result<Self, StateError> {
        files::create_folder(folder)?;
        let lock = lock(folder)?;
        let folder = folder.to_owned();
        let journal = journal::is_in(&folder)?.then_some(Left::Journal);
        let Some(address) = database else {
            if folder.join(ELSEWHERE).exists() {
                return Err(StateError::Elsewhere);
            }
            let (store, contents) = take_file(&folder).await?;
            return Ok(Self { lock, store: Box::new(store), contents, left: journal, folder, is_elsewhere: false });
        };
        let file = if folder.join(FILE).exists() { Some(take_file(&folder).await?) } else { None };
        let left = match (journal, file.filter(|(_, contents)| contents.head.is_some())) {
            (Some(_), Some(_)) => return Err(StateError::TwoStates),
            (None, Some((file, contents))) => Some(Left::File(file, contents)),
            (journal, None) => journal,
        };
        let (store, contents) = PostgresState::take(address).await?;
        if contents.head.is_none() && left.is_none() && folder.join(ELSEWHERE).exists() {
            return Err(StateError::Vanished);
        }
        Ok(Self { lock, store: Box::new(store), contents, left, folder, is_elsewhere: true })
    }

    /// Whether something was sealed before, so that its key must not be made anew.
    pub(crate) fn holds_state(&self) -> bool {
        self.contents.head.is_some() || self.left.is_some()
    }

    /// Opens everything with its key, having moved what was left elsewhere.
    pub(super) async fn open(self, keys: &Arc<RowKeys>) -> Result<(Desk, Values), StateError> {
        let (mut book, mut values) = Book::read(keys, &self.contents)?;
        let Self { lock, mut store, left, folder, is_elsewhere, contents } = self;
        let mut head = contents.head;
        if let Some(left) = &left {
            let (origin, found) = left.read(keys, &folder)?;
            if book.is_new() {
                book.comes_from(&origin);
                let rows = found.iter().map(|(key, value)| (keys.name(key), Some(keys.seal(key, value.expose()))));
                let changes: RowChanges = rows.collect();
                let moved = book.follow(&changes)?;
                store.commit(&moved, &changes).await?;
                head = Some(moved);
                tracing::info!(values = changes.len(), "the state was moved into its database");
                values = found;
            } else if !book.came_from(&origin) {
                return Err(StateError::TwoStates);
            }
        }
        if is_elsewhere {
            if book.is_new() {
                let nothing = RowChanges::new();
                let first = book.follow(&nothing)?;
                store.commit(&first, &nothing).await?;
                head = Some(first);
            }
            note_elsewhere(&folder)?;
        }
        if let Some(left) = left {
            left.retire(&folder).await?;
        }
        Ok((Desk { store, book, head, lock }, values))
    }
}

impl Left {
    fn read(&self, keys: &Arc<RowKeys>, folder: &Path) -> Result<(Origin, Values), StateError> {
        match self {
            Self::Journal => Ok(journal::read(folder, keys.storage_key())?),
            Self::File(_, contents) => {
                let (_, values) = Book::read(keys, contents)?;
                Ok((h256(contents.head.as_deref().unwrap_or_default()), values))
            }
        }
    }

    /// Takes away what is elsewhere now.
    async fn retire(self, folder: &Path) -> Result<(), StateError> {
        match self {
            Self::Journal => Ok(journal::retire(folder)?),
            Self::File(file, _) => {
                Box::new(file).close().await?;
                Ok(remove_file(folder)?)
            }
        }
    }
}

/// The log goes before the file, which without it is whole.
fn remove_file(folder: &Path) -> Result<(), files::FileError> {
    for name in [format!("{FILE}-wal"), format!("{FILE}-shm"), FILE.to_owned()] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(files::at(&path)(error)),
            _ => files::sync_parent(&path).map_err(files::at(&path))?,
        }
    }
    Ok(())
}

async fn take_file(folder: &Path) -> Result<(SqliteState, Contents), StateError> {
    let path = folder.join(FILE);
    // Made here, so that nobody else can ever read it; its log gets the same mode.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    made.and_then(|file| file.sync_all()).and_then(|()| files::sync_parent(&path)).map_err(files::at(&path))?;
    Ok(SqliteState::take(&path).await?)
}

fn note_elsewhere(folder: &Path) -> Result<(), files::FileError> {
    let path = folder.join(ELSEWHERE);
    let note = || -> io::Result<()> {
        fs::write(&path, "The state of this gateway is in PostgreSQL.\n")?;
        files::sync_parent(&path)
    };
    if path.exists() { Ok(()) } else { note().map_err(files::at(&path)) }
}

fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(files::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StateError::InUse),
        Err(fs::TryLockError::Error(error)) => Err(files::at(&path)(error).into()),
    }
}
