//! Last values: the signed profile of a vault, and what it can do. The newest one is kept for whoever asks later.

use async_nats::HeaderMap;
use bytes::Bytes;
use vettid_core::grants::broker::Stream;
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, Subject};

use crate::api::ApiError;
use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// Publishes the profile and keeps it as the last one.
///
/// # Errors
/// If it was not stored.
pub async fn publish_profile(connection: &Connection, member: MemberId, profile: Bytes) -> Result<(), ApiError> {
    keep(connection, &Subject::OwnerProfile(member), profile).await
}

/// Publishes what the vault can do and keeps it as the last value.
///
/// # Errors
/// If it was not stored.
pub async fn publish_event_types(
    connection: &Connection,
    member: MemberId,
    event_types: Bytes,
) -> Result<(), ApiError> {
    keep(connection, &Subject::EventTypes(member), event_types).await
}

async fn keep(connection: &Connection, subject: &Subject, value: Bytes) -> Result<(), ApiError> {
    connection.store(&subject.to_string(), HeaderMap::new(), value).await.map(|_| ())
}

/// The last profile, as a connection or service reads it in the member's MessageSpace.
///
/// # Errors
/// If the server could not be asked.
pub async fn read_profile(connection: &Connection, member: MemberId) -> Result<Option<Bytes>, RequestError> {
    read(connection, &Subject::OwnerProfileGet(member).to_string()).await
}

/// The last profile, as a host reads it.
///
/// # Errors
/// If the server could not be asked.
pub async fn kept_profile(connection: &Connection, member: MemberId) -> Result<Option<Bytes>, RequestError> {
    read(connection, &Stream::Profiles.direct_get_last(&Pattern::OwnerProfile(Some(member)))).await
}

/// The last event types, as a host reads them.
///
/// # Errors
/// If the server could not be asked.
pub async fn kept_event_types(connection: &Connection, member: MemberId) -> Result<Option<Bytes>, RequestError> {
    read(connection, &Stream::Profiles.direct_get_last(&Pattern::EventTypes(Some(member)))).await
}

/// A direct read: the message itself is the answer, or a status without content where there is none.
async fn read(connection: &Connection, subject: &str) -> Result<Option<Bytes>, RequestError> {
    let message = connection.exchange(subject, HeaderMap::new(), Bytes::new(), REQUEST_TIMEOUT).await?;
    Ok(if message.status.is_some() { None } else { Some(message.payload) })
}
