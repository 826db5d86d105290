//! Webhooks: where events of the gateway are sent, what they say, and what is still to be sent. Values only; nothing here
//! sends. An event says which connection and request it is about, and nothing else unless the webhook asks for answers.

pub(crate) mod address;
pub(crate) mod outbox;
pub(crate) mod patience;
pub(crate) mod sender;
pub(crate) mod signature;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::base64::encode;
use vettid_wire::id::{ConnectionId, EventId, RequestId};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// Webhooks that there may be.
pub(crate) const MOST_WEBHOOKS: usize = 100;
/// A former secret still signs for this long, in milliseconds.
pub(crate) const FORMER_SECRET_MS: i64 = 24 * 3600 * 1000;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum EventKind {
    /// A member accepted the contract: the connection can be used.
    ConnectionActive,
    /// A connection is over.
    ConnectionEnded,
    /// A request whose id was told, or that was asked under an idempotency key, ended.
    RequestAnswered,
    /// A member agreed to a contract.
    ContractAccepted,
    /// A contract with a member is over.
    ContractEnded,
    /// A member's vault took a message.
    MessageAccepted,
    /// A message was not taken: refused, or its time was over.
    MessageRefused,
    /// A value came unasked, or one is gone.
    DataSnapshot,
    /// A trial that somebody asked for.
    WebhookTest,
}

/// No such event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event of a gateway: one of {list} is", list = EventKind::list())]
pub struct UnknownEvent(String);

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::ConnectionActive,
        Self::ConnectionEnded,
        Self::RequestAnswered,
        Self::ContractAccepted,
        Self::ContractEnded,
        Self::MessageAccepted,
        Self::MessageRefused,
        Self::DataSnapshot,
        Self::WebhookTest,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionActive => "connection.active",
            Self::ConnectionEnded => "connection.ended",
            Self::RequestAnswered => "request.answered",
            Self::ContractAccepted => "contract.accepted",
            Self::ContractEnded => "contract.ended",
            Self::MessageAccepted => "message.accepted",
            Self::MessageRefused => "message.refused",
            Self::DataSnapshot => "data.snapshot",
            Self::WebhookTest => "webhook.test",
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownEvent(text.to_owned()))
    }
}

impl TryFrom<String> for EventKind {
    type Error = UnknownEvent;

    fn try_from(text: String) -> Result<Self, UnknownEvent> {
        text.parse()
    }
}

impl From<EventKind> for &'static str {
    fn from(kind: EventKind) -> Self {
        kind.name()
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// Where it happened; events of one connection arrive in their order.
    pub connection_id: Option<ConnectionId>,
    /// Ids and states, nothing of the member's.
    pub body: Value,
    /// What a webhook gets besides if it asks for answers.
    pub answer: Option<Value>,
}

impl Event {
    /// An event of a connection.
    pub(crate) fn of(kind: EventKind, connection_id: ConnectionId, mut body: Value) -> Self {
        if let Some(body) = body.as_object_mut() {
            body.insert("connection_id".to_owned(), json!(connection_id));
        }
        Self { kind, connection_id: Some(connection_id), body, answer: None }
    }
}

/// Names a webhook.
pub(crate) type WebhookId = EventId;

/// Where events are sent. `Serialize` is for the sealed state alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Webhook {
    /// Names it.
    pub webhook_id: WebhookId,
    /// Where to.
    pub url: String,
    /// Which events; none named: all.
    pub events: BTreeSet<EventKind>,
    /// Whether events say how requests ended, without values.
    pub with_answers: bool,
    /// Signs events.
    #[serde(with = "stored")]
    pub secret: Secret32,
    /// The secret before, which still signs for a while.
    #[serde(with = "stored")]
    pub former_secret: Option<Secret32>,
    /// When the secret was made.
    pub secret_at: Timestamp,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it took something last; noted once an hour.
    pub taken_at: Option<Timestamp>,
    /// Since when nothing is sent to it.
    pub paused_at: Option<Timestamp>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.webhook_id)
    }
}

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// Names it.
    #[schema(value_type = String, format = "uuid")]
    pub webhook_id: EventId,
    /// Where events are sent.
    pub url: String,
    /// Which events; none named: all.
    #[schema(value_type = Vec<String>)]
    pub events: BTreeSet<EventKind>,
    /// Whether events say how requests ended, without values.
    pub with_answers: bool,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Since when nothing is sent to it, because it took nothing for too long; absent while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
    /// Events that are on their way.
    pub waiting: usize,
    /// Events that it did not take in time; `replay` sends them again.
    pub set_aside: usize,
}

impl Webhook {
    /// Whether it wants this event.
    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind) || kind == EventKind::WebhookTest
    }

    /// The same with a new secret; the present one still signs for a while.
    pub(crate) fn with_secret(&self, now: Timestamp, secret: Secret32) -> Self {
        let former_secret = Some(self.secret.duplicate());
        Self { secret, former_secret, secret_at: now, ..self.duplicate() }
    }

    /// A copy to change; secrets have no `Clone`.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            webhook_id: self.webhook_id,
            url: self.url.clone(),
            events: self.events.clone(),
            with_answers: self.with_answers,
            secret: self.secret.duplicate(),
            former_secret: self.former_secret.as_ref().map(Secret32::duplicate),
            secret_at: self.secret_at,
            created_at: self.created_at,
            taken_at: self.taken_at,
            paused_at: self.paused_at,
        }
    }

    /// The secrets that sign now.
    pub(crate) fn signing(&self, now: Timestamp) -> Vec<&Secret32> {
        let former = self.former_secret.as_ref().filter(|_| now.since_ms(self.secret_at) < FORMER_SECRET_MS);
        std::iter::once(&self.secret).chain(former).collect()
    }

    /// The secret as receivers keep it.
    pub(crate) fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("whsec_{}", encode(self.secret.expose())))
    }
}

/// One event on its way to one webhook. `Serialize` is for the sealed state alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Its place among all deliveries.
    pub sequence: u64,
    /// Where to.
    pub webhook_id: WebhookId,
    /// Names the event; the same for every attempt and every webhook.
    pub event_id: EventId,
    /// What it is about.
    pub kind: EventKind,
    /// Where it happened.
    pub connection_id: Option<ConnectionId>,
    /// The request that it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What is sent; byte for byte the same each time.
    pub payload: String,
    /// When it happened.
    pub made_at: Timestamp,
    /// It is set aside when it was not taken for long after that.
    pub tried_since: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// Not tried before.
    pub next_at: Timestamp,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// Since when it is set aside.
    pub set_aside_at: Option<Timestamp>,
}

/// A delivery as programs of the service see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// Names the event; `webhook-id` of the delivery.
    #[schema(value_type = String, format = "uuid")]
    pub event_id: EventId,
    /// What it is about.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// `waiting` or `set_aside`.
    pub status: &'static str,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is tried again, while it is waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Delivery {
    /// The event for a webhook.
    pub(crate) fn of(event: &Event, event_id: EventId, webhook: &Webhook, sequence: u64, now: Timestamp) -> Self {
        let mut body = event.body.clone();
        if let (true, Some(answer), Some(body)) = (webhook.with_answers, &event.answer, body.as_object_mut()) {
            body.insert("answer".to_owned(), answer.clone());
        }
        let payload = json!({"type": event.kind, "timestamp": now, "data": body}).to_string();
        Self {
            sequence,
            webhook_id: webhook.webhook_id,
            event_id,
            kind: event.kind,
            connection_id: event.connection_id,
            request_id: request_in(&event.body),
            payload,
            made_at: now,
            tried_since: now,
            attempts: 0,
            next_at: now,
            failure: None,
            set_aside_at: webhook.paused_at.map(|_| now),
        }
    }

    /// One of a state that did not say yet which request a delivery tells of.
    pub(crate) fn completed(self) -> Self {
        let body = || serde_json::from_str::<Value>(&self.payload).ok();
        let request_id = self.request_id.or_else(|| body()?.get("data").and_then(request_in));
        Self { request_id, ..self }
    }

    /// Whether it was never set aside.
    pub(crate) fn is_fresh(&self) -> bool {
        self.tried_since == self.made_at
    }

    /// Its key in the state: in the order of the deliveries.
    pub(crate) fn key(&self) -> String {
        format!("{DELIVERIES}{:020}", self.sequence)
    }
}

/// The request that an event names.
fn request_in(body: &Value) -> Option<RequestId> {
    body.get("request_id").and_then(|id| RequestId::deserialize(id).ok())
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        let is_waiting = delivery.set_aside_at.is_none();
        Self {
            event_id: delivery.event_id,
            kind: delivery.kind,
            status: if is_waiting { "waiting" } else { "set_aside" },
            made_at: delivery.made_at,
            attempts: delivery.attempts,
            next_at: is_waiting.then_some(delivery.next_at),
            failure: delivery.failure.clone(),
        }
    }
}

/// Where deliveries lie in the state.
pub(crate) const DELIVERIES: &str = "delivery/";
/// Where webhooks lie in the state.
pub(crate) const WEBHOOKS: &str = "webhook/";

/// The key of a webhook in the state.
pub(crate) fn webhook_key(id: WebhookId) -> String {
    format!("{WEBHOOKS}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_no_event_is_told_which_there_are() {
        let said = "request.done".parse::<EventKind>().unwrap_err().to_string();
        assert!(said.starts_with("`request.done` is not an event"), "{said}");
        assert!(EventKind::ALL.iter().all(|kind| said.contains(kind.name())), "{said}");
        assert!(EventKind::ALL.iter().all(|kind| kind.name().parse() == Ok(*kind)));
    }
}
