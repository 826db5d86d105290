//! The durable consumer behind an inbox, and the members it serves. A consumer does not go back for events that came
//! before its filter wanted them; where there are such events it is made anew, which delivers again what is not done.

use std::collections::BTreeSet;

use async_nats::jetstream::{self, consumer::pull};
use serde_json::{Value, json};
use vettid_core::grants::broker::Stream;
use vettid_core::grants::delivery::durable_of_member;
use vettid_wire::id::MemberId;

use super::{InboxError, Members};
use crate::api::{ApiError, CONSUMER_NOT_FOUND, Done};
use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// An event that is neither done nor given back within this time is delivered again.
const ACK_WAIT_NS: u64 = 30_000_000_000;
const MAX_UNDONE: u32 = 2_000;

const STREAM: Stream = Stream::Inbox;

pub(super) struct Consumer {
    name: String,
    members: Members,
}

impl Consumer {
    pub(super) async fn open(connection: &Connection, name: &str, members: Members) -> Result<Self, InboxError> {
        let consumer = Self { name: name.to_owned(), members };
        let had = consumer.filters_on_server(connection).await?;
        let wanted = consumer.filters();
        match had {
            None => consumer.create(connection).await?,
            Some(had) if had == wanted => {}
            Some(had) => consumer.change(connection, &had).await?,
        }
        Ok(consumer)
    }

    pub(super) async fn attach(&mut self, connection: &Connection, member: MemberId) -> Result<(), InboxError> {
        self.change_members(connection, |members| members.insert(member)).await
    }

    pub(super) async fn detach(&mut self, connection: &Connection, member: MemberId) -> Result<(), InboxError> {
        self.change_members(connection, |members| members.remove(&member)).await
    }

    async fn change_members(
        &mut self,
        connection: &Connection,
        change: impl FnOnce(&mut BTreeSet<MemberId>) -> bool,
    ) -> Result<(), InboxError> {
        let had = self.filters();
        let Members::Only(members) = &mut self.members else {
            return Ok(());
        };
        if change(members) { self.change(connection, &had).await } else { Ok(()) }
    }

    /// The library's handle for pulling; `None` without members.
    pub(super) async fn handle(
        &self,
        connection: &Connection,
    ) -> Result<Option<jetstream::consumer::Consumer<pull::Config>>, InboxError> {
        if self.is_idle() {
            return Ok(None);
        }
        let context = jetstream::new(connection.client().clone());
        let handle = context.get_consumer_from_stream(&self.name, STREAM.name()).await;
        handle.map(Some).map_err(|error| InboxError::Consumer(error.into()))
    }

    fn is_idle(&self) -> bool {
        self.members == Members::Only(BTreeSet::new())
    }

    /// What the filter should be; empty stands for all.
    fn filters(&self) -> BTreeSet<String> {
        match &self.members {
            Members::All => BTreeSet::new(),
            Members::Only(members) => members.iter().copied().map(durable_of_member).collect(),
        }
    }

    async fn filters_on_server(&self, connection: &Connection) -> Result<Option<BTreeSet<String>>, ApiError> {
        match connection.api::<Value>(&STREAM.consumer_info(&self.name), &json!({})).await {
            Ok(info) => Ok(Some(filters_in(&info))),
            Err(error) if error.number() == Some(CONSUMER_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the consumer from the first event on, unless there is nobody to serve.
    async fn create(&self, connection: &Connection) -> Result<(), InboxError> {
        if !self.is_idle() {
            self.put(connection).await?;
        }
        Ok(())
    }

    /// Brings the consumer from the filters it `had` to those it should have.
    async fn change(&self, connection: &Connection, had: &BTreeSet<String>) -> Result<(), InboxError> {
        let wanted = self.filters();
        // Empty filters stand for all: whatever is wanted then, or was had, has no single new subjects.
        let widens_to_all = wanted.is_empty() && !self.is_idle();
        let added: Vec<_> = if had.is_empty() { Vec::new() } else { wanted.difference(had).collect() };
        let idle_before = had.is_empty() && self.filters_on_server(connection).await?.is_none();
        if self.is_idle() {
            self.delete(connection).await?;
        } else if idle_before {
            self.put(connection).await?;
        } else if widens_to_all {
            self.delete(connection).await?;
            self.put(connection).await?;
        } else {
            self.put(connection).await?;
            if self.any_waiting(connection, &added).await? {
                self.delete(connection).await?;
                self.put(connection).await?;
            }
        }
        Ok(())
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
        if let (Value::Object(config), Members::Only(_)) = (&mut config, &self.members) {
            config.insert("filter_subjects".to_owned(), self.filters().into_iter().collect());
        }
        let request = json!({ "stream_name": STREAM.name(), "config": config });
        connection.api::<Done>(&STREAM.consumer_create(&self.name), &request).await.map(|_| ())
    }

    async fn delete(&self, connection: &Connection) -> Result<(), ApiError> {
        match connection.api::<Done>(&STREAM.consumer_delete(&self.name), &json!({})).await {
            Err(error) if error.number() != Some(CONSUMER_NOT_FOUND) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the stream holds an event for one of these subjects.
    async fn any_waiting(&self, connection: &Connection, subjects: &[&String]) -> Result<bool, RequestError> {
        for subject in subjects {
            let body = json!({ "seq": 1, "next_by_subj": subject }).to_string();
            let message =
                connection.exchange(&STREAM.direct_get(), Default::default(), body.into(), REQUEST_TIMEOUT).await?;
            if message.status.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The filters of a consumer as the server shows it: one, several or none.
fn filters_in(info: &Value) -> BTreeSet<String> {
    let config = info.get("config");
    let many = config.and_then(|config| config.get("filter_subjects")).and_then(Value::as_array);
    let one = config.and_then(|config| config.get("filter_subject")).filter(|value| value.as_str() != Some(""));
    many.into_iter().flatten().chain(one).filter_map(Value::as_str).map(str::to_owned).collect()
}
