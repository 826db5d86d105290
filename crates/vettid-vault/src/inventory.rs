//! What the owner sees of the vault's keys and of the upkeep of its connections. Shows public halves and times alone.

mod keys;

pub use keys::keys;

use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::step::Step;
use crate::{renewal, rotation};
use vettid_wire::id::ConnectionId;
use vettid_wire::inventory::{AskHealth, ConnectionHealth, HealthReport};
use vettid_wire::refusal::RefusalCode;

/// Most connections in one answer.
const PAGE: usize = 200;

/// The active connections after one, in the order of their ids, and whether there are more than fit on a page.
fn page(step: &Step<'_>, after: Option<ConnectionId>, most: usize) -> Result<(Vec<Connection>, bool), Failure> {
    let mut active: Vec<_> = connection::all(&step.draft)?.into_iter().filter(Connection::is_active).collect();
    active.retain(|connection| after.is_none_or(|after| connection.connection_id > after));
    active.sort_by_key(|connection| connection.connection_id);
    let more = active.len() > most;
    active.truncate(most);
    Ok((active, more))
}

/// Owner's command: how connections are kept.
pub fn health(step: &mut Step<'_>, asked: &AskHealth) -> Result<Result<HealthReport, RefusalCode>, Failure> {
    let (wanted, more) = match asked.connection_id {
        None => page(step, asked.after, PAGE)?,
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
