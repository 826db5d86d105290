//! Messages that nobody heard: the server tells so at once whoever sent them with a number. Who is told nothing knows nothing: a
//! message that somebody hears is not acknowledged.

use super::{Connection, RequestError, publish_error};
use crate::connection::denial::Action;
use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

/// A message of this member's, with the number that it was sent with, was heard by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheard {
    /// Whose message it was.
    pub member: MemberId,
    /// The sender's number for it.
    pub number: u64,
}

/// What the server tells of messages that nobody heard.
#[derive(Debug)]
pub struct UnheardMessages {
    prefix: String,
    subscriber: Subscriber,
}

impl UnheardMessages {
    /// The next one; `None` once the connection is closed. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Unheard> {
        loop {
            let message = self.subscriber.next().await?;
            let unheard = message.subject.strip_prefix(&self.prefix).and_then(read);
            if let (Some(unheard), Some(StatusCode::NO_RESPONDERS)) = (unheard, message.status) {
                return Some(unheard);
            }
        }
    }
}

fn read(rest: &str) -> Option<Unheard> {
    let (member, number) = rest.split_once('.')?;
    Some(Unheard { member: member.parse().ok()?, number: number.parse().ok()? })
}

impl Connection {
    /// Sends as [`publish`](Connection::publish) does. If nobody listens there, [`unheard`](Connection::unheard) gives `note`. Whoever
    /// listens sees it, too.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn publish_noting(&self, subject: &Subject, payload: Bytes, note: Unheard) -> Result<(), RequestError> {
        let subject = subject.to_string();
        self.life.denials.known(Action::Publish, &subject)?;
        let reply = format!("{}{}.{}", self.unheard_prefix(), note.member, note.number);
        let sent = self.client.publish_with_reply(subject, reply, payload).await;
        sent.map_err(|error| publish_error(error.kind()))
    }

    /// What nobody heard of what this connection sends from now on with a note.
    ///
    /// # Errors
    /// If the connection is closed, or the server is known to forbid it.
    pub async fn unheard(&self) -> Result<UnheardMessages, RequestError> {
        let prefix = self.unheard_prefix();
        let pattern = format!("{prefix}>");
        self.life.denials.known(Action::Subscribe, &pattern)?;
        let subscriber = self.client.subscribe(pattern).await.map_err(|_| RequestError::Closed)?;
        Ok(UnheardMessages { prefix, subscriber })
    }

    /// Below the private inbox, where answers to requests have one token fewer.
    fn unheard_prefix(&self) -> String {
        format!("{}.unheard.", self.inbox())
    }
}
