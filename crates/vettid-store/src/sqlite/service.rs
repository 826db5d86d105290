//! Rows of `services`.

use super::row::{from_json, time, to_json};
use super::vault::claim_keys;
use super::{Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use crate::service::Service;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use vettid_wire::enrolment::RegisterService;
use vettid_wire::id::{MemberId, ServiceId};
use vettid_wire::subject::message_space;

const FIND: &str = "SELECT registration, registered_at FROM services WHERE service_id = ?";
const IS_MEMBER: &str = "SELECT count(*) AS members FROM accounts WHERE guid = ?";
const INSERT: &str =
    "INSERT INTO services (service_id, guid, account_nkey, registration, registered_at) VALUES (?, ?, ?, ?, ?)";

pub(super) async fn find(connection: &mut SqliteConnection, id: &ServiceId) -> Result<Option<Service>, LedgerError> {
    let row = sqlx::query(FIND).bind(id.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn count(pool: &SqlitePool) -> Result<u64, LedgerError> {
    let row = sqlx::query("SELECT count(*) AS services FROM services").fetch_one(pool).await?;
    super::row::count(&row, "services")
}

pub(super) async fn register(mut writing: Writing, service: &Service, audit: &AuditEntry) -> Result<(), LedgerError> {
    let registration = &service.registration;
    match find(&mut writing, &registration.service_id).await? {
        Some(known) if known.registration == *registration => return commit(writing, audit).await,
        Some(_) => return Err(LedgerError::Conflict),
        None => {}
    }
    if is_member(&mut writing, registration.guid).await? {
        return Err(LedgerError::Conflict);
    }
    claim_keys(&mut writing, &keys(registration)).await?;
    sqlx::query(INSERT)
        .bind(registration.service_id.as_str())
        .bind(registration.guid.to_string())
        .bind(&registration.account_nkey)
        .bind(to_json(registration, "registration")?)
        .bind(service.registered_at.unix_ms())
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    commit(writing, audit).await
}

async fn is_member(connection: &mut SqliteConnection, guid: MemberId) -> Result<bool, LedgerError> {
    let row = sqlx::query(IS_MEMBER).bind(guid.to_string()).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>("members")? != 0)
}

fn keys(registration: &RegisterService) -> [(&str, String); 4] {
    let space = message_space(registration.guid);
    [
        (&registration.account_nkey, space.clone()),
        (&registration.vault_signing_nkey, format!("{space}/vault")),
        (&registration.connection_signing_nkey, format!("{space}/connection")),
        (&registration.claim_signing_nkey, format!("{space}/claim")),
    ]
}

fn read(row: &SqliteRow) -> Result<Service, LedgerError> {
    Ok(Service { registration: from_json(row, "registration")?, registered_at: time(row, "registered_at")? })
}
