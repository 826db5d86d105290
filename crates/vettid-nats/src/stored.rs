//! Reading the stored messages of one subject, first to last, in batches and without a consumer on the server.
//! Must never end early without an error: a missing batch is a failure, not an end.

use std::collections::VecDeque;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use vettid_core::grants::broker::Stream;

use crate::api::ApiError;
use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 << 20;

const SEQUENCE: &str = "Nats-Sequence";
const PENDING: &str = "Nats-Num-Pending";

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// What it carries.
    pub(crate) bytes: Bytes,
}

/// The messages of one subject that are still to be read.
pub(crate) struct StoredMessages {
    connection: Connection,
    stream: Stream,
    subject: String,
    /// Where the next batch starts.
    from: u64,
    ready: VecDeque<StoredMessage>,
    complete: bool,
}

/// One message of a batch.
enum Part {
    Message(StoredMessage),
    /// The batch is over; so many messages follow it.
    End(u64),
    Nothing,
}

impl StoredMessages {
    pub(crate) fn new(connection: Connection, stream: Stream, subject: String) -> Self {
        let ready = VecDeque::new();
        Self { connection, stream, subject, from: 1, ready, complete: false }
    }

    /// The next message; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredMessage>, ApiError> {
        while self.ready.is_empty() && !self.complete {
            let batch = self.fetch().await?;
            batch.into_iter().try_for_each(|message| self.take(message))?;
        }
        Ok(self.ready.pop_front())
    }

    /// One batch, up to and with the message that ends it.
    async fn fetch(&self) -> Result<Vec<Message>, ApiError> {
        let client = self.connection.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| RequestError::Closed)?;
        let request = json!({
            "seq": self.from,
            "next_by_subj": self.subject,
            "batch": BATCH,
            "max_bytes": BATCH_BYTES,
        });
        let subject = self.stream.direct_get();
        let sent = client.publish_with_reply(subject.clone(), inbox, request.to_string().into());
        let receive = async {
            sent.await.map_err(|_| RequestError::Closed)?;
            let mut batch = Vec::new();
            loop {
                let message = tokio::time::timeout(REQUEST_TIMEOUT, answers.next()).await;
                let message = message.map_err(|_| RequestError::TimedOut)?.ok_or(RequestError::Closed)?;
                let last = message.status.is_some();
                batch.push(message);
                if last {
                    return Ok(batch);
                }
            }
        };
        Ok(self.connection.unless_denied(&subject, receive).await?)
    }

    fn take(&mut self, message: Message) -> Result<(), ApiError> {
        match part(message)? {
            Part::Message(message) if message.sequence >= self.from => {
                self.from = message.sequence + 1;
                self.ready.push_back(message);
            }
            Part::Message(_) => return Err(malformed("stored messages out of order")),
            Part::End(pending) => self.complete = pending == 0,
            Part::Nothing => self.complete = true,
        }
        Ok(())
    }
}

fn part(message: Message) -> Result<Part, ApiError> {
    let headers = message.headers.unwrap_or_default();
    match message.status.map(|status| status.as_u16()) {
        None => {
            let sequence = number(&headers, SEQUENCE)?;
            Ok(Part::Message(StoredMessage { sequence, bytes: message.payload }))
        }
        Some(204) => Ok(Part::End(number(&headers, PENDING)?)),
        Some(404) => Ok(Part::Nothing),
        Some(503) => Err(RequestError::NobodyListens.into()),
        Some(_) => Err(malformed("stored messages cannot be read")),
    }
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, ApiError> {
    let value = headers.get(name).and_then(|value| value.as_str().parse().ok());
    value.ok_or_else(|| malformed("stored message without its place"))
}

fn malformed(what: &'static str) -> ApiError {
    ApiError::Malformed(what.into())
}
