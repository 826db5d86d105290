//! The durable consumer behind an inbox, and the members it serves. A consumer does not go back for events that came
//! before its filter wanted them; where there are such events it is made anew, which delivers again what is not done.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::pull};
use serde_json::{Value, json};
use vettid_core::grants::broker::Stream;
use vettid_core::grants::delivery::durable_of_member;
use vettid_wire::id::MemberId;

use super::removal::Left;
use super::{InboxError, Members};
use crate::api::{ApiError, CONSUMER_NOT_FOUND, CONSUMER_NOT_MADE, Done};
use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// An event that is neither done nor given back within this time is delivered again.
const ACK_WAIT_NS: u64 = 30_000_000_000;
const MAX_UNDONE: u32 = 2_000;
/// The server may still be removing the folder of a consumer of the same name that was deleted a moment ago, and then fails to make this one.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);

const STREAM: Stream = Stream::Inbox;

pub(super) struct Consumer {
    name: String,
    members: Members,
    /// Every event up to this place was done when the consumer was opened.
    floor: u64,
}

/// What the consumer on the server lets through.
#[derive(PartialEq, Eq)]
enum Filter {
    /// There is no consumer.
    Nothing,
    Everything,
    Only(BTreeSet<String>),
}

/// What became of the consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Whoever pulls from it goes on.
    Kept,
    /// It is another one, or none: to pull from it is to begin anew.
    Replaced,
}

impl Consumer {
    pub(super) async fn open(connection: &Connection, name: &str, members: Members) -> Result<Self, InboxError> {
        let mut consumer = Self { name: name.to_owned(), members, floor: 0 };
        let (had, floor) = consumer.on_server(connection).await?;
        // What was done and not removed comes once more from a consumer that begins anew; then it is no leftover.
        if consumer.bring(connection, had).await? == Fate::Kept {
            consumer.floor = floor;
        }
        Ok(consumer)
    }

    /// What an earlier process may have left behind.
    pub(super) fn left(&self) -> Left {
        let subjects = match self.wanted() {
            _ if self.floor == 0 => Vec::new(),
            Filter::Nothing => Vec::new(),
            Filter::Everything => vec![">".to_owned()],
            Filter::Only(subjects) => subjects.into_iter().collect(),
        };
        Left { subjects, floor: self.floor }
    }

    pub(super) async fn attach(&mut self, connection: &Connection, member: MemberId) -> Result<Fate, InboxError> {
        self.change(connection, |members| members.insert(member)).await
    }

    pub(super) async fn detach(&mut self, connection: &Connection, member: MemberId) -> Result<Fate, InboxError> {
        self.change(connection, |members| members.remove(&member)).await
    }

    async fn change(
        &mut self,
        connection: &Connection,
        change: impl FnOnce(&mut BTreeSet<MemberId>) -> bool,
    ) -> Result<Fate, InboxError> {
        let had = self.wanted();
        if let Members::Only(members) = &mut self.members {
            change(members);
        }
        self.bring(connection, had).await
    }

    /// The library's handle for pulling; `None` without members.
    pub(super) async fn handle(
        &self,
        connection: &Connection,
    ) -> Result<Option<jetstream::consumer::Consumer<pull::Config>>, InboxError> {
        if self.wanted() == Filter::Nothing {
            return Ok(None);
        }
        let context = jetstream::new(connection.client().clone());
        let handle = context.get_consumer_from_stream(&self.name, STREAM.name()).await;
        handle.map(Some).map_err(|error| InboxError::Consumer(error.into()))
    }

    fn wanted(&self) -> Filter {
        match &self.members {
            Members::All => Filter::Everything,
            Members::Only(members) if members.is_empty() => Filter::Nothing,
            Members::Only(members) => Filter::Only(members.iter().copied().map(durable_of_member).collect()),
        }
    }

    /// The filter, and up to where everything is done.
    async fn on_server(&self, connection: &Connection) -> Result<(Filter, u64), ApiError> {
        match connection.api::<Value>(&STREAM.consumer_info(&self.name), &json!({})).await {
            Ok(info) => Ok((filter_in(&info), floor_in(&info))),
            Err(error) if error.number() == Some(CONSUMER_NOT_FOUND) => Ok((Filter::Nothing, 0)),
            Err(error) => Err(error),
        }
    }

    /// Brings the consumer from what it lets through to what it should.
    async fn bring(&self, connection: &Connection, had: Filter) -> Result<Fate, InboxError> {
        match (had, self.wanted()) {
            (had, wanted) if had == wanted => return Ok(Fate::Kept),
            (_, Filter::Nothing) => self.delete(connection).await?,
            (Filter::Nothing, _) => self.put(connection).await?,
            (_, Filter::Everything) => self.replace(connection).await?,
            (Filter::Everything, Filter::Only(_)) => {
                self.put(connection).await?;
                return Ok(Fate::Kept);
            }
            (Filter::Only(had), Filter::Only(wanted)) => {
                self.put(connection).await?;
                if !self.any_waiting(connection, wanted.difference(&had)).await? {
                    return Ok(Fate::Kept);
                }
                self.replace(connection).await?;
            }
        }
        Ok(Fate::Replaced)
    }

    /// A consumer of the same name that begins at the first event. What is done is not there any more.
    async fn replace(&self, connection: &Connection) -> Result<(), ApiError> {
        self.delete(connection).await?;
        self.put(connection).await
    }

    async fn put(&self, connection: &Connection) -> Result<(), ApiError> {
        let mut config = json!({
            "name": self.name,
            "durable_name": self.name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT_NS,
            "max_deliver": -1,
            "max_ack_pending": MAX_UNDONE,
            "max_waiting": 16,
            "replay_policy": "instant",
        });
        if let (Value::Object(config), Filter::Only(subjects)) = (&mut config, self.wanted()) {
            config.insert("filter_subjects".to_owned(), subjects.into_iter().collect());
        }
        let request = json!({ "stream_name": STREAM.name(), "config": config });
        let mut attempt = 1;
        loop {
            match connection.api::<Done>(&STREAM.consumer_create(&self.name), &request).await {
                Err(error) if error.number() == Some(CONSUMER_NOT_MADE) && attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "the consumer was not made; it is tried again");
                    tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome.map(|_| ()),
            }
        }
    }

    async fn delete(&self, connection: &Connection) -> Result<(), ApiError> {
        match connection.api::<Done>(&STREAM.consumer_delete(&self.name), &json!({})).await {
            Err(error) if error.number() != Some(CONSUMER_NOT_FOUND) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the stream holds an event for one of these subjects.
    async fn any_waiting(
        &self,
        connection: &Connection,
        subjects: impl Iterator<Item = &String>,
    ) -> Result<bool, RequestError> {
        let api = STREAM.direct_get();
        for subject in subjects {
            let body = json!({ "seq": 1, "next_by_subj": subject }).to_string();
            let request = connection.exchange(&api, HeaderMap::new(), body.into(), REQUEST_TIMEOUT);
            if request.await?.status.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The filter of a consumer as the server shows it: one subject, several or none.
fn filter_in(info: &Value) -> Filter {
    let config = info.get("config");
    let many = config.and_then(|config| config.get("filter_subjects")).and_then(Value::as_array);
    let one = config.and_then(|config| config.get("filter_subject")).filter(|value| value.as_str() != Some(""));
    let subjects: BTreeSet<_> =
        many.into_iter().flatten().chain(one).filter_map(Value::as_str).map(str::to_owned).collect();
    if subjects.is_empty() { Filter::Everything } else { Filter::Only(subjects) }
}

/// The place up to which a consumer has heard of every event that it delivered.
fn floor_in(info: &Value) -> u64 {
    info.pointer("/ack_floor/stream_seq").and_then(Value::as_u64).unwrap_or(0)
}
