//! Questions to the owner, named by connection and request (docs/decisions/0041): each with the event that has to be
//! handled again once the owner decided, and kept until its end, so that a repetition gets the same answer.

use crate::flood;
use crate::mark::StoredAnswer;
use crate::projection::{Draft, UnreadableState};
use serde::{Deserialize, Serialize};
use vettid_core::contract::Breach;
use vettid_wire::event::{EventType, Lane};
use vettid_wire::id::{ConnectionId, EventId, RequestId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, PendingRequest};
use vettid_wire::statement::DecidedBy;

const PREFIX: &str = "pending/";
/// Most questions of one connection that are not past their end.
pub const MAX_OPEN: usize = 64;
/// Most logins and requests for the owner's word of one connection that wait at one time (spec 2.14).
pub const MAX_OPEN_WORDS: usize = 3;

/// A question and its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the owner sees. Its id is the peer's, unless another connection's open question has the same one.
    pub shown: PendingRequest,
    /// The id that the peer gave it.
    pub request_id: RequestId,
    /// The event that asked.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Where it came from.
    pub lane: Lane,
    /// Its body, canonical JSON.
    pub payload: Vec<u8>,
    /// What a repetition gets: the interim answer, then the one that the owner's decision led to.
    pub answer: Option<StoredAnswer>,
    /// Whether the owner decided.
    pub is_decided: bool,
    /// Where several fields were asked for, how each stood when the owner was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldStanding>,
}

/// How one of several fields stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldStanding {
    /// Its name.
    pub field: String,
    /// How it stands.
    pub standing: Standing,
    /// The check of the contract that failed.
    pub failed_check: Option<Breach>,
}

/// Whether a field is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may be, on this word.
    Given(DecidedBy),
    /// It may not.
    Refused(RefusalCode),
    /// The owner says.
    Asked,
}

impl Waiting {
    /// Whether the owner still has to decide.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.is_decided
    }
}

/// The open question that the owner knows by this id.
pub fn shown_as(draft: &Draft<'_>, id: RequestId) -> Result<Option<Waiting>, UnreadableState> {
    Ok(all(draft)?.into_iter().find(|waiting| waiting.shown.request_id == id && waiting.is_open()))
}

/// The question of this connection under this id, open or decided.
pub fn get(draft: &Draft<'_>, connection: ConnectionId, id: RequestId) -> Result<Option<Waiting>, UnreadableState> {
    draft.get(&key(connection, id))
}

/// Stores a new question, if the connection has not too many.
pub fn add(draft: &mut Draft<'_>, waiting: &Waiting) -> Result<Result<(), RefusalCode>, UnreadableState> {
    let of_connection = of_connection(draft, waiting.shown.connection_id)?;
    let is_word = |waiting: &Waiting| matches!(waiting.shown.ask, Ask::Login { .. } | Ask::Authorisation(_));
    let now = waiting.shown.received_at;
    let waits = |other: &&Waiting| is_word(other) && other.is_open() && now < other.shown.expires_at;
    let open_words = of_connection.iter().filter(waits).count();
    if of_connection.len() >= MAX_OPEN || (waiting.is_open() && is_word(waiting) && open_words >= MAX_OPEN_WORDS) {
        return Ok(Err(RefusalCode::RateLimited));
    }
    // What a rule decided wanted nobody's word.
    if waiting.is_open()
        && let Err(code) = flood::admit(draft, waiting)?
    {
        return Ok(Err(code));
    }
    put(draft, waiting)?;
    Ok(Ok(()))
}

/// Stores a question as it is now.
pub fn put(draft: &mut Draft<'_>, waiting: &Waiting) -> Result<(), UnreadableState> {
    draft.put(key(waiting.shown.connection_id, waiting.request_id), waiting)
}

/// Forgets a question.
pub fn remove(draft: &mut Draft<'_>, waiting: &Waiting) {
    draft.remove(&key(waiting.shown.connection_id, waiting.request_id));
}

/// Every question, oldest first.
pub fn all(draft: &Draft<'_>) -> Result<Vec<Waiting>, UnreadableState> {
    let mut waiting: Vec<Waiting> = draft.values(PREFIX)?;
    waiting.sort_by_key(|w| (w.shown.received_at, w.shown.request_id));
    Ok(waiting)
}

/// Every question of one connection.
pub fn of_connection(draft: &Draft<'_>, id: ConnectionId) -> Result<Vec<Waiting>, UnreadableState> {
    draft.values(&format!("{PREFIX}{id}/"))
}

fn key(connection: ConnectionId, id: RequestId) -> String {
    format!("{PREFIX}{connection}/{id}")
}
