//! The host functions of [`vettid_handler::host::Host`], group by group, as calls of the component's imports.

/// The functions of one group of host calls, for the body of an `impl Host`.
#[macro_export]
macro_rules! host_call {
    (store) => {
        fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::store::get(key).map_err($crate::calls::error)
        }
        fn put(&mut self, key: &str, value: &[u8]) -> Result<(), $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::store::put(key, value).map_err($crate::calls::error)
        }
        fn delete(&mut self, key: &str) -> Result<(), $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::store::delete(key).map_err($crate::calls::error)
        }
        fn list_keys(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>, $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::store::list_keys(prefix, limit).map_err($crate::calls::error)
        }
    };
    (field_read) => {
        fn field(
            &mut self,
            name: &str,
        ) -> Result<Option<$crate::handler::host::Field>, $crate::handler::host::HostError> {
            $crate::calls::field(name)
        }
    };
    (field_write) => {
        fn field_list(&mut self) -> Result<Vec<$crate::wire::data::FieldSummary>, $crate::handler::host::HostError> {
            $crate::calls::field_list()
        }
        fn field_put(&mut self, name: &str, value: &[u8]) -> Result<(), $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::field_write::field_put(name, value).map_err($crate::calls::error)
        }
        fn field_delete(&mut self, name: &str) -> Result<(), $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::field_write::field_delete(name).map_err($crate::calls::error)
        }
    };
    (sign) => {
        fn sign(&mut self, object: &[u8]) -> Result<Vec<u8>, $crate::handler::host::HostError> {
            $crate::bindings::vettid::handler::sign::sign(object).map_err($crate::calls::error)
        }
    };
    (profile) => {
        fn profile(&mut self) -> Result<$crate::wire::profile::ProfileView, $crate::handler::host::HostError> {
            $crate::calls::profile()
        }
        fn publish_profile(
            &mut self,
            public: &$crate::wire::profile::PublicProfile,
        ) -> Result<u64, $crate::handler::host::HostError> {
            $crate::calls::publish_profile(public)
        }
    };
    (send) => {
        fn send(
            &mut self,
            connection_id: $crate::wire::id::ConnectionId,
            event_type: &$crate::wire::event::EventType,
            payload: &[u8],
        ) -> Result<$crate::wire::id::EventId, $crate::handler::host::HostError> {
            $crate::calls::send(connection_id, event_type, payload)
        }
    };
    (feed) => {
        fn feed(&mut self, note: &$crate::handler::feed::FeedNote) -> Result<(), $crate::handler::host::HostError> {
            $crate::calls::feed(note)
        }
    };
    (log) => {
        fn log(&mut self, level: $crate::handler::feed::Level, message: &str) {
            $crate::calls::log(level, message);
        }
    };
}

use crate::bindings::vettid::handler as wit;
use crate::exchange::{from_refusal, to_time};
use vettid_handler::feed::{FeedNote, Level};
use vettid_handler::host::{Field, HostError};
use vettid_wire::data::FieldSummary;
use vettid_wire::event::EventType;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::profile::{ProfileView, PublicProfile};

#[doc(hidden)]
#[must_use]
pub fn error(error: wit::exchange::HostError) -> HostError {
    match error {
        wit::exchange::HostError::Denied => HostError::Denied,
        wit::exchange::HostError::Invalid => HostError::Invalid,
        wit::exchange::HostError::Quota => HostError::Quota,
        wit::exchange::HostError::NotConnected => HostError::NotConnected,
        wit::exchange::HostError::Unavailable => HostError::Unavailable,
    }
}

#[doc(hidden)]
pub fn field(name: &str) -> Result<Option<Field>, HostError> {
    let field = wit::field_read::field(name).map_err(error)?;
    Ok(field.map(|field| Field { value: field.value, updated_at: to_time(field.updated_at) }))
}

#[doc(hidden)]
pub fn field_list() -> Result<Vec<FieldSummary>, HostError> {
    let fields = wit::field_write::field_list().map_err(error)?;
    let summary = |field: wit::field_write::FieldSummary| FieldSummary {
        field: field.field,
        updated_at: to_time(field.updated_at),
    };
    Ok(fields.into_iter().map(summary).collect())
}

#[doc(hidden)]
pub fn profile() -> Result<ProfileView, HostError> {
    let view = wit::profile::profile().map_err(error)?;
    let public = |public: wit::profile::PublicProfile| PublicProfile {
        first_name: public.first_name,
        more: public.more.into_iter().collect(),
    };
    Ok(ProfileView { public: view.public.map(public), sequence: view.sequence })
}

#[doc(hidden)]
pub fn publish_profile(public: &PublicProfile) -> Result<u64, HostError> {
    let more = public.more.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let public = wit::profile::PublicProfile { first_name: public.first_name.clone(), more };
    wit::profile::publish_profile(&public).map_err(error)
}

#[doc(hidden)]
pub fn send(connection_id: ConnectionId, event_type: &EventType, payload: &[u8]) -> Result<EventId, HostError> {
    let id = wit::send::send(&connection_id.to_string(), event_type.as_str(), payload).map_err(error)?;
    id.parse().map_err(|_| HostError::Unavailable)
}

#[doc(hidden)]
pub fn feed(note: &FeedNote) -> Result<(), HostError> {
    let severity = match note.severity {
        Severity::Info => wit::feed::Severity::Info,
        Severity::Notice => wit::feed::Severity::Notice,
        Severity::Warning => wit::feed::Severity::Warning,
        Severity::Alarm => wit::feed::Severity::Alarm,
    };
    let outcome = match note.outcome {
        Outcome::Done => wit::feed::Outcome::Done,
        Outcome::Pending => wit::feed::Outcome::Pending,
        Outcome::Approved => wit::feed::Outcome::Approved,
        Outcome::Denied => wit::feed::Outcome::Denied,
        Outcome::Refused(code) => wit::feed::Outcome::Refused(from_refusal(code)),
    };
    let request_id = note.request_id.map(|id| id.to_string());
    wit::feed::feed(&wit::feed::FeedNote { severity, outcome, summary: note.summary.clone(), request_id })
        .map_err(error)
}

#[doc(hidden)]
pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => wit::log::Level::Debug,
        Level::Info => wit::log::Level::Info,
        Level::Warn => wit::log::Level::Warn,
        Level::Error => wit::log::Level::Error,
    };
    wit::log::log(level, message);
}
