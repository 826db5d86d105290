//! The removal of what a newer stored state made needless, beside the vault that goes on.

use vettid_nats::journal::Journal;
use vettid_nats::objects::{ObjectError, Objects};
use vettid_wire::id::MemberId;

/// What is gone for good.
pub(super) struct Removed {
    /// The records below this place.
    pub(super) below: u64,
    /// Stored states.
    pub(super) states: Vec<String>,
}

/// Removes the records below these places and then these stored states, which nothing names any more.
pub(super) async fn remove(
    journal: Journal,
    objects: Objects,
    member: MemberId,
    places: Vec<u64>,
    states: Vec<String>,
) -> Removed {
    if let Err(error) = journal.purge_in_steps(member, &places).await {
        tracing::warn!(%error, "old journal records are not all removed; it is tried again after the next snapshot");
        return Removed { below: 0, states: Vec::new() };
    }
    let mut removed = Removed { below: places.last().copied().unwrap_or(0), states: Vec::new() };
    for state in states {
        match objects.delete(&state).await {
            Ok(()) | Err(ObjectError::NotFound) => removed.states.push(state),
            Err(error) => {
                tracing::warn!(%error, "an old stored state is not removed; it is tried again after the next snapshot");
            }
        }
    }
    removed
}
