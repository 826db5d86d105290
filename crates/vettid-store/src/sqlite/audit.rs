//! Rows of `audit`. Triggers refuse to change or erase them.

use super::Writing;
use super::row::{count, from_json, to_column, to_json};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use sqlx::SqlitePool;

pub(super) async fn append(writing: &mut Writing, entry: &AuditEntry) -> Result<(), LedgerError> {
    let text = to_json(entry, "audit entry")?;
    sqlx::query("INSERT INTO audit (entry) VALUES (?)").bind(text).execute(&mut **writing).await?;
    Ok(())
}

pub(super) async fn after(pool: &SqlitePool, after: u64, limit: u32) -> Result<Vec<(u64, AuditEntry)>, LedgerError> {
    let rows = sqlx::query("SELECT number, entry FROM audit WHERE number > ? ORDER BY number LIMIT ?")
        .bind(to_column(after)?)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Ok((count(row, "number")?, from_json(row, "entry")?))).collect()
}
