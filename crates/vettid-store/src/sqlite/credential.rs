//! Rows of `credential_issuers` and `credential_operations`.

use super::row::{count, to_column};
use super::{SqliteLedger, Writing, action, commit, notice, unless_unique};
use crate::action::OPERATION_LIFE_MS;
use crate::audit::AuditEntry;
use crate::credential::{CredentialCommit, Credentials, IssuerRow, OperationRow};
use crate::ledger::{LedgerError, Pending};
use sqlx::{Row, SqlitePool};
use vettid_wire::id::{MemberId, OperationId};

const ISSUER: &str = "SELECT sealed, revision FROM credential_issuers WHERE guid = ?";
const OPERATION: &str = "SELECT sealed FROM credential_operations WHERE guid = ? AND op_id = ?";
const FIRST: &str = "INSERT INTO credential_issuers (guid, sealed, revision) VALUES (?, ?, 0)";
const CHANGE: &str =
    "UPDATE credential_issuers SET sealed = ?, revision = revision + 1 WHERE guid = ? AND revision = ?";
const KEEP: &str = "INSERT INTO credential_operations (guid, op_id, sealed, at) VALUES (?, ?, ?, ?)
    ON CONFLICT (guid, op_id) DO UPDATE SET sealed = excluded.sealed, at = excluded.at";
const FORGET: &str = "DELETE FROM credential_operations WHERE guid = ? AND at < ?";
const REMOVE_BACKUP: &str = "DELETE FROM credential_backups WHERE guid = ?";

impl Credentials for SqliteLedger {
    fn issuer(&self, guid: MemberId) -> Pending<'_, Option<IssuerRow>> {
        Box::pin(issuer(&self.pool, guid))
    }
    fn credential_operation(&self, guid: MemberId, op_id: OperationId) -> Pending<'_, Option<Vec<u8>>> {
        Box::pin(operation(&self.pool, guid, op_id))
    }
    fn commit_credential<'a>(&'a self, change: &'a CredentialCommit<'a>, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { store(self.writing().await?, change, audit).await })
    }
}

async fn issuer(pool: &SqlitePool, guid: MemberId) -> Result<Option<IssuerRow>, LedgerError> {
    let row = sqlx::query(ISSUER).bind(guid.to_string()).fetch_optional(pool).await?;
    row.map(|row| Ok(IssuerRow { sealed: row.try_get("sealed")?, revision: count(&row, "revision")? })).transpose()
}

async fn operation(pool: &SqlitePool, guid: MemberId, op_id: OperationId) -> Result<Option<Vec<u8>>, LedgerError> {
    let row = sqlx::query(OPERATION).bind(guid.to_string()).bind(op_id.to_string()).fetch_optional(pool).await?;
    row.map(|row| Ok(row.try_get("sealed")?)).transpose()
}

async fn store(mut writing: Writing, change: &CredentialCommit<'_>, audit: &AuditEntry) -> Result<(), LedgerError> {
    if let Some(spent) = change.spent {
        action::spend(&mut writing, spent).await?;
    }
    store_issuer(&mut writing, change).await?;
    if let Some(operation) = &change.operation {
        keep(&mut writing, change.guid, operation).await?;
    }
    if change.removes_backup {
        sqlx::query(REMOVE_BACKUP).bind(change.guid.to_string()).execute(&mut *writing).await?;
    }
    if let Some(told) = &change.notice {
        notice::add(&mut writing, change.guid, told).await?;
    }
    commit(writing, audit).await
}

async fn store_issuer(writing: &mut Writing, change: &CredentialCommit<'_>) -> Result<(), LedgerError> {
    let guid = change.guid.to_string();
    let Some(revision) = change.revision else {
        let first = sqlx::query(FIRST).bind(guid).bind(&change.issuer).execute(&mut **writing).await;
        return first.map(drop).map_err(|error| unless_unique(error, LedgerError::Stale));
    };
    let query = sqlx::query(CHANGE).bind(&change.issuer).bind(guid).bind(to_column(revision)?);
    let changed = query.execute(&mut **writing).await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(LedgerError::Stale) }
}

async fn keep(writing: &mut Writing, guid: MemberId, operation: &OperationRow) -> Result<(), LedgerError> {
    let forget_before = operation.at.plus_ms(-OPERATION_LIFE_MS).unix_ms();
    sqlx::query(FORGET).bind(guid.to_string()).bind(forget_before).execute(&mut **writing).await?;
    sqlx::query(KEEP)
        .bind(guid.to_string())
        .bind(operation.op_id.to_string())
        .bind(&operation.sealed)
        .bind(operation.at.unix_ms())
        .execute(&mut **writing)
        .await?;
    Ok(())
}
