//! The pool of transaction keys as its issuer keeps it (spec 2.8): names and states only.
//! Must never offer a key twice, or let an expired or reserved one carry a new request.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vettid_wire::id::{KeyId, OperationId};
use vettid_wire::time::Timestamp;

/// Keys of a full pool.
pub const FULL: usize = 20;
/// Keys of one refill.
pub const REFILL: usize = 10;
/// A pool with at most so many unused keys is refilled.
pub const LOW: usize = 10;

/// One key: unused, or reserved for one operation. A used key is not in the pool any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolKey {
    /// Carries nothing new from then on.
    pub expires_at: Timestamp,
    /// The operation that it is reserved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<OperationId>,
}

/// The keys of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pool(BTreeMap<KeyId, PoolKey>);

impl Pool {
    /// Adds a fresh key.
    pub fn add(&mut self, key_id: KeyId, expires_at: Timestamp) {
        self.0.insert(key_id, PoolKey { expires_at, reserved: None });
    }

    /// Whether this operation may be carried by this key now.
    #[must_use]
    pub fn carries(&self, key_id: &KeyId, op_id: OperationId, now: Timestamp) -> bool {
        self.0.get(key_id).is_some_and(|key| match key.reserved {
            Some(reserved) => reserved == op_id,
            None => now < key.expires_at,
        })
    }

    /// Binds a key to an operation.
    pub fn reserve(&mut self, key_id: &KeyId, op_id: OperationId) {
        if let Some(key) = self.0.get_mut(key_id) {
            key.reserved = Some(op_id);
        }
    }

    /// Forgets a key that was used.
    pub fn use_up(&mut self, key_id: &KeyId) {
        self.0.remove(key_id);
    }

    /// Forgets every key: after a restore none of them is trusted (spec §3 R17).
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets the expired keys, so that a clock that goes back does not bring them back.
    pub fn sweep(&mut self, now: Timestamp) {
        self.0.retain(|_, key| now < key.expires_at);
    }

    /// How many fresh keys are due: none, or [`REFILL`], or more for an empty pool.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> usize {
        match self.unused(now).count() {
            0 => FULL,
            1..=LOW => REFILL,
            _ => 0,
        }
    }

    /// The keys that can carry a new request.
    pub fn unused(&self, now: Timestamp) -> impl Iterator<Item = &KeyId> {
        let live = move |key: &PoolKey| key.reserved.is_none() && now < key.expires_at;
        self.0.iter().filter(move |(_, key)| live(key)).map(|(key_id, _)| key_id)
    }

    /// Whether the pool names this key.
    #[must_use]
    pub fn has(&self, key_id: &KeyId) -> bool {
        self.0.contains_key(key_id)
    }
}

#[cfg(test)]
mod tests;
