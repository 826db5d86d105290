//! What was sent to a connected member and may have to be sent again, because that member's vault came back from an earlier
//! state: under the same event id, so that nothing has an effect twice. Texts are not here, they lie in their conversation.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{
    self, EventRow, EventType, Lane, MessagingDisappear, MessagingReaction, MessagingSeen, RequestTerms, TermsAnswer,
    TermsOutcome, TransactionTerms,
};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::time::Timestamp;

/// Kept for so long, in milliseconds (30 days), as long as an outbox tries.
pub const KEEP_MS: i64 = 30 * 24 * 3600 * 1000;
/// Most events that are kept for one connection; the oldest go first.
pub const MOST: u64 = 1_000;
/// Most of them that one commit sends again.
const AT_ONCE: usize = 16;
const KEPT: [&str; 7] = [
    MessagingSeen::ROW.name,
    MessagingReaction::ROW.name,
    MessagingDisappear::ROW.name,
    RequestTerms::ROW.name,
    TransactionTerms::ROW.name,
    TermsAnswer::ROW.name,
    TermsOutcome::ROW.name,
];

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    event_id: EventId,
    event_type: EventType,
    body: Value,
    in_reply_to: Option<InReplyTo>,
    /// The incarnation that it was addressed to first: whether it may have had its effect is judged by that.
    to_incarnation: u64,
    at: Timestamp,
}

fn prefix(id: ConnectionId) -> String {
    format!("kept/{id}/")
}

fn cursor_key(id: ConnectionId) -> String {
    format!("{CURSOR}{id}")
}

const CURSOR: &str = "send_again/";

/// Whether events of this type are kept.
#[must_use]
pub fn is_kept(event_type: &EventType) -> bool {
    KEPT.contains(&event_type.as_str())
}

/// Keeps an event that is sent now.
pub fn keep(
    step: &mut Step<'_>,
    id: ConnectionId,
    (event_id, event_type): (EventId, EventType),
    (body, in_reply_to): (Value, Option<InReplyTo>),
    to_incarnation: u64,
) -> Result<(), UnreadableState> {
    let number = step.draft.count(&format!("kept/{id}"))?;
    let kept = Kept { event_id, event_type, body, in_reply_to, to_incarnation, at: step.now };
    step.draft.put(numbered(&prefix(id), number), &kept)?;
    if let Some(oldest) = number.checked_sub(MOST) {
        step.draft.remove(&numbered(&prefix(id), oldest));
    }
    // What is too old goes as new events come.
    for key in step.draft.keys(&prefix(id), 2) {
        let is_old = step.draft.get::<Kept>(&key)?.is_some_and(|kept| step.now.since_ms(kept.at) >= KEEP_MS);
        if is_old {
            step.draft.remove(&key);
        }
    }
    Ok(())
}

/// Everything that is kept for a connection is to be sent again.
pub fn send_again(draft: &mut Draft<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    draft.put(cursor_key(id), &String::new())
}

/// Sends some of what is to be sent again.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys(CURSOR, usize::MAX) {
        let Some(id) = key.strip_prefix(CURSOR).and_then(|id| id.parse().ok()) else { continue };
        let found = connection::get(&step.draft, id)?;
        match found {
            Some(connection) if connection.is_active() => some(step, &connection, &key)?,
            // New keys are still being made.
            Some(connection) if connection.is_live() => {}
            _ => step.draft.remove(&key),
        }
    }
    Ok(())
}

fn some(step: &mut Step<'_>, connection: &Connection, cursor_key: &str) -> Result<(), Failure> {
    let id = connection.connection_id;
    let cursor: String = step.draft.get(cursor_key)?.unwrap_or_default();
    let first = if cursor.is_empty() { prefix(id) } else { format!("{cursor}\0") };
    let keys = step.draft.keys_from(&prefix(id), &first, AT_ONCE);
    for key in &keys {
        let Some(kept) = step.draft.get::<Kept>(key)? else { continue };
        let Some(row) = event::find(Lane::Connection, &kept.event_type) else { continue };
        if step.now.since_ms(kept.at) < KEEP_MS {
            let Kept { event_id, body, in_reply_to, to_incarnation, .. } = kept;
            send::again(step, connection, (row, event_id), (body, in_reply_to), to_incarnation)?;
        }
    }
    match keys.last().filter(|_| keys.len() == AT_ONCE) {
        Some(last) => step.draft.put(cursor_key.to_owned(), last)?,
        None => step.draft.remove(cursor_key),
    }
    Ok(())
}

/// Forgets everything of a connection that ended.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.keys(&prefix(id), usize::MAX).iter().for_each(|key| draft.remove(key));
    draft.remove(&format!("counter/kept/{id}"));
    draft.remove(&cursor_key(id));
}
