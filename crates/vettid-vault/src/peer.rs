//! Events of connections and services. The order of the checks is fixed: keys, replay, row, time, contract, handler.
//! Nothing happens for a sender that is not an active connection; an authenticated sender is told why.

use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::handler_host::{FieldAuthority, HandlerHost};
use crate::mark::{self, Mark, Seen, StoredAnswer};
use crate::request::{self, Waiting};
use crate::revocation;
use crate::send;
use crate::step::{Savepoint, Step};
use serde_json::{Value, json};
use vettid_core::allowance::Room;
use vettid_core::channel::{body_hash, in_reply_to};
use vettid_core::contract::{self, Buckets};
use vettid_core::window::Freshness;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context as SignatureContext};
use vettid_handler::event::{Answer, Context, Event, Peer, Service, answer_row};
use vettid_handler::reply::{HandlerError, Question, Reply};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::data::DataRequest;
use vettid_wire::envelope::{Content, Envelope, InReplyTo};
use vettid_wire::event::{self, Delivery, EventRow, EventType, Lane, Row};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{EventId, RequestId};
use vettid_wire::refusal::{EventRefused, RefusalCode};
use vettid_wire::request::PendingRequest;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;
use vettid_wire::{auth, json as vjson};

/// Clocks may differ by this much, in milliseconds.
pub const MAX_SKEW_MS: i64 = 120_000;

/// One event of a peer, opened.
struct Arrived {
    event_id: EventId,
    event_type: EventType,
    sealed_at: Timestamp,
    lane: Lane,
    content: Content<Value>,
    body_hash: Base64Url,
    question: InReplyTo,
    /// Bytes on the wire.
    size: u64,
}

/// Whether an envelope was one of an active connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It opened under the keys of its connection.
    Yes,
    /// It did not, for whatever reason.
    No,
}

/// What is done with an event that passed.
enum Done {
    /// No answer is due.
    Quiet,
    /// This is the answer.
    Answered(StoredAnswer),
}

/// Takes up one envelope that arrived on a connection's or service's subject.
///
/// `size` is that of the envelope on the wire, in bytes.
pub fn receive(
    step: &mut Step<'_>,
    lane: Lane,
    subject: &Subject,
    envelope: &Envelope,
    size: u64,
) -> Result<Opened, Failure> {
    let Some(connection) = sender(step, subject, envelope)? else {
        return Ok(Opened::No);
    };
    let name = ChannelName::Connection(connection.connection_id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        return Ok(Opened::No);
    };
    let Ok(opened) = channel.open(subject, envelope) else {
        return Ok(Opened::No);
    };
    let allowance = *channel.allowance();
    let hash = body_hash(&opened.content.body)?;
    let arrived = Arrived {
        event_id: envelope.event_id,
        event_type: envelope.event_type.clone(),
        sealed_at: envelope.timestamp,
        lane,
        question: in_reply_to(envelope.event_id, &opened.content.body)?,
        content: opened.content,
        body_hash: hash,
        size,
    };
    // While the key confirmation is under way, what overtook it comes again.
    let overtook = !connection.is_active() && arrived.event_type != event::ConnectionReady::ROW.event_type();
    let handled = if overtook { Err(Failure::Retry) } else { take_up(step, &connection, &arrived, opened.freshness) };
    if let Err(failure) = &handled
        && let Some(channel) = step.channels.get(&step.draft, name)?
    {
        if opened.freshness == Freshness::New {
            channel.unmark(opened.sequence);
        }
        if !matches!(failure, Failure::Wait(_)) {
            // It was counted and will be once more when it comes again.
            *channel.allowance() = allowance;
        }
    }
    handled.map(|()| Opened::Yes)
}

/// The connection that may use this subject with these keys, if it is active.
fn sender(step: &Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<Option<Connection>, Failure> {
    let Some(key_id) = envelope.encryption.connection_key_id else {
        return Ok(None);
    };
    let Some(id) = connection::by_key(&step.draft, key_id)? else {
        return Ok(None);
    };
    if connection::is_buried(&step.draft, id) {
        return Ok(None);
    }
    let connection =
        connection::get(&step.draft, id)?.filter(|connection| connection.is_active() || connection.awaits_ready());
    Ok(connection.filter(|connection| match subject {
        Subject::ForOwner(_, named, event_type) => {
            *named == id && connection.service_id().is_none() && *event_type == envelope.event_type
        }
        Subject::FromService(_, named, event_type) => {
            connection.service_id() == Some(named) && *event_type == envelope.event_type
        }
        _ => false,
    }))
}

fn take_up(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    freshness: Freshness,
) -> Result<(), Failure> {
    let room = room_for(step, connection, arrived)?;
    if let Room::Later(wait_ms) = room {
        return Err(Failure::Wait(wait_ms));
    }
    let below_window = freshness == Freshness::TooOld;
    if room == Room::Dropped {
        step.dropped += 1;
        return Ok(());
    }
    if below_window && !marks_reach(step, arrived) {
        return Ok(());
    }
    let scope = connection.connection_id.to_string();
    match mark::look_up(&step.draft, &scope, arrived.event_id, &arrived.body_hash)? {
        Seen::Before(_) | Seen::OtherBody if below_window => return Ok(()),
        // What is over the limit is not answered twice.
        Seen::Before(_) if room == Room::Refused => return Ok(()),
        Seen::Before(Some(answer)) => return answer_again(step, connection, arrived, answer),
        Seen::Before(None) => return Ok(()),
        Seen::OtherBody => {
            return finish(step, connection, arrived, Err(RefusalCode::Conflict), Marked::No);
        }
        Seen::Never if freshness == Freshness::Seen => return Ok(()),
        Seen::Never if room == Room::Refused => {
            return finish(step, connection, arrived, Err(RefusalCode::RateLimited), Marked::Yes(None));
        }
        Seen::Never => {}
    }
    let mut buckets = connection::buckets(&step.draft, connection.connection_id)?;
    let decided = match admit(step, connection, arrived, &mut buckets)? {
        Ok((row, tier)) => act(step, connection, arrived, row, tier)?,
        Err(code) => Err(code),
    };
    finish(step, connection, arrived, decided, Marked::Yes(Some(buckets)))
}

/// Room for an event under the limit of every connection. An event without a time limit loses nothing by waiting; the
/// others are refused in words. Repetitions are counted, too: each is opened and may be answered.
fn room_for(step: &mut Step<'_>, connection: &Connection, arrived: &Arrived) -> Result<Room, Failure> {
    let row = event::find(arrived.lane, &arrived.event_type);
    let may_wait = row.is_some_and(|row| row.delivery == Delivery::Durable && row.within_ms.is_none());
    let (now, limit) = (step.now, step.limits.connection);
    let channel = step.channels.get(&step.draft, ChannelName::Connection(connection.connection_id))?;
    let channel = channel.ok_or(Failure::Retry)?;
    Ok(channel.allowance().admit(now, &limit, arrived.size, may_wait))
}

/// Whether the marks tell a repetition of this event even where the window does not reach. A peer that restarts passes over
/// the sequences that it had reserved, so what it sent before may fall below the window though it never arrived; events
/// that must arrive are then told apart by their ids, which are kept longer than this.
fn marks_reach(step: &Step<'_>, arrived: &Arrived) -> bool {
    let durable = |row: &&Row| row.delivery == Delivery::Durable && row.within_ms.is_none();
    let age_ms = step.now.since_ms(arrived.sealed_at);
    event::find(arrived.lane, &arrived.event_type).filter(durable).is_some()
        && (-MAX_SKEW_MS..mark::KEEP_MS / 2).contains(&age_ms)
}

/// Answers a repeated event with what was answered before.
fn answer_again(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    answer: StoredAnswer,
) -> Result<(), Failure> {
    if let Some(row) = send::row_to(connection.kind, &answer.event_type) {
        send::to_peer(step, connection, row, answer.body, Some(arrived.question.clone()))?;
    }
    step.channels.store(&mut step.draft, ChannelName::Connection(connection.connection_id))?;
    Ok(())
}

type Admitted = (&'static Row, Option<Tier>);

/// Row, size, time and contract.
fn admit(
    step: &Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    buckets: &mut Buckets,
) -> Result<Result<Admitted, RefusalCode>, Failure> {
    let Some(row) = event::find(arrived.lane, &arrived.event_type) else {
        return Ok(Err(RefusalCode::UnsupportedEvent));
    };
    if vjson::canonical(&arrived.content.body)?.len() > row.cap_bytes {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if is_late(step, row, arrived) {
        return Ok(Err(RefusalCode::Expired));
    }
    if arrived.lane != Lane::Service || is_built_in(row) {
        return Ok(Ok((row, None)));
    }
    Ok(under_contract(step, connection, arrived, buckets)?.map(|tier| (row, tier)))
}

fn is_built_in(row: &Row) -> bool {
    matches!(row.name, "connection.ready" | "connection.revoked" | "event.refused")
}

fn is_late(step: &Step<'_>, row: &Row, arrived: &Arrived) -> bool {
    let expired = arrived.content.expires_at.is_some_and(|at| at < step.now);
    let Some(within_ms) = row.within_ms else {
        return expired;
    };
    let age_ms = step.now.since_ms(arrived.sealed_at);
    expired || age_ms > within_ms + MAX_SKEW_MS || age_ms < -MAX_SKEW_MS
}

fn under_contract(
    step: &Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    buckets: &mut Buckets,
) -> Result<Result<Option<Tier>, RefusalCode>, Failure> {
    let Some(accepted) = connection::contract(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    if arrived.event_type == event::DataRequest::ROW.event_type() {
        let Ok(asked) = vjson::from_value::<DataRequest>(arrived.content.body.clone()) else {
            return Ok(Err(RefusalCode::InvalidRequest));
        };
        let own = connection.service_id() == Some(&asked.service_id) && asked.connection_id == connection.connection_id;
        if !own {
            return Ok(Err(RefusalCode::NotAllowed));
        }
        let access = contract::read_field(step.now, &accepted, buckets, &asked.contract_hash, &asked.field);
        let tier = accepted.contract.field(&asked.field).map(|field| field.tier);
        return Ok(access.map(|_| tier));
    }
    if arrived.event_type == event::AuthChallenge::ROW.event_type() {
        let admitted = contract::act(step.now, &accepted, buckets, Permission::RequestAuthentication);
        return Ok(admitted.and_then(|()| check_challenge(connection, &arrived.content.body)).map(|()| None));
    }
    Ok(Err(RefusalCode::UnsupportedEvent))
}

/// A login request is signed by the service and names this very connection.
fn check_challenge(connection: &Connection, body: &Value) -> Result<(), RefusalCode> {
    let peer = connection.peer.as_ref().ok_or(RefusalCode::NotConnected)?;
    let key = VerifyingKey::from_typed(&peer.signing_key).map_err(|_| RefusalCode::NotAllowed)?;
    let opened = signature::open::<auth::AuthChallenge>(SignatureContext::ServiceRequest, &key, body.clone());
    let challenge = opened.map_err(|_| RefusalCode::InvalidRequest)?.into_inner();
    let own =
        connection.service_id() == Some(&challenge.service_id) && challenge.connection_id == connection.connection_id;
    if own { Ok(()) } else { Err(RefusalCode::NotAllowed) }
}

/// Carries out an admitted event.
fn act(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    row: &'static Row,
    tier: Option<Tier>,
) -> Result<Result<Done, RefusalCode>, Failure> {
    match row.name {
        "connection.ready" => crate::establish::ready(step, connection, arrived.content.body.clone())
            .map(|done| done.map(|()| Done::Quiet)),
        "connection.revoked" => {
            revocation::by_peer(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        "event.refused" => {
            peer_refused(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        _ => {
            let context = context(step, connection, arrived.lane, arrived.event_id, &arrived.event_type, tier, None)?;
            handle(step, connection, &context, &arrived.content.body)
        }
    }
}

/// Everything that the vault vouches for about an event of a peer.
fn context(
    step: &Step<'_>,
    connection: &Connection,
    lane: Lane,
    event_id: EventId,
    event_type: &EventType,
    tier: Option<Tier>,
    answer: Option<Answer>,
) -> Result<Context, Failure> {
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let profile = connection.peer.as_ref().and_then(|peer| peer.profile.service.as_ref());
    let service = profile.zip(accepted).map(|(service, accepted)| Service {
        service_id: service.service_id.clone(),
        contract_hash: accepted.contract_hash,
        permissions: accepted.contract.permissions,
        origins: service.origins.clone(),
        tier,
    });
    let peer = Peer { connection_id: connection.connection_id, display_name: connection.display_name.clone(), service };
    Ok(Context { event_id, event_type: event_type.clone(), lane, occurred_at: step.now, peer: Some(peer), answer })
}

/// Runs the handler and takes its reply. Effects of a handler that refuses are gone.
fn handle(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    body: &Value,
) -> Result<Result<Done, RefusalCode>, Failure> {
    let Some(handler) = step.handlers.find(context.lane, &context.event_type).cloned() else {
        return Ok(Err(RefusalCode::UnsupportedEvent));
    };
    let fields = authorised_field(context, body);
    let event = Event { context: context.clone(), payload: vjson::canonical(body)? };
    let before = step.savepoint();
    let mut host = HandlerHost::new(step, context, &handler.manifest().name, fields);
    let replied = handler.handle(&mut host, &event);
    if let Some(failure) = host.into_failure() {
        return Err(failure.into());
    }
    match replied {
        Ok(Reply::Body(body)) => answer_with(step, connection, context, &event, &body).map(Ok),
        Ok(Reply::None) => Ok(Ok(Done::Quiet)),
        Ok(Reply::Ask(question)) => ask_owner(step, connection, context, &event, question, before),
        Err(HandlerError::Refuse(code)) => {
            step.roll_back(before);
            Ok(Err(code))
        }
        Err(HandlerError::Retry(_)) => Err(Failure::Retry),
        Err(HandlerError::Fault(fault)) => {
            tracing::error!(%fault, handler = %handler.manifest().name, "handler fault");
            step.roll_back(before);
            Ok(Err(RefusalCode::Unavailable))
        }
    }
}

/// The one field that a data request may read; its contract was checked.
fn authorised_field(context: &Context, body: &Value) -> FieldAuthority {
    let checked = context.service().is_some_and(|(_, service)| service.tier.is_some());
    match body.get("field").and_then(Value::as_str) {
        Some(field) if checked => FieldAuthority::One(field.to_owned()),
        _ => FieldAuthority::Nothing,
    }
}

/// Sends a handler's reply on the row that answers the event.
fn answer_with(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    body: &[u8],
) -> Result<Done, Failure> {
    let Some(row) = answer_row(context.lane, &context.event_type) else {
        return Ok(Done::Quiet);
    };
    let body = vjson::parse(body)?;
    let question = in_reply_to(context.event_id, &vjson::parse(&event.payload)?)?;
    send::to_peer(step, connection, row, &body, Some(question))?;
    Ok(Done::Answered(StoredAnswer { event_type: row.event_type(), body }))
}

/// Lets the event wait for the owner. A repeated question asks nobody a second time: it gets what the first one got.
fn ask_owner(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    question: Question,
    before: Savepoint,
) -> Result<Result<Done, RefusalCode>, Failure> {
    if let Some(known) = request::get(&step.draft, connection.connection_id, question.request_id)? {
        step.roll_back(before);
        let same = known.event_type == context.event_type && known.payload == event.payload;
        return if same {
            again(step, connection, context, event, known).map(Ok)
        } else {
            Ok(Err(RefusalCode::Conflict))
        };
    }
    let waiting = waiting(step, connection, context, event, &question)?;
    if let Err(code) = request::add(&mut step.draft, &waiting)? {
        step.roll_back(before);
        return Ok(Err(code));
    }
    match question.interim {
        Some(body) => answer_with(step, connection, context, event, &body).map(Ok),
        None => Ok(Ok(Done::Quiet)),
    }
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
    })
}

/// The answer to a repeated question: the interim one while it waits, then the one that the owner's decision led to.
fn again(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    known: Waiting,
) -> Result<Done, Failure> {
    let Some(answer) = known.answer else {
        return Ok(Done::Quiet);
    };
    if let Some(row) = send::row_to(connection.kind, &answer.event_type) {
        let question = in_reply_to(context.event_id, &vjson::parse(&event.payload)?)?;
        send::to_peer(step, connection, row, &answer.body, Some(question))?;
    }
    Ok(Done::Answered(answer))
}

/// Whether an event is remembered as processed, and what it left of the rates of a contract.
enum Marked {
    Yes(Option<Buckets>),
    No,
}

/// Mark, rate, replay window, audit, and for refusals the answer and the feed.
fn finish(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    decided: Result<Done, RefusalCode>,
    marked: Marked,
) -> Result<(), Failure> {
    let (id, event_type) = (connection.connection_id, &arrived.event_type);
    let answer = match &decided {
        Ok(Done::Quiet) => None,
        Ok(Done::Answered(answer)) => Some(answer.clone()),
        Err(code) => refuse(step, connection, arrived, *code)?,
    };
    if let Marked::Yes(buckets) = marked {
        let mark = Mark { body_hash: arrived.body_hash.clone(), at: step.now, answer };
        mark::put(&mut step.draft, &id.to_string(), arrived.event_id, &mark)?;
        if let Some(buckets) = buckets {
            connection::put_buckets(&mut step.draft, id, &buckets)?;
        }
    }
    let outcome = if decided.is_ok() { AuditOutcome::Success } else { AuditOutcome::Refused };
    let code = decided.err();
    step.audit(&actor(connection), event_type, outcome, json!({"event_id": arrived.event_id, "refusal": code}))?;
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(())
}

/// Who acted, for the audit.
#[must_use]
pub fn actor(connection: &Connection) -> String {
    match connection.service_id() {
        Some(service) => format!("service:{service}"),
        None => format!("connection:{}", connection.connection_id),
    }
}

fn refuse(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    code: RefusalCode,
) -> Result<Option<StoredAnswer>, Failure> {
    let (event_id, event_type) = (arrived.event_id, &arrived.event_type);
    if *event_type == event::EventRefused::ROW.event_type() {
        // Two vaults would refuse each other's refusals for ever.
        return Ok(None);
    }
    send::refuse(step, connection, event_id, event_type, code, Some(arrived.question.clone()))?;
    let severity = if code == RefusalCode::Conflict { Severity::Alarm } else { Severity::Warning };
    let field =
        arrived.content.body.get("field").and_then(Value::as_str).filter(|name| vettid_wire::data::is_field_name(name));
    let about = field.map_or_else(|| event_type.to_string(), |field| format!("{event_type} for {field}"));
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity,
        outcome: Outcome::Refused(code),
        summary: format!("{}: {about} was refused ({code})", connection.display_name),
    })?;
    Ok(refused(event_id, event_type, code))
}

/// The peer says that an event of this vault had no effect there.
fn peer_refused(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(refused) = vjson::from_value::<EventRefused>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    step.tell(Note {
        event_type: refused.event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity: Severity::Warning,
        outcome: Outcome::Refused(refused.code),
        summary: format!("{} refused {} ({})", connection.display_name, refused.event_type, refused.code),
    })?;
    Ok(Ok(()))
}

/// Handles a waiting event again, now with the owner's answer or its absence. The question is kept until its end.
pub fn resume(step: &mut Step<'_>, waiting: &Waiting, answer: Answer) -> Result<Result<(), RefusalCode>, Failure> {
    let found = connection::get(&step.draft, waiting.shown.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else {
        request::remove(&mut step.draft, waiting);
        return Ok(Err(RefusalCode::NotConnected));
    };
    let body = vjson::parse(&waiting.payload)?;
    let tier = waiting_tier(step, &connection, waiting, &body)?;
    let context = context(step, &connection, waiting.lane, waiting.event_id, &waiting.event_type, tier, Some(answer))?;
    let done = handle(step, &connection, &context, &body)?;
    let (answer, code) = match done {
        Ok(Done::Answered(answer)) => (Some(answer), None),
        Ok(Done::Quiet) => (None, None),
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

fn refuse_resumed(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    body: &Value,
    code: RefusalCode,
) -> Result<Option<StoredAnswer>, Failure> {
    let question = in_reply_to(waiting.event_id, body)?;
    send::refuse(step, connection, waiting.event_id, &waiting.event_type, code, Some(question))?;
    Ok(refused(waiting.event_id, &waiting.event_type, code))
}

/// A refusal as it is answered again.
fn refused(event_id: EventId, event_type: &EventType, code: RefusalCode) -> Option<StoredAnswer> {
    let body = serde_json::to_value(EventRefused { event_id, event_type: event_type.clone(), code }).ok()?;
    Some(StoredAnswer { event_type: event::EventRefused::ROW.event_type(), body })
}

fn audit_resumed(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    code: Option<RefusalCode>,
) -> Result<(), Failure> {
    let outcome = if code.is_none() { AuditOutcome::Success } else { AuditOutcome::Refused };
    let detail = json!({"event_id": waiting.event_id, "request_id": waiting.shown.request_id, "refusal": code});
    Ok(step.audit(&actor(connection), &waiting.event_type, outcome, detail)?)
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
    Ok(accepted.and_then(|accepted| accepted.contract.field(field).map(|field| field.tier)))
}
