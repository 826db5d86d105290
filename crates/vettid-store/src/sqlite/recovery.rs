//! Rows of `credential_backups`, `recovery_codes`, `recovery_tries` and `recoveries`.

use super::row::{count, from_json, parsed, time, to_column, to_json};
use super::{SqliteLedger, Writing, action, commit, enrolment, notice, unless_unique};
use crate::action::Spent;
use crate::audit::AuditEntry;
use crate::ledger::{LedgerError, Pending};
use crate::recovery::{CodeRow, MemberApp, Recoveries, Recovery, StoredBackup, Try};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use vettid_core::enrolment::{Enrolment, Stage};
use vettid_core::recovery::{TooOften, admit, counted_since};
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::recovery::{Notice, NoticeKind};
use vettid_wire::time::Timestamp;

const BACKUP: &str =
    "SELECT guid, sequence, container, sealed_verifier, stored_at FROM credential_backups WHERE guid = ?";
const STORE_BACKUP: &str = "INSERT INTO credential_backups (guid, sequence, container, sealed_verifier, stored_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (guid) DO UPDATE SET sequence = excluded.sequence,
    container = excluded.container, sealed_verifier = excluded.sealed_verifier, stored_at = excluded.stored_at";
const START: &str = "INSERT INTO recovery_codes (token_hash, guid, expires_at) VALUES (?, ?, ?)
    ON CONFLICT (guid) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at";
const CODE: &str = "SELECT guid FROM recovery_codes WHERE token_hash = ? AND expires_at > ?";
const USE_CODE: &str = "DELETE FROM recovery_codes WHERE token_hash = ? AND expires_at > ? RETURNING guid";
const TRIES: &str = "SELECT at FROM recovery_tries WHERE guid = ? AND at > ?";
const COUNT: &str = "INSERT INTO recovery_tries (guid, at) VALUES (?, ?)";
const CLOSE_ENROLMENT: &str =
    "UPDATE enrolments SET stage = ?, token_hash = NULL, revision = revision + 1 WHERE guid = ? AND session_id = ?";
const RECOVER: &str = "INSERT INTO recoveries
    (recovery_id, guid, app_key, old_app_key, recovered_at, hold_until, session_id) VALUES (?, ?, ?, ?, ?, ?, ?)";
const LATEST: &str = "SELECT recovery_id, guid, app_key, old_app_key, recovered_at, hold_until, approved_at,
    denied_at, session_id FROM recoveries WHERE guid = ? ORDER BY recovery_id DESC LIMIT 1";
const ENTER: &str = "UPDATE recoveries SET session_id = ? WHERE recovery_id = ? AND guid = ? AND denied_at IS NULL";
const APPROVE: &str = "UPDATE recoveries SET approved_at = ?
    WHERE recovery_id = ? AND guid = ? AND approved_at IS NULL AND denied_at IS NULL";
const DENY: &str = "UPDATE recoveries SET denied_at = ?
    WHERE recovery_id = ? AND guid = ? AND approved_at IS NULL AND denied_at IS NULL RETURNING session_id";
const HOLDS_SEALED: &str = "SELECT EXISTS (SELECT 1 FROM credential_backups)
    OR EXISTS (SELECT 1 FROM credential_issuers) AS held";

impl Recoveries for SqliteLedger {
    fn app(&self, guid: MemberId) -> Pending<'_, Option<MemberApp>> {
        Box::pin(app(&self.pool, guid))
    }
    fn store_backup<'a>(
        &'a self,
        backup: &'a StoredBackup,
        spent: &'a Spent,
        notice: Option<&'a Notice>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()> {
        Box::pin(async move { store_backup(self.writing().await?, backup, spent, notice, audit).await })
    }
    fn backup(&self, guid: MemberId) -> Pending<'_, Option<StoredBackup>> {
        Box::pin(async move { backup(&mut *self.pool.acquire().await?, guid).await })
    }
    fn start_recovery<'a>(&'a self, code: &'a CodeRow, notice: &'a Notice, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { start(self.writing().await?, code, notice, audit).await })
    }
    fn backup_of_code(&self, token_hash: Digest, now: Timestamp) -> Pending<'_, Option<StoredBackup>> {
        Box::pin(backup_of_code(&self.pool, token_hash, now))
    }
    fn try_recovery<'a>(&'a self, token_hash: Digest, now: Timestamp, audit: &'a AuditEntry) -> Pending<'a, Try> {
        Box::pin(async move { attempt(self.writing().await?, token_hash, now, audit).await })
    }
    fn recover<'a>(
        &'a self,
        recovery: &'a Recovery,
        enrolment: Option<&'a Enrolment>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()> {
        Box::pin(async move { recover(self.writing().await?, recovery, enrolment, audit).await })
    }
    fn enter_vault<'a>(
        &'a self,
        recovery: (MemberId, EventId),
        enrolment: &'a Enrolment,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()> {
        Box::pin(async move { enter(self.writing().await?, recovery, enrolment, audit).await })
    }
    fn latest_recovery(&self, guid: MemberId) -> Pending<'_, Option<Recovery>> {
        Box::pin(latest(&self.pool, guid))
    }
    fn decide_recovery<'a>(
        &'a self,
        recovery: (MemberId, EventId),
        approve: bool,
        at: Timestamp,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()> {
        Box::pin(async move { decide(self.writing().await?, recovery, (approve, at), audit).await })
    }
    fn notices(&self, guid: MemberId, limit: u32) -> Pending<'_, Vec<Notice>> {
        Box::pin(notice::of_member(&self.pool, guid, limit))
    }
    fn notices_after(&self, after: u64, limit: u32) -> Pending<'_, Vec<(u64, MemberId, Notice)>> {
        Box::pin(notice::after(&self.pool, after, limit))
    }
    fn holds_sealed(&self) -> Pending<'_, bool> {
        Box::pin(async move {
            let row = sqlx::query(HOLDS_SEALED).fetch_one(&self.pool).await?;
            Ok(row.try_get::<i64, _>("held")? != 0)
        })
    }
}

async fn app(pool: &SqlitePool, guid: MemberId) -> Result<Option<MemberApp>, LedgerError> {
    let (enrolled, recovered) = (enrolment::completed(pool, guid).await?, latest(pool, guid).await?);
    let recovered = recovered.filter(|recovery| recovery.denied_at.is_none());
    let held = recovered.as_ref().filter(|recovery| recovery.approved_at.is_none());
    let hold_until = held.map(|recovery| recovery.hold_until);
    let after = |session: EventId| recovered.as_ref().is_none_or(|recovery| session > recovery.recovery_id);
    let enrolled = enrolled.filter(|enrolment| after(enrolment.session_id));
    let enrolled = enrolled.and_then(|enrolment| match enrolment.stage {
        Stage::Completed { app_key } => Some(app_key),
        _ => None,
    });
    let key = enrolled.or_else(|| recovered.map(|recovery| recovery.app_key));
    Ok(key.map(|key| MemberApp { key, hold_until }))
}

async fn backup(connection: &mut SqliteConnection, guid: MemberId) -> Result<Option<StoredBackup>, LedgerError> {
    let row = sqlx::query(BACKUP).bind(guid.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(read_backup).transpose()
}

async fn store_backup(
    mut writing: Writing,
    fresh: &StoredBackup,
    spent: &Spent,
    told: Option<&Notice>,
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    action::spend(&mut writing, spent).await?;
    let known = backup(&mut writing, fresh.guid).await?;
    let newer = known.as_ref().is_none_or(|known| known.sequence < fresh.sequence);
    let same = known.is_some_and(|known| known.sequence == fresh.sequence && known.container == fresh.container);
    if !newer && !same {
        return Err(LedgerError::Conflict);
    }
    if newer {
        sqlx::query(STORE_BACKUP)
            .bind(fresh.guid.to_string())
            .bind(to_column(fresh.sequence)?)
            .bind(&fresh.container)
            .bind(&fresh.sealed_verifier)
            .bind(fresh.stored_at.unix_ms())
            .execute(&mut *writing)
            .await?;
        if let Some(told) = told {
            notice::add(&mut writing, fresh.guid, told).await?;
        }
    }
    commit(writing, audit).await
}

async fn start(mut writing: Writing, code: &CodeRow, told: &Notice, audit: &AuditEntry) -> Result<(), LedgerError> {
    sqlx::query(START)
        .bind(code.token_hash.to_string())
        .bind(code.guid.to_string())
        .bind(code.expires_at.unix_ms())
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    notice::add(&mut writing, code.guid, told).await?;
    commit(writing, audit).await
}

async fn backup_of_code(
    pool: &SqlitePool,
    token_hash: Digest,
    now: Timestamp,
) -> Result<Option<StoredBackup>, LedgerError> {
    let mut connection = pool.acquire().await?;
    let row =
        sqlx::query(CODE).bind(token_hash.to_string()).bind(now.unix_ms()).fetch_optional(&mut *connection).await?;
    match row {
        Some(row) => backup(&mut connection, parsed(&row, "guid")?).await,
        None => Ok(None),
    }
}

async fn attempt(
    mut writing: Writing,
    token_hash: Digest,
    now: Timestamp,
    audit: &AuditEntry,
) -> Result<Try, LedgerError> {
    let row =
        sqlx::query(USE_CODE).bind(token_hash.to_string()).bind(now.unix_ms()).fetch_optional(&mut *writing).await?;
    let Some(row) = row else {
        commit(writing, audit).await?;
        return Ok(Try::Unknown);
    };
    let guid: MemberId = parsed(&row, "guid")?;
    let (outcome, what) = match admit(&tries(&mut writing, guid, now).await?, now) {
        Err(TooOften { retry_after_ms }) => (Try::TooOften { retry_after_ms }, NoticeKind::RecoveryTooOften),
        Ok(()) => {
            sqlx::query(COUNT).bind(guid.to_string()).bind(now.unix_ms()).execute(&mut *writing).await?;
            (Try::Counted { guid, backup: backup(&mut writing, guid).await? }, NoticeKind::RecoveryTried)
        }
    };
    notice::add(&mut writing, guid, &Notice { at: now, what }).await?;
    commit(writing, audit).await?;
    Ok(outcome)
}

async fn tries(writing: &mut Writing, guid: MemberId, now: Timestamp) -> Result<Vec<Timestamp>, LedgerError> {
    let since = counted_since(now).unix_ms();
    let rows = sqlx::query(TRIES).bind(guid.to_string()).bind(since).fetch_all(&mut **writing).await?;
    rows.iter().map(|row| time(row, "at")).collect()
}

async fn recover(
    mut writing: Writing,
    recovery: &Recovery,
    enrolment: Option<&Enrolment>,
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    let guid = recovery.guid.to_string();
    sqlx::query(RECOVER)
        .bind(recovery.recovery_id.to_string())
        .bind(&guid)
        .bind(to_json(&recovery.app_key, "app_key")?)
        .bind(recovery.old_app_key.as_ref().map(|key| to_json(key, "old_app_key")).transpose()?)
        .bind(recovery.recovered_at.unix_ms())
        .bind(recovery.hold_until.unix_ms())
        .bind(recovery.session_id.map(|session| session.to_string()))
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    let told = Notice { at: recovery.recovered_at, what: NoticeKind::Recovered };
    notice::add(&mut writing, recovery.guid, &told).await?;
    match enrolment {
        Some(enrolment) => enrolment::start(writing, enrolment, audit).await,
        None => commit(writing, audit).await,
    }
}

async fn enter(
    mut writing: Writing,
    (guid, recovery_id): (MemberId, EventId),
    enrolment: &Enrolment,
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    let row = sqlx::query(ENTER).bind(enrolment.session_id.to_string()).bind(recovery_id.to_string());
    match row.bind(guid.to_string()).execute(&mut *writing).await?.rows_affected() {
        1 => enrolment::start(writing, enrolment, audit).await,
        _ => Err(LedgerError::Missing),
    }
}

async fn latest(pool: &SqlitePool, guid: MemberId) -> Result<Option<Recovery>, LedgerError> {
    let row = sqlx::query(LATEST).bind(guid.to_string()).fetch_optional(pool).await?;
    row.as_ref().map(read_recovery).transpose()
}

async fn decide(
    mut writing: Writing,
    (guid, recovery_id): (MemberId, EventId),
    (approve, at): (bool, Timestamp),
    audit: &AuditEntry,
) -> Result<(), LedgerError> {
    let what = if approve {
        approved(&mut writing, guid, recovery_id, at).await?;
        NoticeKind::RecoveryApproved
    } else {
        denied(&mut writing, guid, recovery_id, at).await?;
        NoticeKind::RecoveryDenied
    };
    notice::add(&mut writing, guid, &Notice { at, what }).await?;
    commit(writing, audit).await
}

async fn approved(writing: &mut Writing, guid: MemberId, id: EventId, at: Timestamp) -> Result<(), LedgerError> {
    let row = sqlx::query(APPROVE).bind(at.unix_ms()).bind(id.to_string()).bind(guid.to_string());
    match row.execute(&mut **writing).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(LedgerError::Missing),
    }
}

/// The enrolment of the new device is closed, even if it is complete: the one before it stands again.
async fn denied(writing: &mut Writing, guid: MemberId, id: EventId, at: Timestamp) -> Result<(), LedgerError> {
    let row = sqlx::query(DENY).bind(at.unix_ms()).bind(id.to_string()).bind(guid.to_string());
    let row = row.fetch_optional(&mut **writing).await?.ok_or(LedgerError::Missing)?;
    let session: Option<String> = row.try_get("session_id")?;
    let close = sqlx::query(CLOSE_ENROLMENT).bind(to_json(&Stage::Closed, "stage")?).bind(guid.to_string());
    close.bind(session).execute(&mut **writing).await?;
    Ok(())
}

fn read_backup(row: &SqliteRow) -> Result<StoredBackup, LedgerError> {
    Ok(StoredBackup {
        guid: parsed(row, "guid")?,
        sequence: count(row, "sequence")?,
        container: row.try_get("container")?,
        sealed_verifier: row.try_get("sealed_verifier")?,
        stored_at: time(row, "stored_at")?,
    })
}

fn read_recovery(row: &SqliteRow) -> Result<Recovery, LedgerError> {
    let old: Option<String> = row.try_get("old_app_key")?;
    let [approved_at, denied_at] = [row.try_get("approved_at")?, row.try_get("denied_at")?];
    let session: Option<String> = row.try_get("session_id")?;
    let at = |column: Option<i64>| column.map(Timestamp::from_unix_ms);
    Ok(Recovery {
        recovery_id: parsed(row, "recovery_id")?,
        guid: parsed(row, "guid")?,
        app_key: from_json(row, "app_key")?,
        old_app_key: old.map(|_| from_json(row, "old_app_key")).transpose()?,
        recovered_at: time(row, "recovered_at")?,
        hold_until: time(row, "hold_until")?,
        approved_at: at(approved_at),
        denied_at: at(denied_at),
        session_id: session.map(|_| parsed(row, "session_id")).transpose()?,
    })
}
