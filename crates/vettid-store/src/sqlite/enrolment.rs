//! Rows of `enrolments`.

use super::row::{count, from_json, parsed, time, to_column, to_json};
use super::{Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::{LedgerError, Versioned};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use vettid_core::enrolment::{Enrolment, Stage};
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId};

const CLOSE_OTHERS: &str = "UPDATE enrolments SET stage = ?, token_hash = NULL, revision = revision + 1
    WHERE guid = ? AND stage NOT LIKE '{\"completed\":%'";
const INSERT: &str =
    "INSERT INTO enrolments (session_id, guid, token_hash, expires_at, stage, revision) VALUES (?, ?, ?, ?, ?, 0)";
const FIND: &str = "SELECT session_id, guid, expires_at, stage, revision FROM enrolments WHERE session_id = ?";
const OF_TOKEN: &str = "SELECT session_id, guid, expires_at, stage, revision FROM enrolments WHERE token_hash = ?";
const LATEST: &str = "SELECT session_id, guid, expires_at, stage, revision FROM enrolments
    WHERE guid = ? ORDER BY session_id DESC LIMIT 1";
const COMPLETED: &str = "SELECT session_id, guid, expires_at, stage, revision FROM enrolments
    WHERE guid = ? AND stage LIKE '{\"completed\":%' ORDER BY session_id DESC LIMIT 1";
const ADVANCE: &str = "UPDATE enrolments SET token_hash = ?, expires_at = ?, stage = ?, revision = revision + 1
    WHERE session_id = ? AND guid = ? AND revision = ?";
const ACTIVATE: &str = "UPDATE vaults SET state = 'active' WHERE guid = ? AND state IN ('deployed', 'active')";

pub(super) async fn start(mut writing: Writing, enrolment: &Enrolment, audit: &AuditEntry) -> Result<(), LedgerError> {
    sqlx::query(CLOSE_OTHERS)
        .bind(to_json(&Stage::Closed, "stage")?)
        .bind(enrolment.guid.to_string())
        .execute(&mut *writing)
        .await?;
    sqlx::query(INSERT)
        .bind(enrolment.session_id.to_string())
        .bind(enrolment.guid.to_string())
        .bind(enrolment.token_hash().map(|hash| hash.to_string()))
        .bind(enrolment.expires_at.unix_ms())
        .bind(to_json(&enrolment.stage, "stage")?)
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    commit(writing, audit).await
}

pub(super) async fn find(pool: &SqlitePool, id: EventId) -> Result<Option<Versioned<Enrolment>>, LedgerError> {
    let row = sqlx::query(FIND).bind(id.to_string()).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn of_token(pool: &SqlitePool, hash: Digest) -> Result<Option<Versioned<Enrolment>>, LedgerError> {
    let row = sqlx::query(OF_TOKEN).bind(hash.to_string()).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn latest(pool: &SqlitePool, guid: MemberId) -> Result<Option<Enrolment>, LedgerError> {
    let row = sqlx::query(LATEST).bind(guid.to_string()).fetch_optional(pool).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|found| found.record))
}

pub(super) async fn completed(pool: &SqlitePool, guid: MemberId) -> Result<Option<Enrolment>, LedgerError> {
    let row = sqlx::query(COMPLETED).bind(guid.to_string()).fetch_optional(pool).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|found| found.record))
}

pub(super) async fn advance(
    mut writing: Writing,
    next: &Versioned<Enrolment>,
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    let Versioned { record, revision } = next;
    let changed = sqlx::query(ADVANCE)
        .bind(record.token_hash().map(|hash| hash.to_string()))
        .bind(record.expires_at.unix_ms())
        .bind(to_json(&record.stage, "stage")?)
        .bind(record.session_id.to_string())
        .bind(record.guid.to_string())
        .bind(to_column(*revision)?)
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    if changed.rows_affected() != 1 {
        return Err(LedgerError::Stale);
    }
    if matches!(record.stage, Stage::Completed { .. }) {
        let activated = sqlx::query(ACTIVATE).bind(record.guid.to_string()).execute(&mut *writing).await?;
        if activated.rows_affected() != 1 {
            return Err(LedgerError::Missing);
        }
    }
    commit(writing, audit).await
}

fn read(row: &SqliteRow) -> Result<Versioned<Enrolment>, LedgerError> {
    let record = Enrolment {
        session_id: parsed(row, "session_id")?,
        guid: parsed(row, "guid")?,
        expires_at: time(row, "expires_at")?,
        stage: from_json(row, "stage")?,
    };
    Ok(Versioned { record, revision: count(row, "revision")? })
}
