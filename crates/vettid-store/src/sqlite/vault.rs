//! Rows of `vaults`, and of `account_keys`: a key stands for one account or one role for ever.

use super::row::{from_json, parsed, to_json};
use super::{Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::LedgerError;
use crate::vault::{SigningRotation, Vault, VaultKeys, VaultState};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use vettid_wire::enrolment::{RotateSigningKeys, SigningNkeys};
use vettid_wire::id::{HostId, MemberId};
use vettid_wire::subject::{message_space, owner_space};
use vettid_wire::time::Timestamp;

const FIND: &str = "SELECT guid, host_id, state, deployed, bootstrap_signing_nkey, signing FROM vaults WHERE guid = ?";
const LEAST_LOADED: &str =
    "SELECT hosts.host_id AS host_id FROM hosts LEFT JOIN vaults ON vaults.host_id = hosts.host_id
    WHERE hosts.expires_at > ? GROUP BY hosts.host_id ORDER BY count(vaults.guid), hosts.host_id LIMIT 1";
const ASSIGN: &str = "INSERT INTO vaults (guid, host_id, state) VALUES (?, ?, 'assigned')";
const RECORD: &str = "UPDATE vaults SET state = 'deployed', deployed = ?, bootstrap_signing_nkey = ? WHERE guid = ?";
const ROTATE: &str = "UPDATE vaults SET signing = ? WHERE guid = ?";
const CLAIM: &str = "INSERT INTO account_keys (nkey, space) VALUES (?, ?)";

pub(super) async fn find(connection: &mut SqliteConnection, guid: MemberId) -> Result<Option<Vault>, LedgerError> {
    let row = sqlx::query(FIND).bind(guid.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn assign(
    mut writing: Writing,
    guid: MemberId,
    now: Timestamp,
    audit: &AuditEntry,
) -> Result<Vault, LedgerError> {
    if let Some(vault) = find(&mut writing, guid).await? {
        return Ok(vault);
    }
    let host = least_loaded(&mut writing, now).await?.ok_or(LedgerError::NoHost)?;
    sqlx::query(ASSIGN)
        .bind(guid.to_string())
        .bind(host.as_str())
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    commit(writing, audit).await?;
    Ok(Vault { guid, host, state: VaultState::Assigned, keys: None })
}

async fn least_loaded(connection: &mut SqliteConnection, now: Timestamp) -> Result<Option<HostId>, LedgerError> {
    let row = sqlx::query(LEAST_LOADED).bind(now.unix_ms()).fetch_optional(connection).await?;
    row.as_ref().map(|row| parsed(row, "host_id")).transpose()
}

pub(super) async fn record_keys(mut writing: Writing, keys: &VaultKeys, audit: &AuditEntry) -> Result<(), LedgerError> {
    let guid = keys.deployed.guid;
    let vault = find(&mut writing, guid).await?.ok_or(LedgerError::Missing)?;
    match &vault.keys {
        Some(known)
            if known.deployed == keys.deployed && known.bootstrap_signing_nkey == keys.bootstrap_signing_nkey =>
        {
            return Ok(());
        }
        Some(_) => return Err(LedgerError::Conflict),
        None => {}
    }
    claim_keys(&mut writing, &roles(keys)).await?;
    sqlx::query(RECORD)
        .bind(to_json(&keys.deployed, "deployed")?)
        .bind(&keys.bootstrap_signing_nkey)
        .bind(guid.to_string())
        .execute(&mut *writing)
        .await?;
    commit(writing, audit).await
}

pub(super) async fn rotate_signing(
    mut writing: Writing,
    guid: MemberId,
    asked: &RotateSigningKeys,
    audit: &AuditEntry,
) -> Result<VaultKeys, LedgerError> {
    let vault = find(&mut writing, guid).await?.ok_or(LedgerError::Missing)?;
    let keys = vault.keys.ok_or(LedgerError::Missing)?;
    let rotation = keys.rotated(asked).ok_or(LedgerError::Conflict)?;
    if keys.signing.as_ref() == Some(&rotation) {
        return Ok(keys);
    }
    if keys.signing.as_ref().is_none_or(|known| known.since != rotation.since) {
        claim_keys(&mut writing, &signing_roles(guid, &rotation)).await?;
    }
    sqlx::query(ROTATE).bind(to_json(&rotation, "signing")?).bind(guid.to_string()).execute(&mut *writing).await?;
    commit(writing, audit).await?;
    Ok(VaultKeys { signing: Some(rotation), ..keys })
}

/// The roles of keys that were made later have the time in their names.
fn signing_roles(guid: MemberId, rotation: &SigningRotation) -> [(&str, String); 4] {
    let (owner, message, since) = (owner_space(guid), message_space(guid), rotation.since.unix_ms());
    let SigningNkeys { app, connection, service, claim } = &rotation.current;
    [
        (app, format!("{owner}/app/{since}")),
        (connection, format!("{message}/connection/{since}")),
        (service, format!("{message}/service/{since}")),
        (claim, format!("{message}/claim/{since}")),
    ]
}

fn roles(keys: &VaultKeys) -> [(&str, String); 7] {
    let VaultKeys { deployed, bootstrap_signing_nkey, .. } = keys;
    let (owner, message) = (owner_space(deployed.guid), message_space(deployed.guid));
    [
        (&deployed.owner_account_nkey, owner.clone()),
        (&deployed.app_signing_nkey, format!("{owner}/app")),
        (bootstrap_signing_nkey, format!("{owner}/bootstrap")),
        (&deployed.message_account_nkey, message.clone()),
        (&deployed.connection_signing_nkey, format!("{message}/connection")),
        (&deployed.service_signing_nkey, format!("{message}/service")),
        (&deployed.claim_signing_nkey, format!("{message}/claim")),
    ]
}

/// Takes keys for good. Refused if one of them, or one of the spaces, is taken.
pub(super) async fn claim_keys(writing: &mut Writing, keys: &[(&str, String)]) -> Result<(), LedgerError> {
    for (nkey, space) in keys {
        let claim = sqlx::query(CLAIM).bind(*nkey).bind(space).execute(&mut **writing).await;
        claim.map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Vault, LedgerError> {
    let state: String = row.try_get("state")?;
    let state = VaultState::named(&state).ok_or(LedgerError::Unreadable("state"))?;
    let bootstrap_signing_nkey: Option<String> = row.try_get("bootstrap_signing_nkey")?;
    let keys = bootstrap_signing_nkey
        .map(|bootstrap_signing_nkey| {
            let signing =
                row.try_get::<Option<String>, _>("signing")?.map(|_| from_json(row, "signing")).transpose()?;
            Ok::<_, LedgerError>(VaultKeys { deployed: from_json(row, "deployed")?, bootstrap_signing_nkey, signing })
        })
        .transpose()?;
    Ok(Vault { guid: parsed(row, "guid")?, host: parsed(row, "host_id")?, state, keys })
}
