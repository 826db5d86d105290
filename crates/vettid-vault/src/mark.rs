//! Marks of processed events: a repeated event gets the stored answer and has no second effect (spec §3 R5).

use crate::projection::{Draft, UnreadableState, numbered};
use crate::service::given;
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
    /// Whether there was an answer with a value that is over by now and not kept here any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_over: bool,
}

impl Mark {
    /// An event that is processed now.
    #[must_use]
    pub fn new(body_hash: Base64Url, at: Timestamp, answer: Option<StoredAnswer>) -> Self {
        Self { body_hash, at, answer, is_over: false }
    }
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
    /// Processed; a value in its answer is over.
    Over,
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
        Some(mark) if mark.body_hash != *body_hash => Seen::OtherBody,
        Some(mark) if mark.is_over => Seen::Over,
        Some(mark) => Seen::Before(mark.answer),
    })
}

/// Whether an event of this sender was processed, whatever its body was.
#[must_use]
pub fn is_known(draft: &Draft<'_>, sender: &str, event_id: EventId) -> bool {
    draft.has(&key(sender, event_id))
}

/// Marks an event as processed, or gives it another answer.
pub fn put(draft: &mut Draft<'_>, sender: &str, event_id: EventId, mark: &Mark) -> Result<(), UnreadableState> {
    if let Some(until) = mark.answer.as_ref().and_then(given::ends_at) {
        draft.put_bytes(format!("{}/{sender}/{event_id}", numbered(ENDS, until.unix_ms().unsigned_abs())), Vec::new());
    }
    draft.put(key(sender, event_id), mark)
}

/// Replaces the answer of a processed event.
pub fn answer(
    draft: &mut Draft<'_>,
    sender: &str,
    event_id: EventId,
    answer: StoredAnswer,
) -> Result<(), UnreadableState> {
    match draft.get::<Mark>(&key(sender, event_id))? {
        Some(mark) => put(draft, sender, event_id, &Mark { answer: Some(answer), ..mark }),
        None => Ok(()),
    }
}

/// Nobody asks for the answers of this sender any more: its marks go with the next ticks.
pub fn end(draft: &mut Draft<'_>, sender: &str) {
    draft.put_bytes(format!("{ENDED}{sender}"), Vec::new());
}

/// Lets go what may not be kept: answers with values that are over, and everything of senders that ended.
pub fn pass_time(draft: &mut Draft<'_>, now: Timestamp) -> Result<(), UnreadableState> {
    for place in draft.keys(ENDS, VALUES_AT_ONCE) {
        let Some((until, of)) = place.strip_prefix(ENDS).and_then(|place| place.split_once('/')) else { continue };
        if until.parse().is_ok_and(|until_ms: i64| Timestamp::from_unix_ms(until_ms) > now) {
            break;
        }
        draft.remove(&place);
        let key = format!("{PREFIX}{of}");
        // A refusal may stand in the place of the value by now.
        if let Some(mark) =
            draft.get::<Mark>(&key)?.filter(|mark| mark.answer.as_ref().and_then(given::ends_at).is_some())
        {
            draft.put(key, &Mark { answer: None, is_over: true, ..mark })?;
        }
    }
    for ended in draft.keys(ENDED, 1) {
        let sender = ended.strip_prefix(ENDED).unwrap_or_default();
        let marks = draft.keys(&format!("{PREFIX}{sender}/"), FORGET_AT_ONCE);
        marks.iter().for_each(|key| draft.remove(key));
        if marks.len() < FORGET_AT_ONCE {
            draft.remove(&ended);
        }
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
/// Under this prefix, in the order of time, stand the answers with values that end by the clock.
const ENDS: &str = "seen_until/";
/// Under this prefix stand senders that ended.
const ENDED: &str = "seen_ended/";
/// Most answers that one commit lets go.
const VALUES_AT_ONCE: usize = 64;

fn key(sender: &str, event_id: EventId) -> String {
    format!("{PREFIX}{sender}/{event_id}")
}
