//! Calls with connected members: the line of the core as it is stored, and what follows from each event. What the apps say to each
//! other is never stored, logged or audited.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use texts::{Texts, Who};
use vettid_core::call::{Call, Effect, Ended, Line, Phase, Refused, Say, Unheard};
use vettid_handlers::shown;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::call::{
    AddCandidates, CallAnswer, CallDetail, CallEnd, CallOffer, CallRef, CallState, CallView, EndReason,
};
use vettid_wire::event::{self, EventRow, Row};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

pub mod command;
pub mod peer;
mod sentence;
pub mod settings;
pub mod texts;

const LINE: &str = "call_line";
const PAST: &str = "call_past/";
const PAST_BY_ID: &str = "call_past_number/";
const PAST_COUNTER: &str = "call_past";
/// Most calls that are remembered; of older ones the feed tells.
const MAX_PAST: u64 = 500;

/// A call that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Past {
    call_id: CallId,
    connection_id: ConnectionId,
    is_outgoing: bool,
    placed_at: Timestamp,
    connected_at: Option<Timestamp>,
    ended_at: Timestamp,
    reason: EndReason,
}

/// What an event says of the apps, and of which side.
#[derive(Debug)]
struct Brought {
    who: Who,
    texts: Texts,
}

fn line(draft: &Draft<'_>) -> Result<Line, UnreadableState> {
    Ok(draft.get(LINE)?.unwrap_or_default())
}

/// Stores the line if it changed.
fn put_line(step: &mut Step<'_>, before: &Line, after: &Line) -> Result<(), UnreadableState> {
    if before == after {
        return Ok(());
    }
    if after.is_idle() {
        step.draft.remove(LINE);
        return Ok(());
    }
    step.draft.put(LINE.into(), after)
}

/// What a refusal of the line is to whoever asked.
fn code_of(refused: Refused) -> RefusalCode {
    match refused {
        Refused::Busy | Refused::NotNow => RefusalCode::NotAllowed,
        Refused::Unknown => RefusalCode::NotFound,
        Refused::TooMuch => RefusalCode::InvalidRequest,
    }
}

/// Time passed.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let before = line(&step.draft)?;
    if before.is_idle() {
        step.fleeting.call.wipe_all_but(None);
        return Ok(());
    }
    let mut after = current(step)?;
    let effects = after.tick(step.now);
    put_line(step, &before, &after)?;
    follow(step, &after, effects, None, "vault")
}

/// Whether a call is on, or was a moment ago.
pub fn is_on(draft: &Draft<'_>) -> Result<bool, UnreadableState> {
    Ok(!line(draft)?.is_idle())
}

/// A connection ended, and with it its call and what was set for it.
pub fn cut(step: &mut Step<'_>, id: ConnectionId) -> Result<(), Failure> {
    settings::forget(&mut step.draft, id);
    let before = line(&step.draft)?;
    let mut after = before.clone();
    let effects = after.cut(id);
    put_line(step, &before, &after)?;
    follow(step, &after, effects, None, "vault")
}

/// The line as it is after a restart: what the apps said is gone, and with it a call that was not connected.
fn current(step: &mut Step<'_>) -> Result<Line, Failure> {
    let before = line(&step.draft)?;
    let mut after = before.clone();
    let lost = after.live().is_some_and(|call| !step.fleeting.call.holds(call.call_id));
    if lost {
        let effects = after.forget_texts(step.now);
        put_line(step, &before, &after)?;
        follow(step, &after, effects, None, "vault")?;
    }
    Ok(after)
}

/// Does what follows, and tells the app how the call stands now.
fn follow(
    step: &mut Step<'_>,
    line: &Line,
    effects: Vec<Effect>,
    brought: Option<Brought>,
    actor: &str,
) -> Result<(), Failure> {
    let mut changed = false;
    let new = brought.as_ref().map(|brought| brought.texts.clone()).unwrap_or_default();
    let mut brought = brought;
    for effect in effects {
        changed |= !matches!(effect, Effect::Say(..));
        match effect {
            Effect::Say(connection, id, said) => say(step, (connection, id), said, &new)?,
            Effect::Keep => keep(step, line, brought.take()),
            Effect::Ring => ring(step, line)?,
            Effect::Missed(connection, id, at, why) => missed(step, (connection, id, at), why)?,
            Effect::Connected => {}
            Effect::Ended(ended) => over(step, &ended, actor)?,
        }
    }
    step.fleeting.call.wipe_all_but(line.live().map(|call| call.call_id));
    if changed && let Some(call) = line.live() {
        show(step, call)?;
    }
    Ok(())
}

fn keep(step: &mut Step<'_>, line: &Line, brought: Option<Brought>) {
    if let (Some(call), Some(brought)) = (line.live(), brought) {
        step.fleeting.call.keep(call.call_id, brought.who, brought.texts);
    }
}

/// Tells the other side, if there is still a way to it.
fn say(step: &mut Step<'_>, (connection, id): (ConnectionId, CallId), said: Say, new: &Texts) -> Result<(), Failure> {
    let Some(connection) = connection::get(&step.draft, connection)?.filter(Connection::is_active) else {
        return Ok(());
    };
    let own = step.fleeting.call.of(id, Who::Own);
    let named = CallRef { call_id: id };
    let candidates = |candidates| AddCandidates { call_id: id, candidates };
    match (said, own.description) {
        (Say::Offer(placed_at), Some(description)) => {
            let body = CallOffer { call_id: id, placed_at, description, candidates: own.candidates };
            tell(step, &connection, &event::CallOffer::ROW, &body)
        }
        (Say::Answer(answered_at), Some(description)) => {
            let body = CallAnswer { call_id: id, answered_at, description, candidates: own.candidates };
            tell(step, &connection, &event::CallAnswer::ROW, &body)
        }
        // Without a description there is nothing to say: what got lost ends with the next tick.
        (Say::Offer(_) | Say::Answer(_), None) => Ok(()),
        (Say::Ringing, _) => tell(step, &connection, &event::CallRinging::ROW, &named),
        (Say::Connected, _) => tell(step, &connection, &event::CallConnected::ROW, &named),
        (Say::AllCandidates, _) => tell(step, &connection, &event::CallCandidates::ROW, &candidates(own.candidates)),
        (Say::NewCandidates, _) => {
            tell(step, &connection, &event::CallCandidates::ROW, &candidates(new.candidates.clone()))
        }
        (Say::End(reason, unheard_at), _) => {
            tell(step, &connection, &event::CallEnd::ROW, &CallEnd { call_id: id, reason, unheard_at })
        }
    }
}

fn tell(step: &mut Step<'_>, connection: &Connection, row: &Row, body: &impl Serialize) -> Result<(), Failure> {
    send::to_peer(step, connection, row, body, None)?;
    Ok(())
}

fn ring(step: &mut Step<'_>, line: &Line) -> Result<(), Failure> {
    let Some(call) = line.live() else { return Ok(()) };
    let summary = format!("{} is calling", name(step, call.connection_id)?);
    note(step, &event::CallOffer::ROW, call.connection_id, (Severity::Notice, Outcome::Pending), summary)
}

/// The owner was called, and nothing rang. What is in the list already is told already.
fn missed(
    step: &mut Step<'_>,
    (connection_id, call_id, placed_at): (ConnectionId, CallId, Timestamp),
    why: Unheard,
) -> Result<(), Failure> {
    if step.draft.has(&format!("{PAST_BY_ID}{call_id}")) {
        return Ok(());
    }
    let reason = match why {
        Unheard::Busy => EndReason::Busy,
        Unheard::Late => EndReason::TimedOut,
        Unheard::Quiet => EndReason::NotReachable,
    };
    let past =
        Past { call_id, connection_id, is_outgoing: false, placed_at, connected_at: None, ended_at: step.now, reason };
    put_past(step, &past)?;
    let summary = sentence::missed(&name(step, connection_id)?, why, placed_at);
    note(step, &event::CallOffer::ROW, connection_id, (Severity::Notice, Outcome::Done), summary)
}

/// A call is over: list, feed, audit, app.
fn over(step: &mut Step<'_>, ended: &Ended, actor: &str) -> Result<(), Failure> {
    let Ended { call, reason, .. } = ended;
    let past = Past {
        call_id: call.call_id,
        connection_id: call.connection_id,
        is_outgoing: call.is_outgoing,
        placed_at: call.placed_at,
        connected_at: call.connected_at,
        ended_at: step.now,
        reason: *reason,
    };
    put_past(step, &past)?;
    let lasted_ms = call.connected_at.map(|at| step.now.since_ms(at));
    let detail = json!({"call_id": call.call_id, "connection_id": call.connection_id, "outgoing": call.is_outgoing,
        "reason": reason, "lasted_ms": lasted_ms});
    step.audit(actor, &event::CallEnd::ROW.event_type(), AuditOutcome::Success, detail)?;
    let (severity, summary) = sentence::ended(&name(step, call.connection_id)?, ended, lasted_ms);
    note(step, &event::CallEnd::ROW, call.connection_id, (severity, Outcome::Done), summary)?;
    let view = past_view(step, &past)?;
    send::push::<event::CallChanged>(step, CallDetail { call: view, description: None, candidates: vec![] })
}

fn note(
    step: &mut Step<'_>,
    row: &Row,
    connection_id: ConnectionId,
    (severity, outcome): (Severity, Outcome),
    summary: String,
) -> Result<(), Failure> {
    let (event_type, connection_id) = (row.event_type(), Some(connection_id));
    step.tell(Note { event_type, connection_id, request_id: None, severity, outcome, summary })?;
    Ok(())
}

/// Tells the app how the call stands, with everything the other side's app said.
fn show(step: &mut Step<'_>, call: &Call) -> Result<(), Failure> {
    let detail = detail(step, call)?;
    send::push::<event::CallChanged>(step, detail)
}

fn detail(step: &Step<'_>, call: &Call) -> Result<CallDetail, Failure> {
    let Texts { description, candidates } = step.fleeting.call.of(call.call_id, Who::Peer);
    Ok(CallDetail { call: live_view(step, call)?, description, candidates })
}

fn live_view(step: &Step<'_>, call: &Call) -> Result<CallView, Failure> {
    let state = match call.phase {
        Phase::Calling { reached: false } => CallState::Calling,
        Phase::Calling { reached: true } => CallState::RingingThere,
        Phase::Ringing => CallState::Ringing,
        Phase::Answered => CallState::Answered,
        Phase::Connected => CallState::Connected,
    };
    Ok(CallView {
        call_id: call.call_id,
        connection_id: call.connection_id,
        display_name: name(step, call.connection_id)?,
        is_outgoing: call.is_outgoing,
        state,
        placed_at: call.placed_at,
        connected_at: call.connected_at,
        ended_at: None,
        reason: None,
    })
}

fn past_view(step: &Step<'_>, past: &Past) -> Result<CallView, Failure> {
    Ok(CallView {
        call_id: past.call_id,
        connection_id: past.connection_id,
        display_name: name(step, past.connection_id)?,
        is_outgoing: past.is_outgoing,
        state: CallState::Ended,
        placed_at: past.placed_at,
        connected_at: past.connected_at,
        ended_at: Some(past.ended_at),
        reason: Some(past.reason),
    })
}

fn put_past(step: &mut Step<'_>, past: &Past) -> Result<(), UnreadableState> {
    let number = step.draft.count(PAST_COUNTER)?;
    step.draft.put(numbered(PAST, number), past)?;
    step.draft.put(format!("{PAST_BY_ID}{}", past.call_id), &number)?;
    let oldest = number.checked_sub(MAX_PAST).map(|number| numbered(PAST, number));
    if let Some(key) = oldest
        && let Some(old) = step.draft.get::<Past>(&key)?
    {
        step.draft.remove(&format!("{PAST_BY_ID}{}", old.call_id));
        step.draft.remove(&key);
    }
    Ok(())
}

fn find_past(draft: &Draft<'_>, id: CallId) -> Result<Option<Past>, UnreadableState> {
    match draft.get::<u64>(&format!("{PAST_BY_ID}{id}"))? {
        Some(number) => draft.get(&numbered(PAST, number)),
        None => Ok(None),
    }
}

/// The name of a connection as part of a sentence.
fn name(step: &Step<'_>, id: ConnectionId) -> Result<String, UnreadableState> {
    let found = connection::get(&step.draft, id)?;
    Ok(shown::name(&found.map_or_else(String::new, |connection| connection.display_name)))
}
