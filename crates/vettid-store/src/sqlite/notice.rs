//! Rows of `notices`: written in the transaction of what they tell about.

use super::Writing;
use super::row::{count, from_json, parsed, to_column, to_json};
use crate::ledger::LedgerError;
use sqlx::SqlitePool;
use vettid_wire::id::MemberId;
use vettid_wire::recovery::Notice;

const ADD: &str = "INSERT INTO notices (guid, notice) VALUES (?, ?)";
const OF_MEMBER: &str = "SELECT notice FROM notices WHERE guid = ? ORDER BY number DESC LIMIT ?";
const AFTER: &str = "SELECT number, guid, notice FROM notices WHERE number > ? ORDER BY number LIMIT ?";

pub(super) async fn add(writing: &mut Writing, guid: MemberId, notice: &Notice) -> Result<(), LedgerError> {
    sqlx::query(ADD).bind(guid.to_string()).bind(to_json(notice, "notice")?).execute(&mut **writing).await?;
    Ok(())
}

pub(super) async fn of_member(pool: &SqlitePool, guid: MemberId, limit: u32) -> Result<Vec<Notice>, LedgerError> {
    let rows = sqlx::query(OF_MEMBER).bind(guid.to_string()).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| from_json(row, "notice")).collect()
}

pub(super) async fn after(
    pool: &SqlitePool,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, MemberId, Notice)>, LedgerError> {
    let rows = sqlx::query(AFTER).bind(to_column(after)?).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((count(row, "number")?, parsed(row, "guid")?, from_json(row, "notice")?))).collect()
}
