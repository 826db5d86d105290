//! Marks of processed events: a repeated event gets the stored answer and has no second effect (spec §3 R5).

use crate::projection::{Draft, UnreadableState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::base64::Base64Url;
use vettid_wire::event::EventType;
use vettid_wire::id::EventId;
use vettid_wire::time::Timestamp;

/// Marks are kept at least this long, in milliseconds (90 days).
pub const KEEP_MS: i64 = 90 * 24 * 3600 * 1000;

/// A processed event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Hash of the body, so that the same id with another body is noticed.
    pub body_hash: Base64Url,
    /// When it was processed.
    pub at: Timestamp,
    /// What was answered.
    pub answer: Option<StoredAnswer>,
}

/// An answer, to be sealed again when it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// Type of the answering event.
    pub event_type: EventType,
    /// Its body.
    pub body: Value,
}

/// What the marks say of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Not processed yet.
    Never,
    /// Processed; the answer, if it had one.
    Before(Option<StoredAnswer>),
    /// The same id came before with another body.
    OtherBody,
}

/// Looks an event of this sender up.
pub fn look_up(
    draft: &Draft<'_>,
    sender: &str,
    event_id: EventId,
    body_hash: &Base64Url,
) -> Result<Seen, UnreadableState> {
    Ok(match draft.get::<Mark>(&key(sender, event_id))? {
        None => Seen::Never,
        Some(mark) if mark.body_hash == *body_hash => Seen::Before(mark.answer),
        Some(_) => Seen::OtherBody,
    })
}

/// Whether an event of this sender was processed, whatever its body was.
#[must_use]
pub fn is_known(draft: &Draft<'_>, sender: &str, event_id: EventId) -> bool {
    draft.has(&key(sender, event_id))
}

/// Marks an event as processed, or gives it another answer.
pub fn put(draft: &mut Draft<'_>, sender: &str, event_id: EventId, mark: &Mark) -> Result<(), UnreadableState> {
    draft.put(key(sender, event_id), mark)
}

/// Replaces the answer of a processed event.
pub fn answer(
    draft: &mut Draft<'_>,
    sender: &str,
    event_id: EventId,
    answer: StoredAnswer,
) -> Result<(), UnreadableState> {
    let key = key(sender, event_id);
    if let Some(mark) = draft.get::<Mark>(&key)? {
        draft.put(key, &Mark { answer: Some(answer), ..mark })?;
    }
    Ok(())
}

/// Most marks that are forgotten in one commit.
pub const FORGET_AT_ONCE: usize = 1_000;

/// Forgets marks that are old enough; `true` if there may be more of them.
pub fn forget_old(draft: &mut Draft<'_>, now: Timestamp) -> Result<bool, UnreadableState> {
    let mut forgotten = 0;
    for key in draft.keys(PREFIX, usize::MAX) {
        let old = draft.get::<Mark>(&key)?.is_some_and(|mark| now.since_ms(mark.at) > KEEP_MS);
        if old {
            draft.remove(&key);
            forgotten += 1;
        }
        if forgotten == FORGET_AT_ONCE {
            return Ok(true);
        }
    }
    Ok(false)
}

const PREFIX: &str = "seen/";

fn key(sender: &str, event_id: EventId) -> String {
    format!("{PREFIX}{sender}/{event_id}")
}
