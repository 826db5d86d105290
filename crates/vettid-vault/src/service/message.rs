//! Messages of services: taken once whatever comes again, told to their owner unless the service is muted, and kept until their
//! owner removes them or many newer ones came. The service learns that a message was taken, and never anything after that.

mod command;

pub use command::{list, mute, read, remove};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::feed::{self, Note};
use crate::mark::StoredAnswer;
use crate::projection::{Draft, UnreadableState};
use crate::rule::ruling::Ruling;
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_core::channel::body_hash;
use vettid_handlers::shown;
use vettid_wire::base64::Base64Url;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{EventRow, ServiceMessageAccepted, ServiceMessageSend};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::service_message::{
    MAX_LIFE_MS, MessageAccepted, MessageKind, Mute, ServiceMessage, ServiceMessageSummary, unlinked,
};

/// Under this prefix stands what each connection sent.
const PREFIX: &str = "service_message/";
/// Under this prefix stands who is muted.
const MUTED: &str = "service_muted/";
/// Most messages that are kept of one connection; beyond, the oldest lose their content.
const MAX_KEPT: usize = 500;
/// So long after it was taken a message is known by its id alone.
const KNOWN_MS: i64 = 2 * MAX_LIFE_MS;

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    message: ServiceMessageSummary,
    /// `None`: removed; only its id is known, so that it is not taken again.
    text: Option<String>,
    /// Hash of what its owner sees.
    content_hash: Base64Url,
}

fn of_connection(id: ConnectionId) -> String {
    format!("{PREFIX}{id}/")
}

fn key(connection: ConnectionId, message: RequestId) -> String {
    format!("{}{message}", of_connection(connection))
}

fn find(draft: &Draft<'_>, connection: ConnectionId, message: RequestId) -> Result<Option<Stored>, UnreadableState> {
    draft.get(&key(connection, message))
}

fn muted(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Mute>, UnreadableState> {
    draft.get(&format!("{MUTED}{id}"))
}

/// Reads a message of this connection; it says the same as the vault about who writes. Whether one of its id was taken before.
pub fn open(
    step: &Step<'_>,
    connection: &Connection,
    body: &Value,
) -> Result<Result<(ServiceMessage, bool), RefusalCode>, Failure> {
    let Ok(message) = vjson::from_value::<ServiceMessage>(body.clone()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let own = connection.service_id() == Some(&message.service_id) && message.connection_id == connection.connection_id;
    if !own {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let is_known = find(&step.draft, connection.connection_id, message.message_id)?.is_some();
    Ok(Ok((message, is_known)))
}

/// Takes a message that passed its contract; `question` names its event. The same message gets the same receipt, however often it
/// comes; another one under its id is refused.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    body: &Value,
    ruling: &Ruling,
) -> Result<Result<StoredAnswer, RefusalCode>, Failure> {
    let message = match open(step, connection, body)? {
        Ok((message, _)) => message,
        Err(code) => return Ok(Err(code)),
    };
    let content_hash = body_hash(&json!([message.kind, message.subject, message.text]))?;
    match find(&step.draft, connection.connection_id, message.message_id)? {
        Some(stored) if stored.content_hash != content_hash => return Ok(Err(RefusalCode::Conflict)),
        Some(stored) => return answer(step, connection, question, &stored).map(Ok),
        None => {}
    }
    if ruling.objects() {
        return Ok(Err(RefusalCode::Denied));
    }
    if !message.is_sound() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    ruling.count(step)?;
    let stored = keep(step, connection, message, content_hash)?;
    tell(step, &stored.message)?;
    answer(step, connection, question, &stored).map(Ok)
}

/// Stores a message and lets the content of the oldest ones of the connection go.
fn keep(
    step: &mut Step<'_>,
    connection: &Connection,
    message: ServiceMessage,
    content_hash: Base64Url,
) -> Result<Stored, UnreadableState> {
    let id = connection.connection_id;
    let is_muted = muted(&step.draft, id)?.is_some_and(|mute| mute.holds(step.now));
    let summary = ServiceMessageSummary {
        message_id: message.message_id,
        connection_id: id,
        display_name: connection.display_name.clone(),
        kind: message.kind,
        subject: message.subject,
        received_at: step.now,
        notified: !is_muted,
        read_at: None,
    };
    let stored = Stored { message: summary, text: Some(message.text), content_hash };
    step.draft.put(key(id, message.message_id), &stored)?;
    tidy(step, id)?;
    Ok(stored)
}

fn tidy(step: &mut Step<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    let mut all: Vec<Stored> = step.draft.values(&of_connection(id))?;
    all.sort_by_key(|stored| (stored.message.received_at, stored.message.message_id));
    let mut surplus = all.iter().filter(|stored| stored.text.is_some()).count().saturating_sub(MAX_KEPT);
    for stored in all {
        let place = key(id, stored.message.message_id);
        let is_old = step.now.since_ms(stored.message.received_at) > KNOWN_MS;
        match &stored.text {
            None if is_old => step.draft.remove(&place),
            Some(_) if surplus > 0 => {
                surplus -= 1;
                step.draft.put(place, &emptied(stored))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is left of a message that was removed.
fn emptied(stored: Stored) -> Stored {
    let message = ServiceMessageSummary { subject: String::new(), ..stored.message };
    Stored { message, text: None, ..stored }
}

/// The entry of the feed. Of what came from a muted service nobody is told: its entry counts as seen.
fn tell(step: &mut Step<'_>, message: &ServiceMessageSummary) -> Result<(), UnreadableState> {
    let severity = match message.kind {
        MessageKind::Information => Severity::Info,
        MessageKind::Action => Severity::Notice,
        MessageKind::Warning => Severity::Warning,
    };
    let note = Note {
        event_type: ServiceMessageSend::ROW.event_type(),
        connection_id: Some(message.connection_id),
        request_id: None,
        severity: if message.notified { severity } else { Severity::Info },
        outcome: Outcome::Done,
        summary: format!("{} wrote: {}", shown::name(&message.display_name), unlinked(&message.subject)),
    };
    if message.notified {
        return step.tell(note);
    }
    let entry = feed::add(&mut step.draft, step.now, note)?;
    feed::see(&mut step.draft, entry.number)
}

fn answer(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    stored: &Stored,
) -> Result<StoredAnswer, Failure> {
    let Stored { message, .. } = stored;
    let accepted = MessageAccepted { message_id: message.message_id, accepted_at: message.received_at, proof: None };
    let row = &ServiceMessageAccepted::ROW;
    let body = serde_json::to_value(accepted).map_err(vjson::JsonError::Shape)?;
    let body = send::proven(step, connection, row, body, question)?;
    send::to_peer(step, connection, row, &body, Some(question.clone()))?;
    Ok(StoredAnswer { event_type: row.event_type(), body })
}

/// A connection ended: nobody is muted any more. What was written stays with its owner.
pub fn end(draft: &mut Draft<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    draft.remove(&format!("{MUTED}{id}"));
    for stored in draft.values::<Stored>(&of_connection(id))? {
        if stored.text.is_none() {
            draft.remove(&key(id, stored.message.message_id));
        }
    }
    Ok(())
}
