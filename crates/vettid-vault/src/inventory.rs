//! What the owner sees of the vault's keys and of the upkeep of its connections. Shows public halves and times alone.

use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::step::Step;
use crate::{renewal, rotation, signing_keys};
use vettid_crypto::nats::key::{AccountKey, UserKey};
use vettid_wire::id::ConnectionId;
use vettid_wire::inventory::{
    AskHealth, AskKeys, ConnectionHealth, HealthReport, KeyInventory, KeyPolicy, KeyUse, KeyView,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most connections in one answer.
const PAGE: usize = 200;

/// The active connections after one, in the order of their ids, and whether there are more than fit on a page.
fn page(step: &Step<'_>, after: Option<ConnectionId>) -> Result<(Vec<Connection>, bool), Failure> {
    let mut active: Vec<_> = connection::all(&step.draft)?.into_iter().filter(Connection::is_active).collect();
    active.retain(|connection| after.is_none_or(|after| connection.connection_id > after));
    active.sort_by_key(|connection| connection.connection_id);
    let more = active.len() > PAGE;
    active.truncate(PAGE);
    Ok((active, more))
}

/// Owner's command: how connections are kept.
pub fn health(step: &mut Step<'_>, asked: &AskHealth) -> Result<Result<HealthReport, RefusalCode>, Failure> {
    let (wanted, more) = match asked.connection_id {
        None => page(step, asked.after)?,
        Some(id) => match connection::get(&step.draft, id)? {
            None => return Ok(Err(RefusalCode::NotFound)),
            Some(found) if !found.is_active() => return Ok(Err(RefusalCode::NotConnected)),
            Some(found) => (vec![found], false),
        },
    };
    let mut connections = Vec::with_capacity(wanted.len());
    for connection in &wanted {
        connections.extend(health_of(step, connection)?);
    }
    Ok(Ok(HealthReport { connections, more }))
}

fn health_of(step: &mut Step<'_>, connection: &Connection) -> Result<Option<ConnectionHealth>, Failure> {
    let id = connection.connection_id;
    let straggles_since = rotation::offered(&step.draft, id)?.map(|offer| offer.since);
    let Some(channel) = step.channels.get(&step.draft, ChannelName::Connection(id))? else {
        return Ok(None);
    };
    let traffic = channel.last_traffic();
    Ok(Some(ConnectionHealth {
        connection_id: id,
        display_name: connection.display_name.clone(),
        kind: connection.kind,
        epoch: channel.epoch(),
        keys_since: channel.epoch_since(),
        suite: channel.own_kem().suite().name().to_owned(),
        messages: channel.messages(),
        next_rotation: channel.rotation_due_at(),
        straggles_since,
        open_epochs: u64::try_from(channel.open_epochs()).unwrap_or(u64::MAX),
        last_sent: traffic.sent_at,
        last_received: traffic.received_at,
        credential_until: renewal::own_expires_at(step.now, connection),
        profile_until: connection.peer.as_ref().map(|peer| peer.profile.valid_until),
    }))
}

/// Owner's command: the keys.
pub fn keys(step: &mut Step<'_>, asked: &AskKeys) -> Result<Result<KeyInventory, RefusalCode>, Failure> {
    let mut keys = if asked.after.is_none() { own_keys(step)? } else { vec![] };
    let (connections, more) = page(step, asked.after)?;
    for connection in &connections {
        keys.extend(keys_of(step, connection)?);
    }
    let more_after = connections.last().filter(|_| more).map(|last| last.connection_id);
    Ok(Ok(KeyInventory { keys, more_after }))
}

fn own_keys(step: &Step<'_>) -> Result<Vec<KeyView>, Failure> {
    let identity = step.identity;
    let since = Some(identity.key_record.record().issued_at);
    let own = |role, id: String| KeyView {
        id,
        role,
        connection_id: None,
        since,
        policy: KeyPolicy::Vault,
        next_rotation: None,
    };
    let account = |key: AccountKey| key.public().as_str().to_owned();
    let signs = |role, key| KeyView {
        since: Some(identity.signing_since()),
        policy: KeyPolicy::Signing,
        next_rotation: Some(signing_keys::due_at(identity)),
        ..own(role, account(key))
    };
    Ok(vec![
        own(KeyUse::Identity, identity.signing_key().key_id().to_string()),
        own(KeyUse::Session, identity.session_kem().public_key().key_id().to_string()),
        own(KeyUse::OwnerAccount, account(identity.owner_account()?)),
        signs(KeyUse::AppSigning, identity.app_signing()?),
        own(KeyUse::MessageAccount, account(identity.message_account()?)),
        signs(KeyUse::ConnectionSigning, identity.connection_signing()?),
        signs(KeyUse::ServiceSigning, identity.service_signing()?),
        signs(KeyUse::ClaimSigning, identity.claim_signing()?),
    ])
}

fn keys_of(step: &mut Step<'_>, connection: &Connection) -> Result<Vec<KeyView>, Failure> {
    let id = connection.connection_id;
    let view = |role, key: String, since: Option<Timestamp>, policy, next_rotation| KeyView {
        id: key,
        role,
        connection_id: Some(id),
        since,
        policy,
        next_rotation,
    };
    let user = UserKey::from_secret(connection.nkey_seed.duplicate())?.public().as_str().to_owned();
    let made = Some(connection.created_at);
    let pairwise = connection.pairwise.key_id().to_string();
    let mut keys = vec![
        view(KeyUse::Pairwise, pairwise, made, KeyPolicy::Connection, None),
        view(KeyUse::BrokerUser, user, made, KeyPolicy::Connection, None),
    ];
    if let Some(channel) = step.channels.get(&step.draft, ChannelName::Connection(id))? {
        let epoch = channel.own_kem().key_id().to_string();
        let (since, due) = (channel.epoch_since(), channel.rotation_due_at());
        keys.insert(0, view(KeyUse::Epoch, epoch, since, KeyPolicy::Epoch, due));
    }
    Ok(keys)
}
