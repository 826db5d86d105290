//! The vault's count of what each connection asked its owner of late (spec 2.14), logins and every other question together.
//! What a rule decided counts nothing; who floods learns no more than that the limit is reached.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::request::Waiting;
use crate::step::Step;
use vettid_core::flood::Flood;
use vettid_handlers::shown;
use vettid_wire::auth::Decision;
use vettid_wire::event::Nothing;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

const PREFIX: &str = "flood/";

fn key(id: ConnectionId) -> String {
    format!("{PREFIX}{id}")
}

/// Counts a question that is about to wait for the owner, or refuses it; refused ones are not counted.
pub fn admit(draft: &mut Draft<'_>, waiting: &Waiting) -> Result<Result<(), RefusalCode>, UnreadableState> {
    let key = key(waiting.shown.connection_id);
    let mut flood: Flood = draft.get(&key)?.unwrap_or_default();
    if flood.admit(waiting.shown.received_at, waiting.request_id).is_err() {
        return Ok(Err(RefusalCode::RateLimited));
    }
    draft.put(key, &flood)?;
    Ok(Ok(()))
}

/// Counts what the owner said, and tells the owner if the connection is silent from now on.
pub fn decided(step: &mut Step<'_>, waiting: &Waiting, decision: Decision) -> Result<(), UnreadableState> {
    let key = key(waiting.shown.connection_id);
    let mut flood: Flood = step.draft.get(&key)?.unwrap_or_default();
    let silent_until = flood.decided(step.now, waiting.request_id, decision);
    if flood.is_idle(step.now) {
        step.draft.remove(&key);
    } else {
        step.draft.put(key, &flood)?;
    }
    let Some(until) = silent_until else { return Ok(()) };
    let name = shown::name(&waiting.shown.display_name);
    step.tell(Note {
        event_type: waiting.event_type.clone(),
        connection_id: Some(waiting.shown.connection_id),
        request_id: Some(waiting.shown.request_id),
        severity: Severity::Warning,
        outcome: Outcome::Denied,
        summary: format!("{name} is silent until {until}: you said no three times"),
    })
}

/// Owner's command: a connection may ask again.
pub fn unmute(step: &mut Step<'_>, id: ConnectionId) -> Result<Result<Nothing, RefusalCode>, Failure> {
    if connection::get(&step.draft, id)?.filter(Connection::is_active).is_none() {
        return Ok(Err(RefusalCode::NotFound));
    }
    forget(&mut step.draft, id);
    Ok(Ok(Nothing {}))
}

/// Forgets counters that count nothing any more.
pub fn tick(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    for key in step.draft.keys(PREFIX, usize::MAX) {
        let idle = step.draft.get::<Flood>(&key)?.is_none_or(|mut flood| flood.is_idle(step.now));
        if idle {
            step.draft.remove(&key);
        }
    }
    Ok(())
}

/// Forgets the counter of a connection.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&key(id));
}
