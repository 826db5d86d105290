//! Connections as their owner sees them.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::field;
use crate::step::Step;
use vettid_crypto::identity::safety_number;
use vettid_wire::connection::{ConnectionList, ConnectionState, ConnectionView, Verification};
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

/// Every connection.
pub fn all(step: &Step<'_>) -> Result<Result<ConnectionList, RefusalCode>, Failure> {
    let connections = connection::all(&step.draft)?;
    let views: Result<_, _> = connections.iter().map(|connection| of(step, connection)).collect();
    Ok(Ok(ConnectionList { connections: views? }))
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
    Ok(Ok(of(step, &connection)?))
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
        connection_id: id,
        kind: connection.kind,
        state: connection.state,
        verification: connection.verification,
        display_name: connection.display_name.clone(),
        peer: peer.map(|_| connection.peer_guid()),
        service_id: connection.service_id().cloned(),
        peer_fingerprint: peer.map(|peer| peer.fingerprint),
        safety_number: peer.map(|peer| safety_number(&own, &peer.fingerprint)),
        symbols: connection.symbols.clone(),
        profile: peer.filter(|_| connection.state != ConnectionState::Revoked).map(|peer| peer.profile.clone()),
        missing_fields: contract.as_ref().map_or(Ok(Vec::new()), |contract| missing(step, contract))?,
        contract,
        created_at: connection.created_at,
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
