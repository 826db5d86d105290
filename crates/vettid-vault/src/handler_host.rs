//! What the vault lets a handler do: the host functions over the draft of the present step. A handler reaches its own
//! keys, the fields that its event was authorised for, and nothing else of the vault.

use crate::feed::{self, Note};
use crate::field::{self, StoredField};
use crate::profile;
use crate::projection::UnreadableState;
use crate::send;
use crate::step::Step;
use serde_json::Value;
use vettid_handler::event::{Answer, Context};
use vettid_handler::feed::{FeedNote, Level};
use vettid_handler::host::{Field, Host, HostError};
use vettid_wire::auth::Decision;
use vettid_wire::contract::Tier;
use vettid_wire::data::FieldSummary;
use vettid_wire::event::{EventType, Lane};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json;
use vettid_wire::profile::{ProfileView, PublicProfile};

/// Longest key of a handler's store in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Largest value of a handler's store in bytes.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Most keys in one handler's store.
const MAX_KEYS: i64 = 1_000_000;

/// The fields that an event may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldAuthority {
    /// Any field: the owner's own command.
    Owner,
    /// This field alone: a service's request that passed its contract.
    One(String),
    /// None.
    Nothing,
}

/// The host functions for one event.
pub struct HandlerHost<'h, 's> {
    step: &'h mut Step<'s>,
    context: &'h Context,
    store: String,
    fields: FieldAuthority,
    failure: Option<UnreadableState>,
}

impl<'h, 's> HandlerHost<'h, 's> {
    /// Host functions for this event, with the store of this handler.
    pub fn new(step: &'h mut Step<'s>, context: &'h Context, handler: &str, fields: FieldAuthority) -> Self {
        Self { step, context, store: format!("data/{handler}/"), fields, failure: None }
    }

    /// The first failure of the vault itself; the step must then not be kept.
    pub fn into_failure(self) -> Option<UnreadableState> {
        self.failure
    }

    fn fail(&mut self, failure: UnreadableState) -> HostError {
        self.failure.get_or_insert(failure);
        HostError::Unavailable
    }

    fn key(&self, key: &str) -> Result<String, HostError> {
        let fits = (1..=MAX_KEY_BYTES).contains(&key.len());
        if fits { Ok(format!("{}{key}", self.store)) } else { Err(HostError::Invalid) }
    }

    /// Keeps count of the keys in this store, and refuses one too many.
    fn count_keys(&mut self, change: i64) -> Result<(), HostError> {
        let counter = format!("keys/{}", self.store);
        let count = self.step.draft.get::<i64>(&counter).map_err(|failure| self.fail(failure))?.unwrap_or(0) + change;
        if count > MAX_KEYS {
            return Err(HostError::Quota);
        }
        self.step.draft.put(counter, &count).map_err(|failure| self.fail(failure))
    }

    fn owner_commands(&self) -> Result<(), HostError> {
        if self.context.lane == Lane::Owner { Ok(()) } else { Err(HostError::Denied) }
    }

    fn may_read(&self, name: &str) -> bool {
        match &self.fields {
            FieldAuthority::Owner => true,
            FieldAuthority::One(field) => field == name && !self.waits_for_consent(),
            FieldAuthority::Nothing => false,
        }
    }

    fn waits_for_consent(&self) -> bool {
        let tier = self.context.service().and_then(|(_, service)| service.tier);
        let approved = matches!(&self.context.answer, Some(Answer::Decided(d)) if d.decision == Decision::Approve);
        tier == Some(Tier::Consent) && !approved
    }

    fn may_send(&self, connection_id: ConnectionId) -> bool {
        let own = self.context.peer.as_ref().is_some_and(|peer| peer.connection_id == connection_id);
        own || self.context.lane == Lane::Owner
    }
}

impl Host for HandlerHost<'_, '_> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.step.draft.bytes(&self.key(key)?).map(<[u8]>::to_vec))
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), HostError> {
        let key = self.key(key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(HostError::Quota);
        }
        if !self.step.draft.has(&key) {
            self.count_keys(1)?;
        }
        self.step.draft.put_bytes(key, value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), HostError> {
        let key = self.key(key)?;
        if self.step.draft.has(&key) {
            self.count_keys(-1)?;
            self.step.draft.remove(&key);
        }
        Ok(())
    }

    fn list_keys(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>, HostError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let keys = self.step.draft.keys(&format!("{}{prefix}", self.store), limit);
        Ok(keys.iter().filter_map(|key| key.strip_prefix(&self.store)).map(str::to_owned).collect())
    }

    fn field(&mut self, name: &str) -> Result<Option<Field>, HostError> {
        if !self.may_read(name) {
            return Err(HostError::Denied);
        }
        let Some(stored) = field::get(&self.step.draft, name).map_err(|failure| self.fail(failure))? else {
            return Ok(None);
        };
        let value = json::canonical(&stored.value).map_err(|_| HostError::Invalid)?;
        Ok(Some(Field { value, updated_at: stored.updated_at }))
    }

    fn field_list(&mut self) -> Result<Vec<FieldSummary>, HostError> {
        self.owner_commands()?;
        field::list(&self.step.draft).map_err(|failure| self.fail(failure))
    }

    fn field_put(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.owner_commands()?;
        let value: Value = json::parse(value).map_err(|_| HostError::Invalid)?;
        let stored = StoredField { value, updated_at: self.step.now };
        let kept = field::put(&mut self.step.draft, name, &stored).map_err(|failure| self.fail(failure))?;
        if kept { Ok(()) } else { Err(HostError::Invalid) }
    }

    fn field_delete(&mut self, name: &str) -> Result<(), HostError> {
        self.owner_commands()?;
        field::remove(&mut self.step.draft, name);
        Ok(())
    }

    fn sign(&mut self, object: &[u8]) -> Result<Vec<u8>, HostError> {
        let value = json::parse(object).map_err(|_| HostError::Invalid)?;
        send::sign_for_row(self.step, self.context, value)
    }

    fn profile(&mut self) -> Result<ProfileView, HostError> {
        self.owner_commands()?;
        profile::view(&self.step.draft).map_err(|failure| self.fail(failure))
    }

    fn publish_profile(&mut self, public: &PublicProfile) -> Result<u64, HostError> {
        self.owner_commands()?;
        profile::publish(self.step, public.clone()).map_err(|_| HostError::Unavailable)
    }

    fn send(
        &mut self,
        connection_id: ConnectionId,
        event_type: &EventType,
        payload: &[u8],
    ) -> Result<EventId, HostError> {
        if !self.may_send(connection_id) {
            return Err(HostError::Denied);
        }
        let body = json::parse(payload).map_err(|_| HostError::Invalid)?;
        send::to_connection(self.step, connection_id, event_type, body, None)
    }

    fn feed(&mut self, note: &FeedNote) -> Result<(), HostError> {
        let note = Note {
            event_type: self.context.event_type.clone(),
            connection_id: self.context.peer.as_ref().map(|peer| peer.connection_id),
            request_id: note.request_id,
            severity: note.severity,
            outcome: note.outcome,
            summary: note.summary.clone(),
        };
        let now = self.step.now;
        let entry = feed::add(&mut self.step.draft, now, note).map_err(|failure| self.fail(failure))?;
        self.step.told.push(entry);
        Ok(())
    }

    /// Only that a line was written: what a handler says may hold member data.
    fn log(&mut self, level: Level, message: &str) {
        tracing::debug!(store = self.store, level = ?level, bytes = message.len(), "handler log line");
    }
}
