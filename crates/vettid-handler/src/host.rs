//! The host functions: the only authority of a handler. Each function refuses unless a host offers it.

use crate::feed::{FeedNote, Level};
use vettid_wire::data::FieldSummary;
use vettid_wire::event::EventType;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::profile::{ProfileView, PublicProfile};
use vettid_wire::time::Timestamp;

/// Why a host call had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HostError {
    /// The manifest, the lane, or what this event was authorised for does not allow it.
    #[error("denied")]
    Denied,
    /// A key, a name or a value is malformed.
    #[error("malformed argument")]
    Invalid,
    /// Too large, too many, or the handler's space is full.
    #[error("quota reached")]
    Quota,
    /// There is no such active connection.
    #[error("not connected")]
    NotConnected,
    /// Not now.
    #[error("not available now")]
    Unavailable,
}

/// The value of a field of personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Canonical JSON.
    pub value: Vec<u8>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a handler may do. Effects are taken back unless the handler returns a reply; what was written is read back within
/// the same event.
pub trait Host {
    /// Reads a key of the handler's own store (`store`).
    fn get(&mut self, _key: &str) -> Result<Option<Vec<u8>>, HostError> {
        Err(HostError::Denied)
    }

    /// Writes a key of the handler's own store (`store`).
    fn put(&mut self, _key: &str, _value: &[u8]) -> Result<(), HostError> {
        Err(HostError::Denied)
    }

    /// Removes a key of the handler's own store; a missing key is no error (`store`).
    fn delete(&mut self, _key: &str) -> Result<(), HostError> {
        Err(HostError::Denied)
    }

    /// The first `limit` keys of the handler's own store that start with `prefix`, in ascending byte order (`store`).
    fn list_keys(&mut self, _prefix: &str, _limit: u32) -> Result<Vec<String>, HostError> {
        Err(HostError::Denied)
    }

    /// Reads a field of personal data that this event was authorised for: any field for the owner's own commands, the
    /// requested field for a service's request — of the consent tier only once the owner approved (`field-read`).
    fn field(&mut self, _name: &str) -> Result<Option<Field>, HostError> {
        Err(HostError::Denied)
    }

    /// The stored fields in alphabetical order; owner's commands only (`field-write`).
    fn field_list(&mut self) -> Result<Vec<FieldSummary>, HostError> {
        Err(HostError::Denied)
    }

    /// Stores a field, stamped with the event's `occurred_at`; owner's commands only (`field-write`).
    fn field_put(&mut self, _name: &str, _value: &[u8]) -> Result<(), HostError> {
        Err(HostError::Denied)
    }

    /// Removes a field; a missing one is no error; owner's commands only (`field-write`).
    fn field_delete(&mut self, _name: &str) -> Result<(), HostError> {
        Err(HostError::Denied)
    }

    /// Signs a JSON object: adds `key_id` and `signature` and returns the canonical bytes. Key and context follow from the
    /// event's row; denied where the row has none (`sign`).
    fn sign(&mut self, _object: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::Denied)
    }

    /// The owner's profile as it was last published (`profile`).
    fn profile(&mut self) -> Result<ProfileView, HostError> {
        Err(HostError::Denied)
    }

    /// Publishes the public part of the profile under the next sequence, and returns that sequence; owner's commands only
    /// (`profile`).
    fn publish_profile(&mut self, _public: &PublicProfile) -> Result<u64, HostError> {
        Err(HostError::Denied)
    }

    /// Puts an event into the outbox of an active connection: its own one unless the owner commands, and only event types
    /// that the manifest names. `payload` is canonical JSON (`send`).
    fn send(
        &mut self,
        _connection_id: ConnectionId,
        _event_type: &EventType,
        _payload: &[u8],
    ) -> Result<EventId, HostError> {
        Err(HostError::Denied)
    }

    /// Writes a note into the owner's feed (`feed`).
    fn feed(&mut self, _note: &FeedNote) -> Result<(), HostError> {
        Err(HostError::Denied)
    }

    /// Writes a line into the operator's log, never with member data; what does not fit is dropped (`log`).
    fn log(&mut self, _level: Level, _message: &str) {}
}
