//! Rows of `verifications`.

use super::row::{count, from_json, parsed, to_column, to_json};
use super::{SqliteLedger, Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::{LedgerError, Pending, Versioned};
use crate::verification::Verifications;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use vettid_core::directory::Verification;
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

const FIND: &str = "SELECT verification, revision FROM verifications WHERE service_id = ?";
const INSERT: &str = "INSERT INTO verifications (verification, due_at, service_id, revision) VALUES (?, ?, ?, 1)";
const UPDATE: &str = "UPDATE verifications SET verification = ?, due_at = ?, revision = revision + 1
    WHERE service_id = ? AND revision = ?";
const DUE: &str = "SELECT service_id FROM verifications WHERE due_at <= ? ORDER BY due_at LIMIT ?";

impl Verifications for SqliteLedger {
    fn verification<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<Versioned<Verification>>> {
        Box::pin(find(&self.pool, service_id))
    }
    fn put_verification<'a>(
        &'a self,
        next: &'a Versioned<Verification>,
        due_at: Option<Timestamp>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()> {
        Box::pin(async move { put(self.writing().await?, next, due_at, audit).await })
    }
    fn due_verifications(&self, until: Timestamp, limit: u32) -> Pending<'_, Vec<ServiceId>> {
        Box::pin(due(&self.pool, until, limit))
    }
}

async fn find(pool: &SqlitePool, id: &ServiceId) -> Result<Option<Versioned<Verification>>, LedgerError> {
    let row = sqlx::query(FIND).bind(id.as_str()).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Versioned<Verification>, LedgerError> {
    Ok(Versioned { record: from_json(row, "verification")?, revision: count(row, "revision")? })
}

async fn put(
    mut writing: Writing,
    next: &Versioned<Verification>,
    due_at: Option<Timestamp>,
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    let json = to_json(&next.record, "verification")?;
    let id = next.record.service_id.as_str();
    let is_new = next.revision == 0;
    let query = sqlx::query(if is_new { INSERT } else { UPDATE });
    let query = query.bind(json).bind(due_at.map(Timestamp::unix_ms)).bind(id);
    let query = if is_new { query } else { query.bind(to_column(next.revision)?) };
    let done = query.execute(&mut *writing).await.map_err(|error| unless_unique(error, LedgerError::Stale))?;
    if done.rows_affected() != 1 {
        return Err(LedgerError::Stale);
    }
    commit(writing, audit).await
}

async fn due(pool: &SqlitePool, until: Timestamp, limit: u32) -> Result<Vec<ServiceId>, LedgerError> {
    let rows = sqlx::query(DUE).bind(until.unix_ms()).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| parsed(row, "service_id")).collect()
}
