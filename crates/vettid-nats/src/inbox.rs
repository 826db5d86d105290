//! Durable events: captured by the inbox stream before their sender is told so, handed to this host (or service) by its
//! own durable consumer, removed when their effect is committed. Must never remove an event that was not.

mod consumer;
mod message;
mod removal;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::subject::Subject;

use crate::api::{ApiError, NO_ROOM};
use crate::connection::{Connection, RequestError};
use consumer::{Consumer, Fate};
use message::Handle;
use removal::Remover;

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
        Err(error) if error.number().is_some_and(|number| NO_ROOM.contains(&number)) => Err(InboxError::Full),
        Err(error) => Err(error.into()),
    }
}

/// The events for the members of one host, or for one service.
pub struct Inbox {
    connection: Connection,
    consumer: Consumer,
    messages: Option<async_nats::jetstream::consumer::pull::Stream>,
    remover: Remover,
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
/// What is given back must not come again to the one who gives it back.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(500);

impl Inbox {
    /// Opens the inbox with the consumer of this name, which must be the name of the connection's user. The consumer is made
    /// if it is new, and remembers what is done.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn open(connection: &Connection, name: &str, members: Members) -> Result<Self, InboxError> {
        let consumer = Consumer::open(connection, name, members).await?;
        let remover = Remover::start(connection.clone(), consumer.left());
        let mut inbox = Self { connection: connection.clone(), consumer, messages: None, remover, foreign: 0 };
        inbox.pull().await?;
        Ok(inbox)
    }

    /// Takes on a member, with all events that already wait for it.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn attach(&mut self, member: MemberId) -> Result<(), InboxError> {
        self.remover.now().await;
        let fate = self.consumer.attach(&self.connection, member).await?;
        self.follow(fate).await
    }

    /// Lets a member go: its events wait for another host.
    ///
    /// # Errors
    /// See [`InboxError`].
    pub async fn detach(&mut self, member: MemberId) -> Result<(), InboxError> {
        self.remover.now().await;
        let fate = self.consumer.detach(&self.connection, member).await?;
        self.follow(fate).await
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
            match message.subject.parse() {
                Ok(subject) => return Ok(InboxMessage::new(&self.connection, self.remover.clone(), subject, &message)),
                Err(_) => {
                    self.foreign += 1;
                    Handle::of(&self.connection, &message).discard().await?;
                }
            }
        }
    }

    /// Messages that were removed because their subject is not one of VettID's.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Gives back what was fetched but not asked for yet, so that the next to open this inbox gets it soon, and removes what is done. Events that
    /// are in hand are given back with [`InboxMessage::later`], else they come again after half a minute.
    ///
    /// # Errors
    /// If the server does not answer; the events come again after half a minute.
    pub async fn close(mut self) -> Result<(), InboxError> {
        self.remover.now().await;
        let Some(mut messages) = self.messages.take() else { return Ok(()) };
        // What the server has sent by now is here after this.
        self.connection.settle().await?;
        for _ in 0..2 * BATCH {
            let Some(Some(Ok(message))) = messages.next().now_or_never() else { break };
            Handle::of(&self.connection, &message).give_back(GIVE_BACK_PAUSE).await?;
        }
        Ok(self.connection.settle().await?)
    }

    /// An inbox whose consumer was replaced is pulled from anew; the old consumer's events in hand come again.
    async fn follow(&mut self, fate: Fate) -> Result<(), InboxError> {
        match fate {
            Fate::Kept => Ok(()),
            Fate::Replaced => self.pull().await,
        }
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
