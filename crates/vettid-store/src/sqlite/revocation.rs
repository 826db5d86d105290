//! Rows of `revocations`.

use super::row::time;
use super::{Writing, commit};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use crate::revocation::Revocation;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

const ADD: &str = "INSERT INTO revocations (account_nkey, user_nkey, revoked_at) VALUES (?, ?, ?)
    ON CONFLICT (account_nkey, user_nkey) DO UPDATE SET revoked_at = max(revoked_at, excluded.revoked_at)";
const OF_ACCOUNT: &str =
    "SELECT account_nkey, user_nkey, revoked_at FROM revocations WHERE account_nkey = ? ORDER BY user_nkey";

pub(super) async fn add(mut writing: Writing, revocation: &Revocation, audit: &AuditEntry) -> Result<(), LedgerError> {
    record(&mut writing, revocation).await?;
    commit(writing, audit).await
}

/// Within the transaction of another act.
pub(super) async fn record(writing: &mut Writing, revocation: &Revocation) -> Result<(), LedgerError> {
    sqlx::query(ADD)
        .bind(&revocation.account_nkey)
        .bind(&revocation.user_nkey)
        .bind(revocation.revoked_at.unix_ms())
        .execute(&mut **writing)
        .await?;
    Ok(())
}

pub(super) async fn of_account(pool: &SqlitePool, account_nkey: &str) -> Result<Vec<Revocation>, LedgerError> {
    let rows = sqlx::query(OF_ACCOUNT).bind(account_nkey).fetch_all(pool).await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<Revocation, LedgerError> {
    Ok(Revocation {
        account_nkey: row.try_get("account_nkey")?,
        user_nkey: row.try_get("user_nkey")?,
        revoked_at: time(row, "revoked_at")?,
    })
}
