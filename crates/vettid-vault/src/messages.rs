//! What time ends among the messages: the handler is asked when something is due, and the owner is told here, where the names of
//! connections are known. No text of a message is ever read here.

use crate::connection;
use crate::failure::Failure;
use crate::feed::{self, Note};
use crate::file;
use crate::handler_host::{FieldAuthority, HandlerHost};
use crate::projection::UnreadableState;
use crate::step::Step;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use vettid_handler::event::{Context, Event};
use vettid_handler::reply::Reply;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::event::{
    EventRow, EventType, MessagingReceipt, MessagingRecover, MessagingSeen, MessagingSend, MessagingText,
    MessagingTidy, Nothing, Row,
};
use vettid_wire::feed::{Filter, Outcome, SearchFeed, Severity, Shelf};
use vettid_wire::id::EventId;
use vettid_wire::json as vjson;
use vettid_wire::messaging::{MessageRef, RecoverConversation, RemovedMessage, Tidied};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const DUE: &str = "messages_due";
/// Number of keys in the handler's store: a vault without messages commits nothing for them.
const STORED: &str = "keys/data/messaging/";
/// Events after which something may end soon.
const STARTS: [&str; 3] = [MessagingText::ROW.name, MessagingReceipt::ROW.name, MessagingSeen::ROW.name];
/// Nothing ends sooner after such an event than in five minutes; a minute of that is used, in milliseconds.
const SOON_MS: i64 = 60_000;
/// Looks at least this often, in milliseconds (one day).
const SELDOM_MS: i64 = 24 * 3600 * 1000;

/// Ends what is over, if anything may be.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let due: Option<Timestamp> = step.draft.get(DUE)?;
    if due.is_some_and(|due| due > step.now) || !step.draft.has(STORED) {
        return Ok(());
    }
    let before = step.savepoint();
    let Some(tidied) = tidy(step)? else {
        step.roll_back(before);
        step.draft.put(DUE.into(), &step.now.plus_ms(SELDOM_MS))?;
        return Ok(());
    };
    for message in &tidied.undelivered {
        tell_undelivered(step, message)?;
        file::undelivered(step, message.connection_id, message.message_id)?;
    }
    for message in &tidied.removed {
        forget_entry(step, message)?;
        file::forget(step, message.connection_id, message.message_id)?;
    }
    if !tidied.undelivered.is_empty() || !tidied.removed.is_empty() {
        let detail = json!({"undelivered": tidied.undelivered, "removed": tidied.removed});
        step.audit("vault", &MessagingTidy::ROW.event_type(), AuditOutcome::Success, detail)?;
    }
    let latest = step.now.plus_ms(SELDOM_MS);
    step.draft.put(DUE.into(), &tidied.next_at.map_or(latest, |next| next.min(latest)))?;
    Ok(())
}

/// Something came that may end soon: looks within the shortest time after which anything does.
pub fn look_soon(step: &mut Step<'_>, event_type: &EventType) -> Result<(), UnreadableState> {
    let soon = step.now.plus_ms(SOON_MS);
    let is_late = |due: Timestamp| due > soon;
    if STARTS.contains(&event_type.as_str()) && step.draft.get(DUE)?.is_some_and(is_late) {
        step.draft.put(DUE.into(), &soon)?;
    }
    Ok(())
}

/// What the feed told of a message goes with it.
fn forget_entry(step: &mut Step<'_>, message: &RemovedMessage) -> Result<(), Failure> {
    let filter = Filter {
        kind: Some("messaging".to_owned()),
        connection_id: Some(message.connection_id),
        since: Some(message.told_at),
        until: Some(message.told_at.plus_ms(1)),
        shelf: Shelf::All,
        ..Filter::default()
    };
    let found = feed::search(step.feed, &step.draft, &SearchFeed { filter, before: None, limit: 1 })?;
    let numbers: BTreeSet<u64> = found.into_iter().flat_map(|found| found.entries).map(|e| e.entry.number).collect();
    // An entry that is gone already is gone.
    let _removed = feed::remove(&mut step.draft, &numbers)?;
    Ok(())
}

/// Has the handler bring a conversation together after a restore.
pub fn recover(step: &mut Step<'_>, wanted: &RecoverConversation) -> Result<(), Failure> {
    let done = run(step, &MessagingRecover::ROW, wanted)?;
    done.map(|_| ()).ok_or(Failure::Retry)
}

fn tidy(step: &mut Step<'_>) -> Result<Option<Tidied>, Failure> {
    let done = run(step, &MessagingTidy::ROW, &Nothing {})?;
    Ok(done.map(|body| vjson::read(&body)).transpose()?)
}

/// Runs the handler as a command that nobody gave; `None` if there is none or it cannot now.
fn run(step: &mut Step<'_>, row: &Row, body: &impl Serialize) -> Result<Option<Vec<u8>>, Failure> {
    let Some(handler) = step.handlers.find(row.lane, &row.event_type()).cloned() else {
        return Ok(None);
    };
    let context = Context {
        event_id: EventId::v7(step.now, step.random()),
        event_type: row.event_type(),
        lane: row.lane,
        occurred_at: step.now,
        peer: None,
        answer: None,
    };
    let event = Event { context: context.clone(), payload: vjson::canonical(body)? };
    let mut host = HandlerHost::new(step, &context, &handler.manifest().name, FieldAuthority::Nothing);
    let replied = handler.handle(&mut host, &event);
    if let Some(failure) = host.into_failure() {
        return Err(failure.into());
    }
    match replied {
        Ok(Reply::Body(body)) => Ok(Some(body)),
        other => {
            tracing::error!(is_error = other.is_err(), "the messages could not be looked after");
            Ok(None)
        }
    }
}

fn tell_undelivered(step: &mut Step<'_>, message: &MessageRef) -> Result<(), Failure> {
    let found = connection::get(&step.draft, message.connection_id)?;
    let name = found.map_or_else(|| "somebody".to_owned(), |connection| connection.display_name);
    step.tell(Note {
        event_type: MessagingSend::ROW.event_type(),
        connection_id: Some(message.connection_id),
        request_id: None,
        severity: Severity::Warning,
        outcome: Outcome::Refused(RefusalCode::Expired),
        summary: format!("Your message to {name} was not delivered within 30 days"),
    })?;
    Ok(())
}
