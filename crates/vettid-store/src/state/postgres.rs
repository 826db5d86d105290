//! The state in a PostgreSQL database. A lock that the session holds keeps a second process out; should the session be lost
//! without this process noticing, the generation in the head refuses its commits.

use super::{Contents, Pending, RowChanges, Rows, StateStore, StoreError, still_mine};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::fmt;
use std::str::FromStr;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/state-postgres");

/// First half of the lock; the second is the table, so that each schema has its own.
const LOCK_CLASS: i32 = 0x5665_7374;
/// Nothing is waited for long that somebody else holds. A session whose machine is gone ends within a minute, so that another one can
/// go on.
const SESSION: &str = "SET lock_timeout = '3s'; SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; \
     SET tcp_keepalives_count = 3";
/// What the server says when a lock was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// About how many bytes one statement carries.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// What an address may say besides where the database is.
const PARAMETERS: [&str; 6] = ["host", "options", "sslcert", "sslkey", "sslmode", "sslrootcert"];

/// Where a database is and how to get in: `postgres://user:password@host/database?sslmode=verify-full`. May hold a password:
/// never printed.
#[derive(Clone)]
pub struct DatabaseAddress(PgConnectOptions);

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseAddress")
    }
}

impl FromStr for DatabaseAddress {
    type Err = StoreError;

    /// Reads an address. What leaves this machine must be encrypted, and the server known by its certificate and name.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let refused = |reason| Err(StoreError::Address(reason));
        let parameters = text.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
        let mut names = parameters.filter(|part| !part.is_empty()).map(|part| part.split('=').next().unwrap_or(part));
        if !names.all(|name| PARAMETERS.contains(&name)) {
            return refused("it has a parameter other than host, options, sslcert, sslkey, sslmode and sslrootcert");
        }
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let Ok(options) = text.parse::<PgConnectOptions>() else {
            return refused("it has not the form postgres://user:password@host/database");
        };
        if !is_postgres || options.get_database().is_none() {
            return refused("it has not the form postgres://user:password@host/database");
        }
        let is_local = options.get_socket().is_some() || is_this_machine(options.get_host());
        if !is_local && !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return refused("a server on another machine needs `sslmode=verify-full`");
        }
        Ok(Self(options.application_name("vettid").disable_statement_logging()))
    }
}

/// Whether what goes to this host stays on this machine. A name could lead anywhere.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/') || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The state in a database.
#[derive(Debug)]
pub struct PostgresState {
    address: DatabaseAddress,
    /// None between a session that was lost and the next one.
    connection: Option<PgConnection>,
    generation: i64,
    /// Whether the table still holds what should be gone.
    owes_rewrite: bool,
}

impl PostgresState {
    /// Takes the state in this database, makes its tables if there are none, and reads all of it. Nobody who took it before
    /// can commit any more.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::InUse`] while another session has it.
    pub fn take(address: &DatabaseAddress) -> Pending<'_, (Self, Contents)> {
        Box::pin(Self::open(address))
    }

    async fn open(address: &DatabaseAddress) -> Result<(Self, Contents), StoreError> {
        let mut connection = session(address).await?;
        MIGRATIONS.run_direct(None, &mut connection, false).await?;
        lock(&mut connection).await?;
        let mut taking = connection.begin().await?;
        // Waits for a commit under way, and is what every later one of another process meets.
        let generation = sqlx::query_scalar("UPDATE state_head SET generation = generation + 1 RETURNING generation")
            .fetch_one(&mut *taking)
            .await?;
        let contents = contents(&mut taking).await?;
        taking.commit().await?;
        let connection = Some(connection);
        Ok((Self { address: address.clone(), connection, generation, owes_rewrite: false }, contents))
    }

    /// The number is not raised: a reply that was lost would then look like another process. It need not be, since the lock is had
    /// only after the session that was lost has ended, with whatever it had under way.
    async fn again(&mut self) -> Result<Contents, StoreError> {
        // The server learns that the session is over.
        drop(self.connection.take());
        let mut connection = session(&self.address).await?;
        still_the_one(&mut connection, self.generation).await?;
        lock(&mut connection).await?;
        let mut looking = connection.begin().await?;
        sqlx::query("SELECT 1 FROM state_head FOR UPDATE").execute(&mut *looking).await?;
        still_the_one(&mut looking, self.generation).await?;
        let contents = contents(&mut looking).await?;
        looking.rollback().await?;
        self.connection = Some(connection);
        Ok(contents)
    }

    /// Reads the state of a database without taking it, as the last commit left it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look(address: &DatabaseAddress) -> Result<Contents, StoreError> {
        let mut connection = address.0.connect().await?;
        let mut reading = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let contents = contents(&mut reading).await?;
        reading.rollback().await?;
        connection.close().await?;
        Ok(contents)
    }

    async fn write(&mut self, head: &[u8], changes: &RowChanges) -> Result<(), StoreError> {
        let mut writing = self.connection.as_mut().ok_or_else(lost)?.begin().await?;
        let claim = sqlx::query("UPDATE state_head SET head = $1 WHERE generation = $2");
        still_mine(claim.bind(head).bind(self.generation).execute(&mut *writing).await?.rows_affected())?;
        let put = changes.iter().filter_map(|(name, sealed)| Some((name.as_slice(), sealed.as_deref()?)));
        for (names, sealed) in chunks(put) {
            sqlx::query(
                "INSERT INTO state_rows (name, sealed) SELECT * FROM unnest($1::bytea[], $2::bytea[])
                 ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
            )
            .bind(names)
            .bind(sealed)
            .execute(&mut *writing)
            .await?;
        }
        let gone: Vec<&[u8]> =
            changes.iter().filter(|(_, sealed)| sealed.is_none()).map(|(name, _)| name.as_slice()).collect();
        if !gone.is_empty() {
            sqlx::query("DELETE FROM state_rows WHERE name = ANY($1)").bind(gone).execute(&mut *writing).await?;
        }
        Ok(writing.commit().await?)
    }

    async fn rewrite(&mut self) -> Result<(), StoreError> {
        let connection = self.connection.as_mut().ok_or_else(lost)?;
        let rewritten = sqlx::query("VACUUM (FULL) state_rows").execute(connection).await;
        self.owes_rewrite = unless_waited_in_vain(rewritten)?.is_none();
        Ok(())
    }

    async fn is_mine(&mut self) -> Result<(), StoreError> {
        still_the_one(self.connection.as_mut().ok_or_else(lost)?, self.generation).await?;
        if self.owes_rewrite { self.rewrite().await } else { Ok(()) }
    }
}

/// A session of this process, not yet the one that writes.
async fn session(address: &DatabaseAddress) -> Result<PgConnection, StoreError> {
    let mut connection = address.0.connect().await?;
    keeps_promises(&mut connection).await?;
    sqlx::raw_sql(SESSION).execute(&mut connection).await?;
    Ok(connection)
}

/// Whether nobody has taken the state since.
async fn still_the_one(connection: &mut PgConnection, generation: i64) -> Result<(), StoreError> {
    let now: i64 = sqlx::query_scalar("SELECT generation FROM state_head").fetch_one(connection).await?;
    if now == generation { Ok(()) } else { Err(StoreError::TakenOver) }
}

fn lost() -> StoreError {
    StoreError::Backend(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()))
}

/// A server that answers before the disk has a commit is not used.
async fn keeps_promises(connection: &mut PgConnection) -> Result<(), StoreError> {
    let (fsync, commits): (String, String) =
        sqlx::query_as("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            .fetch_one(connection)
            .await?;
    match (fsync.as_str(), commits.as_str()) {
        ("off", _) => Err(StoreError::NotDurable("fsync")),
        (_, "off") => Err(StoreError::NotDurable("synchronous_commit")),
        _ => Ok(()),
    }
}

/// Waits a little: the session of a process that was killed may not have ended yet.
async fn lock(connection: &mut PgConnection) -> Result<(), StoreError> {
    let locked = sqlx::query("SELECT pg_advisory_lock($1, 'state_head'::regclass::oid::integer)")
        .bind(LOCK_CLASS)
        .execute(connection)
        .await;
    unless_waited_in_vain(locked)?.map(drop).ok_or(StoreError::InUse)
}

/// `None` if somebody else held what was wanted for too long.
fn unless_waited_in_vain<T>(outcome: Result<T, sqlx::Error>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn contents(connection: &mut PgConnection) -> Result<Contents, StoreError> {
    let head = sqlx::query_scalar("SELECT head FROM state_head").fetch_one(&mut *connection).await?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT name, sealed FROM state_rows").fetch_all(connection).await?;
    let rows = rows.into_iter().filter_map(|(name, sealed)| Some((name.try_into().ok()?, sealed))).collect::<Rows>();
    Ok(Contents { head, rows })
}

/// Names and contents side by side.
type Columns<'a> = (Vec<&'a [u8]>, Vec<&'a [u8]>);

fn chunks<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Columns<'a>> {
    let mut chunks: Vec<Columns<'a>> = Vec::new();
    let mut room = 0;
    for (name, sealed) in rows {
        if room < sealed.len() || chunks.is_empty() {
            chunks.push(Columns::default());
            room = CHUNK_BYTES.max(sealed.len());
        }
        room -= sealed.len();
        if let Some((names, contents)) = chunks.last_mut() {
            names.push(name);
            contents.push(sealed);
        }
    }
    chunks
}

impl StateStore for PostgresState {
    fn commit<'a>(&'a mut self, head: &'a [u8], changes: &'a RowChanges) -> Pending<'a, ()> {
        Box::pin(self.write(head, changes))
    }

    fn purge(&mut self) -> Pending<'_, ()> {
        Box::pin(self.rewrite())
    }

    fn check(&mut self) -> Pending<'_, ()> {
        Box::pin(self.is_mine())
    }

    fn come_back(&mut self) -> Pending<'_, Option<Contents>> {
        Box::pin(async move { self.again().await.map(Some) })
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            match self.connection {
                Some(connection) => Ok(connection.close().await?),
                None => Ok(()),
            }
        })
    }
}
