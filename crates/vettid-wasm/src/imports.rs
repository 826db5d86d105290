//! The imports of a component: each host call is checked for its form and handed to the caller's host.

use crate::bindings::vettid::handler::{
    exchange as wit, feed, field_read, field_write, log, profile, send, sign, store,
};
use crate::exchange::{from_host_error, from_time, to_level, to_note};
use crate::limits::{Limits, MemoryLimit};
use crate::relay::Relay;
use vettid_handler::host::{Host, HostError};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::profile::PublicProfile;

/// What belongs to one run of a component.
pub(crate) struct Run {
    relay: Relay,
    pub(crate) memory: MemoryLimit,
}

impl Run {
    pub(crate) fn new(relay: Relay, limits: &Limits) -> Self {
        Self { relay, memory: MemoryLimit::new(limits) }
    }

    async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Host) -> Result<R, HostError> + Send + 'static,
    ) -> Result<R, wit::HostError> {
        self.relay.call(work).await.map_err(from_host_error)
    }
}

impl wit::Host for Run {}

impl store::Host for Run {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, wit::HostError> {
        self.call(move |host| host.get(&key)).await
    }
    async fn put(&mut self, key: String, value: Vec<u8>) -> Result<(), wit::HostError> {
        self.call(move |host| host.put(&key, &value)).await
    }
    async fn delete(&mut self, key: String) -> Result<(), wit::HostError> {
        self.call(move |host| host.delete(&key)).await
    }
    async fn list_keys(&mut self, prefix: String, limit: u32) -> Result<Vec<String>, wit::HostError> {
        self.call(move |host| host.list_keys(&prefix, limit)).await
    }
}

impl field_read::Host for Run {
    async fn field(&mut self, name: String) -> Result<Option<field_read::FieldValue>, wit::HostError> {
        let field = self.call(move |host| host.field(&name)).await?;
        Ok(field.map(|field| field_read::FieldValue { value: field.value, updated_at: from_time(field.updated_at) }))
    }
}

impl field_write::Host for Run {
    async fn field_list(&mut self) -> Result<Vec<field_write::FieldSummary>, wit::HostError> {
        let fields = self.call(|host| host.field_list()).await?.into_iter();
        let summary = fields.map(|summary| field_write::FieldSummary {
            field: summary.field,
            updated_at: from_time(summary.updated_at),
        });
        Ok(summary.collect())
    }
    async fn field_put(&mut self, name: String, value: Vec<u8>) -> Result<(), wit::HostError> {
        self.call(move |host| host.field_put(&name, &value)).await
    }
    async fn field_delete(&mut self, name: String) -> Result<(), wit::HostError> {
        self.call(move |host| host.field_delete(&name)).await
    }
}

impl sign::Host for Run {
    async fn sign(&mut self, object: Vec<u8>) -> Result<Vec<u8>, wit::HostError> {
        self.call(move |host| host.sign(&object)).await
    }
}

impl profile::Host for Run {
    async fn profile(&mut self) -> Result<profile::ProfileView, wit::HostError> {
        let view = self.call(|host| host.profile()).await?;
        let public = view.public.map(|public| profile::PublicProfile {
            first_name: public.first_name,
            more: public.more.into_iter().collect(),
        });
        Ok(profile::ProfileView { public, sequence: view.sequence })
    }
    async fn publish_profile(&mut self, public: profile::PublicProfile) -> Result<u64, wit::HostError> {
        let entries = public.more.len();
        let public = PublicProfile { first_name: public.first_name, more: public.more.into_iter().collect() };
        if public.more.len() != entries {
            return Err(wit::HostError::Invalid);
        }
        self.call(move |host| host.publish_profile(&public)).await
    }
}

impl send::Host for Run {
    async fn send(
        &mut self,
        connection_id: String,
        event_type: String,
        payload: Vec<u8>,
    ) -> Result<String, wit::HostError> {
        let connection_id: ConnectionId = connection_id.parse().map_err(|_| wit::HostError::Invalid)?;
        let event_type = event_type.parse().map_err(|_| wit::HostError::Invalid)?;
        let sent: EventId = self.call(move |host| host.send(connection_id, &event_type, &payload)).await?;
        Ok(sent.to_string())
    }
}

impl feed::Host for Run {
    async fn feed(&mut self, note: feed::FeedNote) -> Result<(), wit::HostError> {
        let note = to_note(note).ok_or(wit::HostError::Invalid)?;
        self.call(move |host| host.feed(&note)).await
    }
}

impl log::Host for Run {
    async fn log(&mut self, level: log::Level, message: String) {
        self.relay.call(move |host| host.log(to_level(level), &message)).await;
    }
}
