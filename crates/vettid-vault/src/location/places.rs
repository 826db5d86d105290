//! Positions, in memory only: when one left last, and the latest one of each share that is seen.

use std::collections::BTreeMap;
use vettid_wire::id::ShareId;
use vettid_wire::location::Position;
use vettid_wire::time::Timestamp;

/// The positions of a vault.
#[derive(Debug, Default)]
pub struct Places {
    sent: BTreeMap<ShareId, Sent>,
    seen: BTreeMap<ShareId, Place>,
}

/// When a position left.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// When it was sent.
    pub at: Timestamp,
    /// When it was measured.
    pub taken_at: Timestamp,
}

/// Where somebody is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// As exactly as it is shown.
    pub position: Position,
    /// When it was measured.
    pub taken_at: Timestamp,
}

impl Places {
    /// When a position left last for this share.
    #[must_use]
    pub fn sent(&self, id: ShareId) -> Option<Sent> {
        self.sent.get(&id).copied()
    }

    /// A position has left.
    pub fn was_sent(&mut self, id: ShareId, at: Timestamp, taken_at: Timestamp) {
        self.sent.insert(id, Sent { at, taken_at });
    }

    /// The latest position of a share that is seen.
    #[must_use]
    pub fn seen(&self, id: ShareId) -> Option<Place> {
        self.seen.get(&id).copied()
    }

    /// A position has come; an earlier one never replaces a later one.
    pub fn see(&mut self, id: ShareId, place: Place) {
        if self.seen.get(&id).is_none_or(|known| known.taken_at < place.taken_at) {
            self.seen.insert(id, place);
        }
    }

    /// A share is over.
    pub fn forget(&mut self, id: ShareId) {
        self.sent.remove(&id);
        self.seen.remove(&id);
    }
}
