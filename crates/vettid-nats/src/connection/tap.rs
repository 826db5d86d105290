//! Everything that a user may see, as it is: for observers that look for what should not be there.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;

/// A message of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it was sent to.
    pub subject: String,
    /// Where its answer should go.
    pub reply: Option<String>,
    /// Its headers, name and value.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub payload: Bytes,
}

/// All messages from now on.
#[derive(Debug)]
pub struct Tap(Subscriber);

impl Tap {
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self(subscriber)
    }

    /// The next message; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Seen> {
        let message = self.0.next().await?;
        let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
        let pairs =
            headers.flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())));
        Some(Seen {
            subject: message.subject.to_string(),
            reply: message.reply.as_ref().map(ToString::to_string),
            headers: pairs.collect(),
            payload: message.payload.clone(),
        })
    }
}
