//! The vault's count of what each connection asked its owner of late. Every request that wants the owner's word counts here,
//! whatever it is for; who floods learns no more than that the limit is reached.

use crate::feed::Note;
use crate::projection::UnreadableState;
use crate::step::Step;
use vettid_core::flood::Flood;
use vettid_wire::auth::Decision;
use vettid_wire::event::EventType;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::refusal::RefusalCode;

fn key(id: ConnectionId) -> String {
    format!("flood/{id}")
}

fn get(step: &Step<'_>, id: ConnectionId) -> Result<Flood, UnreadableState> {
    Ok(step.draft.get(&key(id))?.unwrap_or_default())
}

fn put(step: &mut Step<'_>, id: ConnectionId, mut flood: Flood) -> Result<(), UnreadableState> {
    if flood.is_idle(step.now) {
        step.draft.remove(&key(id));
        return Ok(());
    }
    step.draft.put(key(id), &flood)
}

/// Counts a new request, or refuses it.
pub fn admit(
    step: &mut Step<'_>,
    id: ConnectionId,
    request: RequestId,
) -> Result<Result<(), RefusalCode>, UnreadableState> {
    let mut flood = get(step, id)?;
    if flood.admit(step.now, request).is_err() {
        return Ok(Err(RefusalCode::RateLimited));
    }
    put(step, id, flood).map(Ok)
}

/// Counts what the owner said, and tells the owner if the connection is silent from now on.
pub fn decided(
    step: &mut Step<'_>,
    (id, name): (ConnectionId, &str),
    event_type: &EventType,
    (request, decision): (RequestId, Decision),
) -> Result<(), UnreadableState> {
    let mut flood = get(step, id)?;
    let silent_until = flood.decided(step.now, request, decision);
    put(step, id, flood)?;
    let Some(until) = silent_until else { return Ok(()) };
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(id),
        request_id: Some(request),
        severity: Severity::Notice,
        outcome: Outcome::Denied,
        summary: format!("{name} asks you nothing until {until}: you said no three times"),
    })
}
