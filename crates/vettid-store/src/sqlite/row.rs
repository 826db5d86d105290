//! Columns to values and back. What cannot be read is a failure, never a default.

use crate::ledger::LedgerError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::str::FromStr;
use vettid_wire::json;
use vettid_wire::time::Timestamp;

/// A text column that has a grammar.
pub(super) fn parsed<T: FromStr>(row: &SqliteRow, column: &'static str) -> Result<T, LedgerError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| LedgerError::Unreadable(column))
}

/// A text column that holds JSON.
pub(super) fn from_json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, LedgerError> {
    let text: String = row.try_get(column)?;
    json::read(text.as_bytes()).map_err(|_| LedgerError::Unreadable(column))
}

/// A value as JSON text.
pub(super) fn to_json(value: &impl Serialize, what: &'static str) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|_| LedgerError::Unreadable(what))
}

/// A time column.
pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_unix_ms(row.try_get(column)?))
}

/// A column that counts.
pub(super) fn count(row: &SqliteRow, column: &'static str) -> Result<u64, LedgerError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| LedgerError::Unreadable(column))
}

/// A count for a column.
pub(super) fn to_column(value: u64) -> Result<i64, LedgerError> {
    i64::try_from(value).map_err(|_| LedgerError::Unreadable("count"))
}
