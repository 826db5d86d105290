//! Events of peers that wait for their owner: asked once, answered when the owner decided or the time was over.

use super::actor;
use super::handling::{answer_with, context, handle};
use super::outcome::Done;
use crate::authorisation;
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::login;
use crate::mark::{self, StoredAnswer};
use crate::projection::UnreadableState;
use crate::request::{self, Waiting};
use crate::rule::ruling::Ruling;
use crate::send;
use crate::service::{batch, given};
use crate::step::{Savepoint, Step};
use serde_json::{Value, json};
use vettid_core::channel::{in_reply_to, in_reply_to_canonical};
use vettid_core::contract;
use vettid_core::login::Login;
use vettid_handler::event::{Answer, Context, Decided, Event, answer_row};
use vettid_handler::reply::Question;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::auth::Decision;
use vettid_wire::contract::Tier;
use vettid_wire::event::{self, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::PendingRequest;
use vettid_wire::rule::Ruled;

/// How the member was recognised where a rule answered: by a key in software, not by being there (RFC 8176).
pub(crate) const BY_RULE: &str = "swk";

/// Lets the event wait for the owner. A repeated question asks nobody a second time: it gets what the first one got.
pub(super) fn ask_owner(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    question: Question,
    before: Savepoint,
    ruling: &Ruling,
) -> Result<Result<Done, RefusalCode>, Failure> {
    if let Some(known) = request::get(&step.draft, connection.connection_id, question.request_id)? {
        step.roll_back(before);
        let same = known.event_type == context.event_type && known.payload == event.payload;
        return if same { again(step, connection, context, event, known) } else { Ok(Err(RefusalCode::Conflict)) };
    }
    let login = match begun(step, context, event)? {
        Ok(login) => login,
        Err(code) => {
            step.roll_back(before);
            return Ok(Err(code));
        }
    };
    let mut waiting = waiting(step, connection, context, event, &question)?;
    waiting.shown.login = login.as_ref().map(Login::check);
    if let Some((decision, ruled)) = ruling.answer() {
        step.roll_back(before);
        ruling.count(step)?;
        if let Err(code) = by_rule(step, &waiting, login, decision)? {
            return Ok(Err(code));
        }
        return answer_by_rule(step, connection, context, waiting, decision, ruled);
    }
    ruling.count(step)?;
    if let Err(code) = request::add(&mut step.draft, &waiting)? {
        step.roll_back(before);
        return Ok(Err(code));
    }
    if let Some(login) = login {
        login::put(&mut step.draft, (connection.connection_id, waiting.request_id), &login)?;
        login::warn(step, connection, &waiting, &login)?;
    }
    match question.interim {
        Some(body) => answer_with(step, connection, context, event, vjson::parse(&body)?).map(Ok),
        None => Ok(Ok(Done::Quiet)),
    }
}

/// The login that the event asks for, if it asks for one.
fn begun(step: &mut Step<'_>, context: &Context, event: &Event) -> Result<Result<Option<Login>, RefusalCode>, Failure> {
    if !login::is_login(&context.event_type) {
        return Ok(Ok(None));
    }
    Ok(login::begin(step, &event.payload)?.map(Some))
}

/// A rule approves no login but one from a known browser.
fn by_rule(
    step: &mut Step<'_>,
    waiting: &Waiting,
    login: Option<Login>,
    decision: Decision,
) -> Result<Result<(), RefusalCode>, Failure> {
    let Some(mut login) = login else { return Ok(Ok(())) };
    if decision == Decision::Approve
        && let Err(code) = login.approve_by_rule()
    {
        return Ok(Err(code));
    }
    let connection = waiting.shown.connection_id;
    if decision == Decision::Approve {
        login::used(&mut step.draft, step.now, (connection, &login))?;
    }
    login::put(&mut step.draft, (connection, waiting.request_id), &login)?;
    Ok(Ok(()))
}

/// Handles the event again with the answer that rules give, and keeps the question as one that was decided.
fn answer_by_rule(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    waiting: Waiting,
    decision: Decision,
    ruled: &Ruled,
) -> Result<Result<Done, RefusalCode>, Failure> {
    let decided = Decided { decision, decided_at: step.now, method: vec![BY_RULE.into()] };
    let context = Context { answer: Some(Answer::Decided(decided)), ..context.clone() };
    let body = vjson::parse(&waiting.payload)?;
    let before = step.savepoint();
    let done = match handle(step, connection, &context, &body, &Ruling::None)? {
        Ok(done) => done,
        Err(code) => return Ok(Err(code)),
    };
    let answer = match &done {
        Done::Answered(answer) => Some(answer.clone()),
        Done::Quiet | Done::Passing => None,
    };
    let waiting = Waiting { answer, is_decided: true, ..waiting };
    if let Err(code) = request::add(&mut step.draft, &waiting)? {
        step.roll_back(before);
        return Ok(Err(code));
    }
    tell_rule(step, &waiting, decision, ruled)?;
    Ok(Ok(done))
}

fn tell_rule(step: &mut Step<'_>, waiting: &Waiting, decision: Decision, ruled: &Ruled) -> Result<(), UnreadableState> {
    let names: Vec<_> = ruled.rules.iter().map(ToString::to_string).collect();
    let (outcome, verb) = match decision {
        Decision::Approve => (Outcome::Approved, "approved"),
        Decision::Deny => (Outcome::Denied, "denied"),
    };
    let (rule, event_type, who) = (names.join(", "), &waiting.event_type, &waiting.shown.display_name);
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(waiting.shown.connection_id),
        request_id: Some(waiting.shown.request_id),
        severity: Severity::Info,
        outcome,
        summary: format!("Your rule {rule} {verb} {event_type} of {who}"),
    })
}

fn waiting(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    question: &Question,
) -> Result<Waiting, Failure> {
    // The owner names a question by its id alone, so no two open ones may share it.
    let taken = request::shown_as(&step.draft, question.request_id)?.is_some();
    let shown_id = if taken { RequestId::v7(step.now, step.random()) } else { question.request_id };
    let shown = PendingRequest {
        request_id: shown_id,
        connection_id: connection.connection_id,
        display_name: connection.display_name.clone(),
        ask: question.ask.clone(),
        login: None,
        received_at: step.now,
        expires_at: question.expires_at,
    };
    let row = answer_row(context.lane, &context.event_type);
    let interim = match question.interim.as_ref().zip(row) {
        Some((body, row)) => Some(StoredAnswer { event_type: row.event_type(), body: vjson::parse(body)? }),
        None => None,
    };
    Ok(Waiting {
        shown,
        request_id: question.request_id,
        event_id: context.event_id,
        event_type: context.event_type.clone(),
        lane: context.lane,
        payload: event.payload.clone(),
        answer: interim,
        is_decided: false,
        fields: vec![],
    })
}

/// The answer to a repeated question: the interim one while it waits, then the one that the owner's decision led to.
fn again(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    known: Waiting,
) -> Result<Result<Done, RefusalCode>, Failure> {
    let Some(answer) = known.answer else {
        return Ok(Ok(Done::Quiet));
    };
    if let Err(code) = given::may_be_had_again(step, connection.connection_id, &answer)? {
        return Ok(Err(code));
    }
    if let Some(row) = send::row_to(connection.kind, &answer.event_type) {
        // The same answer, to an event of its own: the proof is for that one.
        let question = in_reply_to_canonical(context.event_id, &event.payload);
        let body = send::proven(step, connection, row, answer.body, &question)?;
        send::to_peer(step, connection, row, &body, Some(question))?;
        return Ok(Ok(Done::Answered(StoredAnswer { event_type: answer.event_type, body })));
    }
    Ok(Ok(Done::Answered(answer)))
}

/// Handles a waiting event again, now with the owner's answer or its absence. The question is kept until its end.
pub fn resume(step: &mut Step<'_>, waiting: &Waiting, answer: Answer) -> Result<Result<(), RefusalCode>, Failure> {
    if authorisation::is_one(&waiting.event_type) {
        return authorisation::resume(step, waiting);
    }
    if batch::is_one(&waiting.event_type) {
        return match answer {
            Answer::Expired => batch::expire(step, waiting),
            // The owner says yes field by field.
            Answer::Decided(_) => Ok(Err(RefusalCode::NotAllowed)),
        };
    }
    let found = connection::get(&step.draft, waiting.shown.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else {
        request::remove(&mut step.draft, waiting);
        return Ok(Err(RefusalCode::NotConnected));
    };
    let body = vjson::parse(&waiting.payload)?;
    let tier = waiting_tier(step, &connection, waiting, &body)?;
    let context = context(step, &connection, waiting.lane, waiting.event_id, &waiting.event_type, tier, Some(answer))?;
    let done = if is_spent(step, &connection, waiting, &body)? {
        Err(RefusalCode::Spent)
    } else {
        handle(step, &connection, &context, &body, &Ruling::None)?
    };
    let (answer, code) = match done {
        Ok(Done::Answered(answer)) => (Some(answer), None),
        Ok(Done::Quiet | Done::Passing) => (None, None),
        Err(code) => (refuse_resumed(step, &connection, waiting, &body, code)?, Some(code)),
    };
    if let Some(answer) = &answer {
        mark::answer(&mut step.draft, &connection.connection_id.to_string(), waiting.event_id, answer.clone())?;
    }
    request::put(&mut step.draft, &Waiting { answer, is_decided: true, ..waiting.clone() })?;
    audit_resumed(step, &connection, waiting, code)?;
    step.channels.store(&mut step.draft, ChannelName::Connection(connection.connection_id))?;
    Ok(code.map_or(Ok(()), Err))
}

/// Ends whatever of a connection waits for the owner; the peer is told why.
pub(crate) fn end_waiting(step: &mut Step<'_>, connection: &Connection, code: RefusalCode) -> Result<(), Failure> {
    for waiting in request::of_connection(&step.draft, connection.connection_id)?.iter().filter(|w| w.is_open()) {
        let body = vjson::parse(&waiting.payload)?;
        let answer = refuse_resumed(step, connection, waiting, &body, code)?;
        if let Some(answer) = &answer {
            mark::answer(&mut step.draft, &connection.connection_id.to_string(), waiting.event_id, answer.clone())?;
        }
        request::put(&mut step.draft, &Waiting { answer, is_decided: true, ..waiting.clone() })?;
        audit_resumed(step, connection, waiting, Some(code))?;
    }
    Ok(())
}

fn refuse_resumed(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    body: &Value,
    code: RefusalCode,
) -> Result<Option<StoredAnswer>, Failure> {
    let question = in_reply_to(waiting.event_id, body)?;
    send::refuse(step, connection, (waiting.event_id, &waiting.event_type), (code, None), Some(question))
}

fn audit_resumed(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    code: Option<RefusalCode>,
) -> Result<(), Failure> {
    let outcome = if code.is_none() { AuditOutcome::Success } else { AuditOutcome::Refused };
    let detail = json!({"event_id": waiting.event_id, "request_id": waiting.shown.request_id, "refusal": code});
    step.audit(&actor(connection), &waiting.event_type, outcome, detail)?;
    Ok(())
}

/// Another request for the same field was answered while this one waited.
fn is_spent(
    step: &Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    body: &Value,
) -> Result<bool, UnreadableState> {
    let field = body.get("field").and_then(Value::as_str);
    let Some(field) = field.filter(|_| waiting.event_type == event::DataRequest::ROW.event_type()) else {
        return Ok(false);
    };
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let spent = connection::spent(&step.draft, connection.connection_id)?;
    Ok(accepted.is_some_and(|accepted| spent.covers(&accepted, field)))
}

fn waiting_tier(
    step: &Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    body: &Value,
) -> Result<Option<Tier>, Failure> {
    if waiting.event_type != event::DataRequest::ROW.event_type() {
        return Ok(None);
    }
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let field = body.get("field").and_then(Value::as_str).unwrap_or_default();
    // Whatever was asked about is only handed out on a yes, also where a rule had it asked and not the contract.
    Ok(accepted.filter(|accepted| contract::may_read(accepted, field)).map(|_| Tier::Consent))
}
