//! The owner's commands about calls.

use super::texts::{Texts, Who};
use super::{
    Brought, PAST, PAST_COUNTER, Past, code_of, current, detail, find_past, follow, line, live_view, name, note,
    past_view, put_line,
};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::numbered;
use crate::step::Step;
use vettid_core::call::{Effect, Line, Refused};
use vettid_wire::call::{
    AddCandidates, CallDetail, CallList, CallRef, CallView, ListCalls, MAX_LISTED, PlaceCall, TakeCall,
};
use vettid_wire::connection::PeerKind;
use vettid_wire::event::{EventRow, PlaceCall as PlaceRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::refusal::RefusalCode;

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

const OWNER: &str = "app";

/// A connected member.
pub(crate) fn member(step: &Step<'_>, id: ConnectionId) -> Answered<Connection> {
    let Some(found) = connection::get(&step.draft, id)? else { return Ok(Err(RefusalCode::NotFound)) };
    Ok(match found.kind {
        _ if !found.is_active() => Err(RefusalCode::NotConnected),
        PeerKind::Member => Ok(found),
        PeerKind::Service => Err(RefusalCode::NotAllowed),
    })
}

/// `call.offer`.
pub fn place(step: &mut Step<'_>, asked: PlaceCall) -> Answered<CallView> {
    if let Err(code) = member(step, asked.connection_id)? {
        return Ok(Err(code));
    }
    if find_past(&step.draft, asked.call_id)?.is_some() {
        return Ok(Err(RefusalCode::Conflict));
    }
    let (now, id, to) = (step.now, asked.call_id, asked.connection_id);
    let brought = Brought { who: Who::Own, texts: Texts { description: Some(asked.description), candidates: vec![] } };
    let placed = act(step, id, Some(brought), |line| line.place(now, id, to))?;
    if placed.is_ok() {
        let summary = format!("You called {}", name(step, to)?);
        note(step, &PlaceRow::ROW, to, (Severity::Info, Outcome::Pending), summary)?;
    }
    Ok(placed)
}

/// `call.answer`.
pub fn take(step: &mut Step<'_>, asked: TakeCall) -> Answered<CallView> {
    let (now, id) = (step.now, asked.call_id);
    let brought = Brought { who: Who::Own, texts: Texts { description: Some(asked.description), candidates: vec![] } };
    act(step, id, Some(brought), |line| line.answer(now, id))
}

/// `call.decline` and `call.hang_up`: of a call that is over nothing has to be ended.
pub fn hang_up(step: &mut Step<'_>, asked: &CallRef) -> Answered<CallView> {
    let (now, id) = (step.now, asked.call_id);
    if let Some(past) = find_past(&step.draft, id)? {
        return Ok(Ok(past_view(step, &past)?));
    }
    act(step, id, None, |line| line.hang_up(now, id))
}

/// `call.candidates`.
pub fn add_candidates(step: &mut Step<'_>, asked: AddCandidates) -> Answered<CallView> {
    if asked.candidates.is_empty() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let id = asked.call_id;
    let fresh = step.fleeting.call.fresh(id, Who::Own, Texts::of(asked.candidates));
    let load = fresh.load();
    act(step, id, Some(Brought { who: Who::Own, texts: fresh }), |line| line.add_candidates(id, load))
}

/// Changes the line for the owner, and shows the call as it is then.
fn act(
    step: &mut Step<'_>,
    id: CallId,
    brought: Option<Brought>,
    change: impl FnOnce(&mut Line) -> Result<Vec<Effect>, Refused>,
) -> Answered<CallView> {
    let before = current(step)?;
    let mut after = before.clone();
    let effects = match change(&mut after) {
        Ok(effects) => effects,
        Err(refused) => return Ok(Err(code_of(refused))),
    };
    put_line(step, &before, &after)?;
    follow(step, &after, effects, brought, OWNER)?;
    if let Some(call) = after.live().filter(|call| call.call_id == id) {
        return Ok(Ok(live_view(step, call)?));
    }
    Ok(match find_past(&step.draft, id)? {
        Some(past) => Ok(past_view(step, &past)?),
        None => Err(RefusalCode::NotFound),
    })
}

/// `call.get`.
pub fn get(step: &Step<'_>, asked: &CallRef) -> Answered<CallDetail> {
    let line = line(&step.draft)?;
    if let Some(call) = line.live().filter(|call| call.call_id == asked.call_id) {
        return Ok(Ok(detail(step, call)?));
    }
    Ok(match find_past(&step.draft, asked.call_id)? {
        Some(past) => Ok(CallDetail { call: past_view(step, &past)?, description: None, candidates: vec![] }),
        None => Err(RefusalCode::NotFound),
    })
}

/// `call.list`: the call that is on, and those that are over.
pub fn list(step: &Step<'_>, asked: &ListCalls) -> Answered<CallList> {
    let limit = usize::try_from(asked.limit.min(MAX_LISTED)).unwrap_or(0);
    let fits = |id: ConnectionId| asked.connection_id.is_none_or(|wanted| wanted == id);
    let line = line(&step.draft)?;
    let mut calls = Vec::new();
    if let Some(call) = line.live().filter(|call| fits(call.connection_id)) {
        calls.push(live_view(step, call)?);
    }
    for number in (1..=step.draft.counted(PAST_COUNTER)?).rev() {
        if calls.len() >= limit {
            break;
        }
        let Some(past) = step.draft.get::<Past>(&numbered(PAST, number))? else { break };
        if fits(past.connection_id) {
            calls.push(past_view(step, &past)?);
        }
    }
    calls.truncate(limit);
    Ok(Ok(CallList { calls }))
}
