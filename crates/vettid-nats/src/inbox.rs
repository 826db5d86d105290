//! Durable events: captured by the inbox stream before their sender is told so, handed to this host (or service) by its
//! own durable consumer, removed when their effect is committed. Must never remove an event that was not.

mod consumer;
mod message;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::subject::Subject;

use crate::api::{ApiError, STORE_FAILED};
use crate::connection::{Connection, RequestError};
use consumer::Consumer;

pub use message::InboxMessage;

/// Why the inbox gives nothing, or takes nothing.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The server could not be asked or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The receiver has no room for more. Try again later.
    #[error("the inbox has no room")]
    Full,
    /// The consumer failed; open the inbox again.
    #[error("the inbox consumer failed")]
    Consumer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<RequestError> for InboxError {
    fn from(error: RequestError) -> Self {
        Self::Api(error.into())
    }
}

/// Whose events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Everybody's: one host serves all, or the account is the receiver's own.
    All,
    /// Those of these members.
    Only(BTreeSet<MemberId>),
}

/// A durable event for somebody else's inbox: stored before this returns. `event_id` keeps a repetition from being stored
/// twice within some minutes; later ones the receiver recognises itself.
///
/// # Errors
/// See [`InboxError`].
pub async fn deliver(
    connection: &Connection,
    subject: &Subject,
    event_id: EventId,
    payload: Bytes,
) -> Result<(), InboxError> {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, event_id.to_string());
    match connection.store(&subject.to_string(), headers, payload).await {
        Ok(_) => Ok(()),
        Err(error) if error.number() == Some(STORE_FAILED) => Err(InboxError::Full),
        Err(error) => Err(error.into()),
    }
}

/// The events for the members of one host, or for one service.
pub struct Inbox {
    connection: Connection,
    consumer: Consumer,
    messages: Option<async_nats::jetstream::consumer::pull::Stream>,
    foreign: u64,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

/// Longest pause between two messages before the server is asked again; lost requests are noticed within twice this time.
const HEARTBEAT: Duration = Duration::from_secs(5);
const EXPIRY: Duration = Duration::from_secs(30);
const BATCH: usize = 256;

impl Inbox {
    /// Opens the inbox with the consumer of this name, which must be the name of the connection's user. The consumer is made
    /// if it is new, and remembers what is done.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn open(connection: &Connection, name: &str, members: Members) -> Result<Self, InboxError> {
        let consumer = Consumer::open(connection, name, members).await?;
        let mut inbox = Self { connection: connection.clone(), consumer, messages: None, foreign: 0 };
        inbox.pull().await?;
        Ok(inbox)
    }

    /// Takes on a member, with all events that already wait for it.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn attach(&mut self, member: MemberId) -> Result<(), InboxError> {
        self.consumer.attach(&self.connection, member).await?;
        self.pull().await
    }

    /// Lets a member go: its events wait for another host.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn detach(&mut self, member: MemberId) -> Result<(), InboxError> {
        self.consumer.detach(&self.connection, member).await?;
        self.pull().await
    }

    /// The next event. Waits for ever where there is no member.
    ///
    /// # Errors
    /// If the consumer failed; the inbox is then to be opened again.
    pub async fn next(&mut self) -> Result<InboxMessage, InboxError> {
        loop {
            let Some(messages) = &mut self.messages else {
                return std::future::pending().await;
            };
            let message = match messages.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(InboxError::Consumer(error.into())),
                None => return Err(RequestError::Closed.into()),
            };
            match InboxMessage::read(&self.connection, message) {
                Ok(message) => return Ok(message),
                Err(foreign) => {
                    self.foreign += 1;
                    foreign.discard().await?;
                }
            }
        }
    }

    /// Messages that were removed because their subject is not one of VettID's.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    async fn pull(&mut self) -> Result<(), InboxError> {
        self.messages = match self.consumer.handle(&self.connection).await? {
            None => None,
            Some(handle) => {
                let stream =
                    handle.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(EXPIRY).messages();
                Some(stream.await.map_err(|error| InboxError::Consumer(error.into()))?)
            }
        };
        Ok(())
    }
}
