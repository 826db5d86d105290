//! One durable event in hand: what it is, how often it was delivered, and the ways to let go of it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use bytes::Bytes;
use serde_json::json;
use vettid_wire::subject::Subject;

use super::InboxError;
use super::removal::{self, Remover};
use crate::connection::{Connection, REQUEST_TIMEOUT};

const ACK: &str = "+ACK";
const NAK: &str = "-NAK";
const TERM: &str = "+TERM";
const IN_PROGRESS: &str = "+WPI";

/// One durable event. To drop it is to have it delivered again half a minute later.
#[derive(Debug)]
pub struct InboxMessage {
    /// Where it was sent to; tells its origin.
    pub subject: Subject,
    /// What it carries.
    pub payload: Bytes,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
    /// Its place in the stream.
    pub sequence: u64,
    handle: Handle,
    remover: Remover,
}

/// What it takes to let go of a message.
#[derive(Debug)]
pub(super) struct Handle {
    connection: Connection,
    acknowledge: String,
    sequence: u64,
}

impl InboxMessage {
    pub(super) fn new(connection: &Connection, remover: Remover, subject: Subject, message: &Message) -> Self {
        let deliveries = message.info().map_or(1, |info| info.delivered.unsigned_abs());
        let handle = Handle::of(connection, message);
        Self { subject, payload: message.payload.clone(), deliveries, sequence: handle.sequence, handle, remover }
    }

    /// Its effect is committed: it is removed. Returns once the server knows.
    ///
    /// # Errors
    /// If the server does not answer; the event may be delivered again.
    pub async fn done(self) -> Result<(), InboxError> {
        self.handle.end(ACK).await
    }

    /// Its effect is committed: it is not delivered again, and is removed a little later, together with others. For
    /// whoever has many: the server stores what arrives meanwhile without waiting for the removal.
    ///
    /// # Errors
    /// If the connection is closed; the event may be delivered again.
    pub async fn done_soon(self) -> Result<(), InboxError> {
        self.handle.tell(ACK.to_owned()).await?;
        self.remover.done(self.sequence).await;
        Ok(())
    }

    /// It will never have an effect (it was put into quarantine, or is not for us): it is removed.
    ///
    /// # Errors
    /// If the server does not answer; the event may be delivered again.
    pub async fn give_up(self) -> Result<(), InboxError> {
        self.handle.end(TERM).await
    }

    /// Not now: it is delivered again after `delay`.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn later(self, delay: Duration) -> Result<(), InboxError> {
        self.handle.give_back(delay).await
    }

    /// Still at work: half a minute more.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn in_progress(&self) -> Result<(), InboxError> {
        self.handle.tell(IN_PROGRESS.to_owned()).await
    }
}

impl Handle {
    pub(super) fn of(connection: &Connection, message: &Message) -> Self {
        let acknowledge = message.reply.as_ref().map(ToString::to_string).unwrap_or_default();
        let sequence = message.info().map_or(0, |info| info.stream_sequence);
        Self { connection: connection.clone(), acknowledge, sequence }
    }

    pub(super) async fn discard(self) -> Result<(), InboxError> {
        self.end(TERM).await
    }

    pub(super) async fn give_back(&self, delay: Duration) -> Result<(), InboxError> {
        let nanoseconds = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.tell(format!("{NAK} {}", json!({ "delay": nanoseconds }))).await
    }

    /// Tells the consumer and waits until it knows; removes the message from the stream.
    async fn end(&self, how: &'static str) -> Result<(), InboxError> {
        let known = self.connection.exchange(&self.acknowledge, HeaderMap::new(), how.into(), REQUEST_TIMEOUT);
        let (known, removed) = tokio::join!(known, removal::remove(&self.connection, self.sequence));
        known?;
        if let Err(error) = removed {
            // The consumer will not deliver it again in any case; what stays behind is removed at the next opening.
            tracing::debug!(%error, "an event that is done stays in the inbox stream");
        }
        Ok(())
    }

    async fn tell(&self, text: String) -> Result<(), InboxError> {
        let sent = self.connection.client().publish(self.acknowledge.clone(), text.into()).await;
        sent.map_err(|_| InboxError::from(crate::connection::RequestError::Closed))
    }
}
