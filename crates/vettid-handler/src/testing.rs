//! A host in memory, for tests of handlers and for comparing two ways to run one handler. It records every effect.

use crate::event::{Answer, Context, Event};
use crate::feed::{FeedNote, Level};
use crate::handlers::Handlers;
use crate::host::{Field, Host, HostError};
use crate::reply::{HandlerError, Reply};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::auth::Decision;
use vettid_wire::base64::Base64;
use vettid_wire::contract::Tier;
use vettid_wire::data::FieldSummary;
use vettid_wire::event::{EventType, Lane};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json;
use vettid_wire::profile::{ProfileView, PublicProfile};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Something that a handler did through its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Wrote a key of its store.
    Put(String, Vec<u8>),
    /// Removed a key of its store.
    Delete(String),
    /// Stored a field.
    FieldPut(String, Vec<u8>),
    /// Removed a field.
    FieldDelete(String),
    /// Had an object signed.
    Sign(Vec<u8>),
    /// Published a profile.
    Publish(PublicProfile),
    /// Sent an event.
    Send(ConnectionId, EventType, Vec<u8>),
    /// Wrote a feed note.
    Feed(FeedNote),
    /// Wrote a log line.
    Log(Level, String),
}

/// A vault's memory as handlers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryHost {
    /// The handler's store.
    pub store: BTreeMap<String, Vec<u8>>,
    /// The owner's fields.
    pub fields: BTreeMap<String, Field>,
    /// The published profile.
    pub profile: Option<PublicProfile>,
    /// Its sequence.
    pub sequence: u64,
    /// The active connections.
    pub connections: BTreeSet<ConnectionId>,
    /// Everything that was done, in order.
    pub effects: Vec<Effect>,
    /// The clock of the present event.
    pub now: Timestamp,
    /// Whether the present event may read fields.
    pub is_field_authorised: bool,
    /// Whether the row of the present event lets the vault sign.
    pub is_signer: bool,
    /// Most keys in the store; `None` for no bound.
    pub max_keys: Option<usize>,
    /// How many events were sent, for the ids of the next ones.
    pub sent: u64,
}

impl MemoryHost {
    /// Handles one event as a vault does: with the handler of the table, and without effect unless it replies.
    ///
    /// # Errors
    /// What the handler refuses, and events without a handler.
    pub fn run(&mut self, handlers: &Handlers, event: &Event) -> Result<Reply, HandlerError> {
        let context = &event.context;
        let handler = handlers.find(context.lane, &context.event_type).ok_or(RefusalCode::UnsupportedEvent)?;
        let mut trial = self.clone();
        trial.begin(context);
        let reply = handler.handle(&mut trial, event)?;
        *self = trial;
        Ok(reply)
    }

    /// Gets ready for an event: authorises what a vault would authorise for its lane, tier and answer.
    pub fn begin(&mut self, context: &Context) {
        self.now = context.occurred_at;
        let tier = context.service().and_then(|(_, service)| service.tier);
        self.is_field_authorised = match tier {
            None => context.lane == Lane::Owner,
            Some(Tier::Consent) => is_approved(context),
            Some(_) => true,
        };
        self.is_signer = context.lane == Lane::Service && context.event_type.as_str() == "auth.challenge";
    }

    fn record(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

fn is_approved(context: &Context) -> bool {
    matches!(&context.answer, Some(Answer::Decided(decided)) if decided.decision == Decision::Approve)
}

impl Host for MemoryHost {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.store.get(key).cloned())
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), HostError> {
        if self.max_keys.is_some_and(|most| self.store.len() >= most && !self.store.contains_key(key)) {
            return Err(HostError::Quota);
        }
        self.record(Effect::Put(key.to_owned(), value.to_vec()));
        self.store.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), HostError> {
        self.record(Effect::Delete(key.to_owned()));
        self.store.remove(key);
        Ok(())
    }

    fn list_keys(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>, HostError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.store.keys().filter(|key| key.starts_with(prefix)).take(limit).cloned().collect())
    }

    fn field(&mut self, name: &str) -> Result<Option<Field>, HostError> {
        if self.is_field_authorised { Ok(self.fields.get(name).cloned()) } else { Err(HostError::Denied) }
    }

    fn field_list(&mut self) -> Result<Vec<FieldSummary>, HostError> {
        let summary =
            |(name, field): (&String, &Field)| FieldSummary { field: name.clone(), updated_at: field.updated_at };
        Ok(self.fields.iter().map(summary).collect())
    }

    fn field_put(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.record(Effect::FieldPut(name.to_owned(), value.to_vec()));
        self.fields.insert(name.to_owned(), Field { value: value.to_vec(), updated_at: self.now });
        Ok(())
    }

    fn field_delete(&mut self, name: &str) -> Result<(), HostError> {
        self.record(Effect::FieldDelete(name.to_owned()));
        self.fields.remove(name);
        Ok(())
    }

    /// Adds a key id and a signature of the right form that stands for the object's length, so that it shows what was signed.
    fn sign(&mut self, object: &[u8]) -> Result<Vec<u8>, HostError> {
        if !self.is_signer {
            return Err(HostError::Denied);
        }
        let Ok(Value::Object(mut signed)) = json::parse(object) else {
            return Err(HostError::Invalid);
        };
        self.record(Effect::Sign(object.to_vec()));
        signed.insert("key_id".to_owned(), format!("k_{}", "a".repeat(26)).into());
        signed.insert("signature".to_owned(), Base64::new(object.len().to_be_bytes()).to_string().into());
        json::canonical(&signed).map_err(|_| HostError::Invalid)
    }

    fn profile(&mut self) -> Result<ProfileView, HostError> {
        Ok(ProfileView { public: self.profile.clone(), sequence: self.sequence })
    }

    fn publish_profile(&mut self, public: &PublicProfile) -> Result<u64, HostError> {
        self.record(Effect::Publish(public.clone()));
        self.profile = Some(public.clone());
        self.sequence += 1;
        Ok(self.sequence)
    }

    fn send(
        &mut self,
        connection_id: ConnectionId,
        event_type: &EventType,
        payload: &[u8],
    ) -> Result<EventId, HostError> {
        if !self.connections.contains(&connection_id) {
            return Err(HostError::NotConnected);
        }
        self.record(Effect::Send(connection_id, event_type.clone(), payload.to_vec()));
        self.sent += 1;
        let [a, b, c, d, e, f, g, h] = self.sent.to_be_bytes();
        Ok(EventId::v7(self.now, [0, 0, a, b, c, d, e, f, g, h]))
    }

    fn feed(&mut self, note: &FeedNote) -> Result<(), HostError> {
        self.record(Effect::Feed(note.clone()));
        Ok(())
    }

    fn log(&mut self, level: Level, message: &str) {
        self.record(Effect::Log(level, message.to_owned()));
    }
}
