//! Rows of `accounts`.

use super::row::{parsed, time};
use super::{Writing, commit, unless_unique};
use crate::account::Account;
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use vettid_wire::digest::Digest;

const INSERT: &str = "INSERT INTO accounts (guid, name, portal_token_hash, created_at) VALUES (?, ?, ?, ?)";
const OF_TOKEN: &str = "SELECT guid, name, portal_token_hash, created_at FROM accounts WHERE portal_token_hash = ?";

pub(super) async fn open(mut writing: Writing, account: &Account, audit: &AuditEntry) -> Result<(), LedgerError> {
    sqlx::query(INSERT)
        .bind(account.guid.to_string())
        .bind(account.name.as_str())
        .bind(account.portal_token_hash.to_string())
        .bind(account.created_at.unix_ms())
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::NameTaken))?;
    commit(writing, audit).await
}

pub(super) async fn of_token(pool: &SqlitePool, hash: Digest) -> Result<Option<Account>, LedgerError> {
    let row = sqlx::query(OF_TOKEN).bind(hash.to_string()).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Account, LedgerError> {
    Ok(Account {
        guid: parsed(row, "guid")?,
        name: parsed(row, "name")?,
        portal_token_hash: parsed(row, "portal_token_hash")?,
        created_at: time(row, "created_at")?,
    })
}
