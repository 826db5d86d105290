//! The hosts that run vaults.

use vettid_wire::id::HostId;
use vettid_wire::time::Timestamp;

/// A host that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub host_id: HostId,
    /// Public NKey of its subscribing identity.
    pub subscriber_nkey: String,
    /// Public NKey of its publishing identity.
    pub publisher_nkey: String,
    /// When its credentials die.
    pub expires_at: Timestamp,
    /// When it joined, renewed or answered last.
    pub last_seen: Timestamp,
}
