//! The state in one SQLite file: write-ahead log, synced on every commit. That one process alone opens the file is the
//! caller's to see to with a lock; a process that was overtaken nevertheless is refused by its generation.

use super::{Contents, Pending, RowChanges, Rows, StateStore, StoreError, still_mine};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection};
use std::path::Path;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/state-sqlite");

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows of one statement.
const CHUNK_ROWS: usize = 64;

/// The state in a file.
#[derive(Debug)]
pub struct SqliteState {
    connection: SqliteConnection,
    generation: i64,
    /// Whether the file still holds what should be gone.
    owes_rewrite: bool,
}

impl SqliteState {
    /// Takes the state in this file, makes the file if there is none, and reads all of it. Nobody who took it before can
    /// commit any more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn take(path: &Path) -> Pending<'_, (Self, Contents)> {
        Box::pin(Self::open(path))
    }

    async fn open(path: &Path) -> Result<(Self, Contents), StoreError> {
        let mut connection = options(path).create_if_missing(true).connect().await?;
        MIGRATIONS.run_direct(None, &mut connection, false).await?;
        let mut taking = connection.begin_with("BEGIN IMMEDIATE").await?;
        let generation = sqlx::query_scalar("UPDATE state_head SET generation = generation + 1 RETURNING generation")
            .fetch_one(&mut *taking)
            .await?;
        let contents = contents(&mut taking).await?;
        taking.commit().await?;
        Ok((Self { connection, generation, owes_rewrite: false }, contents))
    }

    /// Reads the state of a file without taking it, as the last commit left it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look(path: &Path) -> Result<Contents, StoreError> {
        let mut connection = options(path).connect().await?;
        let mut reading = connection.begin().await?;
        let contents = contents(&mut reading).await?;
        reading.rollback().await?;
        connection.close().await?;
        Ok(contents)
    }

    async fn write(&mut self, head: &[u8], changes: &RowChanges) -> Result<(), StoreError> {
        let mut writing = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let claim = sqlx::query("UPDATE state_head SET head = ? WHERE generation = ?");
        still_mine(claim.bind(head).bind(self.generation).execute(&mut *writing).await?.rows_affected())?;
        let changes: Vec<_> = changes.iter().collect();
        for chunk in changes.chunks(CHUNK_ROWS) {
            let put = chunk.iter().filter_map(|(name, sealed)| Some((name.as_slice(), sealed.as_deref()?)));
            let gone = chunk.iter().filter(|(_, sealed)| sealed.is_none()).map(|(name, _)| name.as_slice());
            store(&mut writing, put.collect()).await?;
            remove(&mut writing, gone.collect()).await?;
        }
        Ok(writing.commit().await?)
    }

    async fn rewrite(&mut self) -> Result<(), StoreError> {
        sqlx::query("VACUUM").execute(&mut self.connection).await?;
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await?;
        self.owes_rewrite = busy != 0;
        Ok(())
    }

    async fn is_mine(&mut self) -> Result<(), StoreError> {
        let generation: i64 =
            sqlx::query_scalar("SELECT generation FROM state_head").fetch_one(&mut self.connection).await?;
        if generation != self.generation {
            return Err(StoreError::TakenOver);
        }
        if self.owes_rewrite { self.rewrite().await } else { Ok(()) }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

async fn contents(connection: &mut SqliteConnection) -> Result<Contents, StoreError> {
    let head = sqlx::query_scalar("SELECT head FROM state_head").fetch_one(&mut *connection).await?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT name, sealed FROM state_rows").fetch_all(connection).await?;
    let rows = rows.into_iter().filter_map(|(name, sealed)| Some((name.try_into().ok()?, sealed))).collect::<Rows>();
    Ok(Contents { head, rows })
}

async fn store(writing: &mut SqliteConnection, rows: Vec<(&[u8], &[u8])>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut put = QueryBuilder::<Sqlite>::new("INSERT INTO state_rows (name, sealed) ");
    put.push_values(rows, |mut row, (name, sealed)| {
        row.push_bind(name).push_bind(sealed);
    });
    put.push(" ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed");
    put.build().execute(writing).await?;
    Ok(())
}

async fn remove(writing: &mut SqliteConnection, names: Vec<&[u8]>) -> Result<(), StoreError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut gone = QueryBuilder::<Sqlite>::new("DELETE FROM state_rows WHERE name IN (");
    let mut list = gone.separated(", ");
    for name in names {
        list.push_bind(name);
    }
    gone.push(")");
    gone.build().execute(writing).await?;
    Ok(())
}

impl StateStore for SqliteState {
    fn commit<'a>(&'a mut self, head: &'a [u8], changes: &'a RowChanges) -> Pending<'a, ()> {
        Box::pin(self.write(head, changes))
    }

    fn purge(&mut self) -> Pending<'_, ()> {
        Box::pin(self.rewrite())
    }

    fn check(&mut self) -> Pending<'_, ()> {
        Box::pin(self.is_mine())
    }

    /// After a failed write or sync, what the system holds of the file may not be what the disk holds: never in this process.
    fn come_back(&mut self) -> Pending<'_, Option<Contents>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move { Ok(self.connection.close().await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes a commit survive a power cut, asked of the very connection that writes.
    #[tokio::test]
    async fn every_commit_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let (mut state, _) = SqliteState::take(&folder.path().join("state.sqlite")).await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut state.connection).await.unwrap();
        let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut state.connection).await.unwrap();
        // 2 is FULL.
        assert_eq!((mode.as_str(), sync), ("wal", 2));
    }
}
