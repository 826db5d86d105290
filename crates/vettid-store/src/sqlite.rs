//! The ledger in one SQLite file: write-ahead log, synced on every commit, one writer at a time. Must never answer
//! before a change is on disk.

mod account;
mod action;
mod audit;
mod counter;
mod credential;
mod enrolment;
mod host;
mod listing;
mod notice;
mod recovery;
mod revocation;
mod row;
mod service;
mod vault;
mod verification;

use crate::account::Account;
use crate::action::Spent;
use crate::audit::AuditEntry;
use crate::host::Host;
use crate::ledger::{Counter, Ledger, LedgerError, Pending, Versioned};
use crate::revocation::Revocation;
use crate::service::Service;
use crate::vault::{Vault, VaultKeys};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use std::path::Path;
use std::time::Duration;
use vettid_core::enrolment::Enrolment;
use vettid_wire::digest::Digest;
use vettid_wire::enrolment::RotateSigningKeys;
use vettid_wire::id::{EventId, HostId, MemberId, ServiceId};
use vettid_wire::service_keys::RotateServiceKeys;
use vettid_wire::time::Timestamp;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 4;

/// A transaction that holds the right to write from its start, so that it never fails half way for want of it.
type Writing = Transaction<'static, Sqlite>;

/// The ledger in a file.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    pool: SqlitePool,
}

/// The file cannot be used as a ledger.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not readable, not writable, or not a database.
    #[error("the ledger {path} cannot be opened")]
    File {
        /// The file.
        path: String,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// Made by a newer version, or changed by hand.
    #[error("the tables of the ledger {path} are not those of this version")]
    Tables {
        /// The file.
        path: String,
        /// What is different.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

impl SqliteLedger {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let text = || path.display().to_string();
        let pool = pool(path).await.map_err(|source| OpenError::File { path: text(), source })?;
        MIGRATIONS.run(&pool).await.map_err(|source| OpenError::Tables { path: text(), source })?;
        Ok(Self { pool })
    }

    /// Closes the file after running operations have ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn writing(&self) -> Result<Writing, LedgerError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

async fn pool(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Backend(Box::new(error))
    }
}

/// A broken uniqueness is `refusal`, a broken reference is a missing record, everything else a failure.
fn unless_unique(error: sqlx::Error, refusal: LedgerError) -> LedgerError {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => refusal,
        Some(database) if database.is_foreign_key_violation() => LedgerError::Missing,
        _ => error.into(),
    }
}

/// Writes the audit entry and commits: no audit, no act.
async fn commit(mut writing: Writing, entry: &AuditEntry) -> Result<(), LedgerError> {
    audit::append(&mut writing, entry).await?;
    Ok(writing.commit().await?)
}

impl Ledger for SqliteLedger {
    fn open_account<'a>(&'a self, account: &'a Account, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { account::open(self.writing().await?, account, audit).await })
    }
    fn account_of_token(&self, portal_token_hash: Digest) -> Pending<'_, Option<Account>> {
        Box::pin(account::of_token(&self.pool, portal_token_hash))
    }
    fn assign_vault<'a>(&'a self, guid: MemberId, now: Timestamp, audit: &'a AuditEntry) -> Pending<'a, Vault> {
        Box::pin(async move { vault::assign(self.writing().await?, guid, now, audit).await })
    }
    fn record_keys<'a>(&'a self, keys: &'a VaultKeys, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { vault::record_keys(self.writing().await?, keys, audit).await })
    }
    fn rotate_signing<'a>(
        &'a self,
        guid: MemberId,
        asked: &'a RotateSigningKeys,
        audit: &'a AuditEntry,
    ) -> Pending<'a, VaultKeys> {
        Box::pin(async move { vault::rotate_signing(self.writing().await?, guid, asked, audit).await })
    }
    fn vault(&self, guid: MemberId) -> Pending<'_, Option<Vault>> {
        Box::pin(async move { vault::find(&mut *self.pool.acquire().await?, guid).await })
    }
    fn start_enrolment<'a>(&'a self, enrolment: &'a Enrolment, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { enrolment::start(self.writing().await?, enrolment, audit).await })
    }
    fn enrolment(&self, session_id: EventId) -> Pending<'_, Option<Versioned<Enrolment>>> {
        Box::pin(enrolment::find(&self.pool, session_id))
    }
    fn enrolment_of_token(&self, token_hash: Digest) -> Pending<'_, Option<Versioned<Enrolment>>> {
        Box::pin(enrolment::of_token(&self.pool, token_hash))
    }
    fn latest_enrolment(&self, guid: MemberId) -> Pending<'_, Option<Enrolment>> {
        Box::pin(enrolment::latest(&self.pool, guid))
    }
    fn completed_enrolment(&self, guid: MemberId) -> Pending<'_, Option<Enrolment>> {
        Box::pin(enrolment::completed(&self.pool, guid))
    }
    fn advance_enrolment<'a>(&'a self, next: &'a Versioned<Enrolment>, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { enrolment::advance(self.writing().await?, next, audit).await })
    }
    fn join_host<'a>(&'a self, host: &'a Host, audit: &'a AuditEntry) -> Pending<'a, Option<Host>> {
        Box::pin(async move { host::join(self.writing().await?, host, audit).await })
    }
    fn host<'a>(&'a self, host_id: &'a HostId) -> Pending<'a, Option<Host>> {
        Box::pin(async move { host::find(&mut *self.pool.acquire().await?, host_id).await })
    }
    fn host_seen<'a>(&'a self, host_id: &'a HostId, at: Timestamp) -> Pending<'a, ()> {
        Box::pin(host::seen(&self.pool, host_id, at))
    }
    fn register_service<'a>(&'a self, service: &'a Service, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { service::register(self.writing().await?, service, audit).await })
    }
    fn service<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<Service>> {
        Box::pin(async move { service::find(&mut *self.pool.acquire().await?, service_id).await })
    }
    fn rotate_service_signing<'a>(
        &'a self,
        asked: &'a RotateServiceKeys,
        audit: &'a AuditEntry,
    ) -> Pending<'a, Service> {
        Box::pin(async move { service::rotate_signing(self.writing().await?, asked, audit).await })
    }
    fn spend<'a>(&'a self, spent: &'a Spent, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { action::read_with(self.writing().await?, spent, audit).await })
    }
    fn count_services(&self) -> Pending<'_, u64> {
        Box::pin(service::count(&self.pool))
    }
    fn revoke<'a>(&'a self, revocation: &'a Revocation, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { revocation::add(self.writing().await?, revocation, audit).await })
    }
    fn revocations<'a>(&'a self, account_nkey: &'a str) -> Pending<'a, Vec<Revocation>> {
        Box::pin(revocation::of_account(&self.pool, account_nkey))
    }
    fn next_number<'a>(&'a self, counter: &'a Counter) -> Pending<'a, u64> {
        Box::pin(counter::next(&self.pool, counter))
    }
    fn note<'a>(&'a self, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { commit(self.writing().await?, audit).await })
    }
    fn audit(&self, after: u64, limit: u32) -> Pending<'_, Vec<(u64, AuditEntry)>> {
        Box::pin(audit::after(&self.pool, after, limit))
    }
    fn ping(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            sqlx::query("SELECT 1").execute(&self.pool).await?;
            Ok(())
        })
    }
}
