//! Rows of `spent_tokens` and `operations`.

use super::row::parsed;
use super::{Writing, commit, unless_unique};
use crate::action::{OPERATION_LIFE_MS, Spent};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use vettid_wire::digest::Digest;

const FORGET_TOKENS: &str = "DELETE FROM spent_tokens WHERE expires_at < ?";
const FORGET_OPERATIONS: &str = "DELETE FROM operations WHERE at < ?";
const SPEND: &str = "INSERT INTO spent_tokens (jti, expires_at) VALUES (?, ?)";
const KEEP: &str = "INSERT INTO operations (guid, action, op_id, req_hash, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (guid, action, op_id) DO UPDATE SET at = excluded.at RETURNING req_hash";
/// A dead token is remembered this long, so that a clock that was set back does not bring it to life.
const REMEMBER_MS: i64 = 24 * 60 * 60 * 1000;

/// Uses a token up. Refused: [`LedgerError::Spent`] the second time, [`LedgerError::Conflict`] if its operation is known
/// with another request.
pub(super) async fn spend(writing: &mut Writing, spent: &Spent) -> Result<(), LedgerError> {
    let forget_before = spent.at.plus_ms(-REMEMBER_MS).unix_ms();
    sqlx::query(FORGET_TOKENS).bind(forget_before).execute(&mut **writing).await?;
    sqlx::query(FORGET_OPERATIONS).bind(spent.at.plus_ms(-OPERATION_LIFE_MS).unix_ms()).execute(&mut **writing).await?;
    sqlx::query(SPEND)
        .bind(spent.jti.to_string())
        .bind(spent.expires_at.unix_ms())
        .execute(&mut **writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Spent))?;
    let row = sqlx::query(KEEP)
        .bind(spent.guid.to_string())
        .bind(&spent.action)
        .bind(spent.op_id.to_string())
        .bind(spent.req_hash.to_string())
        .bind(spent.at.unix_ms())
        .fetch_one(&mut **writing)
        .await?;
    let known: Digest = parsed(&row, "req_hash")?;
    if known == spent.req_hash { Ok(()) } else { Err(LedgerError::Conflict) }
}

/// Uses up a token that only reads.
pub(super) async fn read_with(mut writing: Writing, spent: &Spent, audit: &AuditEntry) -> Result<(), LedgerError> {
    spend(&mut writing, spent).await?;
    commit(writing, audit).await
}
