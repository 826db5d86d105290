//! Requests that wait for the owner, with the event that has to be handled again once the owner decided.

use crate::projection::{Draft, UnreadableState};
use serde::{Deserialize, Serialize};
use vettid_wire::event::{EventType, Lane};
use vettid_wire::id::{ConnectionId, EventId, RequestId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::PendingRequest;

const PREFIX: &str = "pending/";

/// A waiting request and its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the owner sees.
    pub shown: PendingRequest,
    /// The event that asked.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Where it came from.
    pub lane: Lane,
    /// Its body, canonical JSON.
    pub payload: Vec<u8>,
}

/// The waiting request of this id.
pub fn get(draft: &Draft<'_>, id: RequestId) -> Result<Option<Waiting>, UnreadableState> {
    draft.get(&key(id))
}

/// Lets a request wait. Another one under the same id is a conflict.
pub fn put(draft: &mut Draft<'_>, waiting: &Waiting) -> Result<Result<(), RefusalCode>, UnreadableState> {
    let id = waiting.shown.request_id;
    if draft.has(&key(id)) {
        return Ok(Err(RefusalCode::Conflict));
    }
    draft.put(key(id), waiting)?;
    Ok(Ok(()))
}

/// Ends the waiting.
pub fn remove(draft: &mut Draft<'_>, id: RequestId) {
    draft.remove(&key(id));
}

/// Everything that waits, oldest first.
pub fn all(draft: &Draft<'_>) -> Result<Vec<Waiting>, UnreadableState> {
    let mut waiting: Vec<Waiting> = draft.values(PREFIX)?;
    waiting.sort_by_key(|w| (w.shown.received_at, w.shown.request_id));
    Ok(waiting)
}

/// Everything of one connection that waits.
pub fn of_connection(draft: &Draft<'_>, id: ConnectionId) -> Result<Vec<Waiting>, UnreadableState> {
    Ok(all(draft)?.into_iter().filter(|waiting| waiting.shown.connection_id == id).collect())
}

fn key(id: RequestId) -> String {
    format!("{PREFIX}{id}")
}
