//! Rows of `hosts`.

use super::row::{parsed, time};
use super::{Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::host::Host;
use crate::ledger::LedgerError;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use vettid_wire::id::HostId;
use vettid_wire::time::Timestamp;

const FIND: &str =
    "SELECT host_id, subscriber_nkey, publisher_nkey, expires_at, last_seen FROM hosts WHERE host_id = ?";
const TAKEN: &str = "SELECT count(*) AS others FROM hosts
    WHERE host_id <> ?1 AND (subscriber_nkey IN (?2, ?3) OR publisher_nkey IN (?2, ?3))";
const JOIN: &str =
    "INSERT INTO hosts (host_id, subscriber_nkey, publisher_nkey, expires_at, last_seen) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (host_id) DO UPDATE SET subscriber_nkey = excluded.subscriber_nkey,
    publisher_nkey = excluded.publisher_nkey, expires_at = excluded.expires_at, last_seen = excluded.last_seen";
const SEEN: &str = "UPDATE hosts SET last_seen = max(last_seen, ?) WHERE host_id = ?";

pub(super) async fn find(connection: &mut SqliteConnection, id: &HostId) -> Result<Option<Host>, LedgerError> {
    let row = sqlx::query(FIND).bind(id.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn join(mut writing: Writing, host: &Host, audit: &AuditEntry) -> Result<Option<Host>, LedgerError> {
    let before = find(&mut writing, &host.host_id).await?;
    let taken = sqlx::query(TAKEN)
        .bind(host.host_id.as_str())
        .bind(&host.subscriber_nkey)
        .bind(&host.publisher_nkey)
        .fetch_one(&mut *writing)
        .await?;
    if taken.try_get::<i64, _>("others")? != 0 || host.subscriber_nkey == host.publisher_nkey {
        return Err(LedgerError::Conflict);
    }
    sqlx::query(JOIN)
        .bind(host.host_id.as_str())
        .bind(&host.subscriber_nkey)
        .bind(&host.publisher_nkey)
        .bind(host.expires_at.unix_ms())
        .bind(host.last_seen.unix_ms())
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    commit(writing, audit).await?;
    Ok(before)
}

pub(super) async fn seen(pool: &SqlitePool, id: &HostId, at: Timestamp) -> Result<(), LedgerError> {
    sqlx::query(SEEN).bind(at.unix_ms()).bind(id.as_str()).execute(pool).await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Host, LedgerError> {
    Ok(Host {
        host_id: parsed(row, "host_id")?,
        subscriber_nkey: row.try_get("subscriber_nkey")?,
        publisher_nkey: row.try_get("publisher_nkey")?,
        expires_at: time(row, "expires_at")?,
        last_seen: time(row, "last_seen")?,
    })
}
