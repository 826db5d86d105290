//! Holds a handler to its manifest, to the authority of its event's lane, and to what one event may cost.
//! It decides nothing about the member's data: that is the host's part.

use crate::event::Context;
use crate::feed::{FeedNote, Level, MAX_SUMMARY_BYTES};
use crate::host::{Field, Host, HostError};
use crate::manifest::{HostCall, Manifest};
use vettid_wire::data::{FieldSummary, is_field_name};
use vettid_wire::event::{self, EventType, Lane};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::profile::{ProfileView, PublicProfile};

/// Longest key of a handler's store, in bytes.
pub const MAX_KEY_BYTES: usize = 200;
/// Largest value of a handler's store, field, or object to sign, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Most keys in one listing.
pub const MAX_KEYS_LISTED: u32 = 1000;
/// Most host calls for one event.
pub const MAX_CALLS: u32 = 4096;
/// Most bytes that a handler hands to the host for one event.
pub const MAX_OUTPUT_BYTES: usize = 512 * 1024;
/// Most events sent for one event.
pub const MAX_SENDS: u32 = 16;
/// Most feed notes for one event.
pub const MAX_NOTES: u32 = 8;
/// Longest log line in bytes.
pub const MAX_LOG_BYTES: usize = 400;

/// A host that refuses what the handler may not do, and passes the rest on.
pub struct Guard<'a> {
    host: &'a mut dyn Host,
    manifest: &'a Manifest,
    context: &'a Context,
    calls: u32,
    output_bytes: usize,
    sends: u32,
    notes: u32,
}

impl<'a> Guard<'a> {
    /// Stands between a handler and its host for one event.
    pub fn new(host: &'a mut dyn Host, manifest: &'a Manifest, context: &'a Context) -> Self {
        Self { host, manifest, context, calls: 0, output_bytes: 0, sends: 0, notes: 0 }
    }

    /// Whether the handler went on beyond the bounds of one event.
    #[must_use]
    pub fn is_overdrawn(&self) -> bool {
        self.calls > MAX_CALLS
            || self.output_bytes > MAX_OUTPUT_BYTES
            || self.sends > MAX_SENDS
            || self.notes > MAX_NOTES
    }

    /// Counts a call and what it hands over, then asks the manifest.
    fn enter(&mut self, call: HostCall, handed_over: usize) -> Result<&mut dyn Host, HostError> {
        self.calls = self.calls.saturating_add(1);
        self.output_bytes = self.output_bytes.saturating_add(handed_over);
        self.sends += u32::from(call == HostCall::Send);
        self.notes += u32::from(call == HostCall::Feed);
        if self.is_overdrawn() {
            return Err(HostError::Quota);
        }
        if self.manifest.allows(call) { Ok(self.host) } else { Err(HostError::Denied) }
    }

    /// Only the owner changes the owner's fields and profile.
    fn enter_as_owner(&mut self, call: HostCall, handed_over: usize) -> Result<&mut dyn Host, HostError> {
        if self.context.lane == Lane::Owner { self.enter(call, handed_over) } else { Err(HostError::Denied) }
    }

    fn check_field(&self, name: &str) -> Result<(), HostError> {
        match (is_field_name(name), self.manifest.allows_field(name)) {
            (false, _) => Err(HostError::Invalid),
            (true, false) => Err(HostError::Denied),
            (true, true) => Ok(()),
        }
    }

    /// A connection's event reaches that connection only; the owner's commands reach any.
    fn check_send(&self, connection_id: ConnectionId, event_type: &EventType) -> Result<usize, HostError> {
        let is_named = self.manifest.sends.iter().any(|name| name == event_type.as_str());
        let is_reachable = match &self.context.peer {
            Some(peer) => peer.connection_id == connection_id,
            None => self.context.lane == Lane::Owner,
        };
        let rows = [Lane::Connection, Lane::Member].into_iter().filter_map(|lane| event::find(lane, event_type));
        let cap_bytes = rows.map(|row| row.cap_bytes).max();
        cap_bytes.filter(|_| is_named && is_reachable).ok_or(HostError::Denied)
    }
}

fn check_key(key: &str) -> Result<(), HostError> {
    if key.is_empty() { Err(HostError::Invalid) } else { check_prefix(key) }
}

fn check_prefix(prefix: &str) -> Result<(), HostError> {
    let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    if plain && prefix.len() <= MAX_KEY_BYTES { Ok(()) } else { Err(HostError::Invalid) }
}

fn check_size(bytes: &[u8], cap: usize) -> Result<(), HostError> {
    if bytes.len() <= cap { Ok(()) } else { Err(HostError::Quota) }
}

fn check_note(note: &FeedNote) -> Result<(), HostError> {
    let is_line = !note.summary.is_empty() && !note.summary.chars().any(char::is_control);
    if is_line && note.summary.len() <= MAX_SUMMARY_BYTES { Ok(()) } else { Err(HostError::Invalid) }
}

impl Host for Guard<'_> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        let host = self.enter(HostCall::Store, 0)?;
        check_key(key)?;
        host.get(key)
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), HostError> {
        let host = self.enter(HostCall::Store, key.len().saturating_add(value.len()))?;
        check_key(key)?;
        check_size(value, MAX_VALUE_BYTES)?;
        host.put(key, value)
    }

    fn delete(&mut self, key: &str) -> Result<(), HostError> {
        let host = self.enter(HostCall::Store, key.len())?;
        check_key(key)?;
        host.delete(key)
    }

    fn list_keys(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>, HostError> {
        let host = self.enter(HostCall::Store, 0)?;
        check_prefix(prefix)?;
        host.list_keys(prefix, limit.min(MAX_KEYS_LISTED))
    }

    fn field(&mut self, name: &str) -> Result<Option<Field>, HostError> {
        self.enter(HostCall::FieldRead, 0)?;
        self.check_field(name)?;
        self.host.field(name)
    }

    fn field_list(&mut self) -> Result<Vec<FieldSummary>, HostError> {
        self.enter_as_owner(HostCall::FieldWrite, 0)?.field_list()
    }

    fn field_put(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.enter_as_owner(HostCall::FieldWrite, value.len())?;
        self.check_field(name)?;
        check_size(value, MAX_VALUE_BYTES)?;
        self.host.field_put(name, value)
    }

    fn field_delete(&mut self, name: &str) -> Result<(), HostError> {
        self.enter_as_owner(HostCall::FieldWrite, 0)?;
        self.check_field(name)?;
        self.host.field_delete(name)
    }

    fn sign(&mut self, object: &[u8]) -> Result<Vec<u8>, HostError> {
        let host = self.enter(HostCall::Sign, object.len())?;
        check_size(object, MAX_VALUE_BYTES)?;
        host.sign(object)
    }

    fn profile(&mut self) -> Result<ProfileView, HostError> {
        self.enter_as_owner(HostCall::Profile, 0)?.profile()
    }

    fn publish_profile(&mut self, public: &PublicProfile) -> Result<u64, HostError> {
        let more: usize = public.more.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
        self.enter_as_owner(HostCall::Profile, public.first_name.len().saturating_add(more))?.publish_profile(public)
    }

    fn send(
        &mut self,
        connection_id: ConnectionId,
        event_type: &EventType,
        payload: &[u8],
    ) -> Result<EventId, HostError> {
        self.enter(HostCall::Send, payload.len())?;
        let cap_bytes = self.check_send(connection_id, event_type)?;
        check_size(payload, cap_bytes)?;
        self.host.send(connection_id, event_type, payload)
    }

    fn feed(&mut self, note: &FeedNote) -> Result<(), HostError> {
        let host = self.enter(HostCall::Feed, note.summary.len())?;
        check_note(note)?;
        host.feed(note)
    }

    fn log(&mut self, level: Level, message: &str) {
        let fits = !message.chars().any(char::is_control) && message.len() <= MAX_LOG_BYTES;
        if let (Ok(host), true) = (self.enter(HostCall::Log, message.len()), fits) {
            host.log(level, message);
        }
    }
}
