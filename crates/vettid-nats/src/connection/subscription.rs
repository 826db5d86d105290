//! A subscription: messages with parsed subjects, until the server forbids it or the connection is closed.
//! Must never hand on a message whose subject is not one of VettID's.

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use vettid_wire::subject::Subject;

use super::RequestError;
use super::denial::{Action, Denial, DenialWatch};

/// A message.
#[derive(Debug)]
pub struct Incoming {
    /// Where it arrived.
    pub subject: Subject,
    /// What it carries.
    pub payload: Bytes,
    /// How to answer, if the sender waits for an answer.
    pub reply: Option<Reply>,
}

/// The way back to the sender of a request.
#[derive(Debug)]
pub struct Reply {
    client: Client,
    subject: async_nats::Subject,
}

impl Reply {
    /// Answers, once.
    ///
    /// # Errors
    /// If the connection is closed or the answer is too large.
    pub async fn send(self, payload: Bytes) -> Result<(), RequestError> {
        self.client.publish(self.subject, payload).await.map_err(|error| super::publish_error(error.kind()))
    }
}

/// What arrives on some subjects.
pub struct Subscription {
    pattern: String,
    subscriber: Subscriber,
    denials: DenialWatch,
    client: Client,
    foreign: u64,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Subscription").field(&self.pattern).finish()
    }
}

impl Subscription {
    pub(super) fn new(pattern: String, subscriber: Subscriber, denials: DenialWatch, client: Client) -> Self {
        Self { pattern, subscriber, denials, client, foreign: 0 }
    }

    /// The next message; `None` once the connection is closed.
    ///
    /// # Errors
    /// If the server forbids the subscription; nothing will come.
    pub async fn next(&mut self) -> Option<Result<Incoming, Denial>> {
        loop {
            let pattern = &self.pattern;
            let denied = |denial: &Denial| denial.action == Action::Subscribe && denial.subject == *pattern;
            let message = tokio::select! {
                biased;
                message = self.subscriber.next() => message?,
                denial = self.denials.find(denied) => return Some(Err(denial)),
            };
            match message.subject.parse() {
                Ok(subject) => return Some(Ok(self.incoming(subject, message))),
                Err(_) => self.foreign += 1,
            }
        }
    }

    /// Messages that were dropped because their subject is not one of VettID's.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Ends the subscription.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn end(mut self) -> Result<(), RequestError> {
        self.subscriber.unsubscribe().await.map_err(|_| RequestError::Closed)
    }

    fn incoming(&self, subject: Subject, message: async_nats::Message) -> Incoming {
        let reply = message.reply.map(|subject| Reply { client: self.client.clone(), subject });
        Incoming { subject, payload: message.payload, reply }
    }
}
