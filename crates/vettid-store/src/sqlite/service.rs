//! Rows of `services`.

use super::row::{from_json, time, to_json};
use super::vault::claim_keys;
use super::{Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use crate::service::Service;
use crate::vault::SigningRotation;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use vettid_wire::enrolment::RegisterService;
use vettid_wire::id::{MemberId, ServiceId};
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};
use vettid_wire::subject::message_space;

const FIND: &str = "SELECT registration, registered_at, signing FROM services WHERE service_id = ?";
const ROTATE: &str = "UPDATE services SET signing = ? WHERE service_id = ?";
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

pub(super) async fn rotate_signing(
    mut writing: Writing,
    asked: &RotateServiceKeys,
    audit: &AuditEntry,
) -> Result<Service, LedgerError> {
    let service = find(&mut writing, &asked.service_id).await?.ok_or(LedgerError::Missing)?;
    let rotation = service.rotated(asked).ok_or(LedgerError::Conflict)?;
    if service.signing.as_ref() == Some(&rotation) {
        return Ok(service);
    }
    if service.signing.as_ref().is_none_or(|known| known.since != rotation.since) {
        claim_keys(&mut writing, &signing_roles(service.registration.guid, &rotation)).await?;
    }
    let json = to_json(&rotation, "signing")?;
    sqlx::query(ROTATE).bind(json).bind(asked.service_id.as_str()).execute(&mut *writing).await?;
    commit(writing, audit).await?;
    Ok(Service { signing: Some(rotation), ..service })
}

/// The roles of keys that were made later have the time in their names.
fn signing_roles(guid: MemberId, rotation: &SigningRotation<ServiceSigningNkeys>) -> [(&str, String); 3] {
    let (space, since) = (message_space(guid), rotation.since.unix_ms());
    let ServiceSigningNkeys { vault, connection, claim } = &rotation.current;
    [
        (vault, format!("{space}/vault/{since}")),
        (connection, format!("{space}/connection/{since}")),
        (claim, format!("{space}/claim/{since}")),
    ]
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
    let signing = row.try_get::<Option<String>, _>("signing")?.map(|_| from_json(row, "signing")).transpose()?;
    let (registration, registered_at) = (from_json(row, "registration")?, time(row, "registered_at")?);
    Ok(Service { registration, registered_at, signing })
}
