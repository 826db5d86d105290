//! Connections as their owner sees them.

use crate::card::{self, Card};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::field;
use crate::profile::sync;
use crate::step::Step;
use vettid_crypto::identity::safety_number;
use vettid_wire::connection::{ConnectionList, ConnectionView, Ending, ListConnections, PAGE, Verification};
use vettid_wire::contract::{Contract, Tier};
use vettid_wire::event::{ConnectionVerify, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

/// One connection.
pub fn one(step: &Step<'_>, id: ConnectionId) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    match connection::get(&step.draft, id)? {
        Some(connection) => Ok(Ok(of(step, &connection)?)),
        None => Ok(Err(RefusalCode::NotFound)),
    }
}

/// Owner's command: the connections that fit, in short.
pub fn list(step: &Step<'_>, asked: &ListConnections) -> Result<Result<ConnectionList, RefusalCode>, Failure> {
    let page = asked.limit.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if !(1..=PAGE).contains(&page) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let sought = asked.text.as_deref().map(str::to_lowercase);
    let mut found = Vec::new();
    for connection in connection::later(&step.draft, asked.after) {
        let connection = connection?;
        if asked.state.is_some_and(|state| state != connection.state) {
            continue;
        }
        let card = card::of(&step.draft, connection.connection_id)?;
        if !card.tags.is_superset(&asked.tags) || !sought.as_deref().is_none_or(|text| names(&connection, &card, text))
        {
            continue;
        }
        if found.len() == page {
            return Ok(Ok(ConnectionList { connections: found, more: true }));
        }
        found.push(short(step, &connection, card)?);
    }
    Ok(Ok(ConnectionList { connections: found, more: false }))
}

/// Whether a text stands in a name, label or tag.
fn names(connection: &Connection, card: &Card, text: &str) -> bool {
    let service = connection.service_id().map(|service| service.as_str());
    let names = [Some(connection.display_name.as_str()), card.label.as_deref(), service];
    let tags = card.tags.iter().map(|tag| Some(tag.as_str()));
    names.into_iter().chain(tags).flatten().any(|name| name.to_lowercase().contains(text))
}

/// The owner compared the safety number.
pub fn verify(step: &mut Step<'_>, id: ConnectionId) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    let Some(mut connection) = connection::get(&step.draft, id)?.filter(Connection::is_active) else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    connection.verification = Verification::Verified;
    connection::put(&mut step.draft, &connection)?;
    step.tell(Note {
        event_type: ConnectionVerify::ROW.event_type(),
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary: format!("You verified {}", connection.display_name),
    })?;
    Ok(Ok(changed(step, &connection)?))
}

/// The view of a connection.
pub fn of(step: &Step<'_>, connection: &Connection) -> Result<ConnectionView, Failure> {
    let id = connection.connection_id;
    let contract = match connection::contract(&step.draft, id)? {
        Some(accepted) => Some(accepted.contract),
        None => connection.offered.clone(),
    };
    let peer = connection.peer.as_ref();
    let own = step.identity.fingerprint();
    Ok(ConnectionView {
        safety_number: peer.map(|peer| safety_number(&own, &peer.fingerprint)),
        symbols: connection.symbols.clone(),
        profile: peer.map(|peer| peer.profile.clone()),
        profile_stale: sync::is_stale(&step.draft, step.now, connection),
        missing_fields: contract.as_ref().map_or(Ok(Vec::new()), |contract| missing(step, contract))?,
        contract,
        ..short(step, connection, card::of(&step.draft, id)?)?
    })
}

/// What a command answers that changed a connection: without the profile, because answers are kept to be repeated, and would
/// outlive it.
pub fn changed(step: &Step<'_>, connection: &Connection) -> Result<ConnectionView, Failure> {
    Ok(ConnectionView { profile: None, ..of(step, connection)? })
}

/// What a list shows of a connection.
fn short(step: &Step<'_>, connection: &Connection, card: Card) -> Result<ConnectionView, Failure> {
    let id = connection.connection_id;
    let tombstone = connection::tombstone(&step.draft, id)?;
    let known = connection.peer.is_some() || tombstone.is_some();
    Ok(ConnectionView {
        connection_id: id,
        kind: connection.kind,
        state: connection.state,
        verification: connection.verification,
        display_name: connection.display_name.clone(),
        label: card.label,
        tags: card.tags,
        peer: known.then(|| connection.peer_guid()),
        service_id: connection.service_id().cloned(),
        peer_fingerprint: connection.peer.as_ref().map(|peer| peer.fingerprint),
        safety_number: None,
        symbols: None,
        profile: None,
        profile_stale: false,
        contract: None,
        missing_fields: vec![],
        created_at: connection.created_at,
        ending: tombstone.map(|stone| Ending { at: stone.revoked_at, by: stone.revoked_by, reason: stone.reason }),
    })
}

/// Fields of a contract for which the vault holds no value; optional ones are no lack.
fn missing(step: &Step<'_>, contract: &Contract) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    for wanted in contract.fields.iter().filter(|field| field.tier != Tier::Optional) {
        if field::get(&step.draft, &wanted.field)?.is_none() {
            missing.push(wanted.field.clone());
        }
    }
    Ok(missing)
}
