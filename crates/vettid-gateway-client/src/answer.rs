//! What a gateway answers. Names that this build does not know are passed over, so that a newer gateway can be called.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use vettid_wire::connection::ConnectionState;
use vettid_wire::data::Keep;
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, InviteId, MemberId, RequestId};
use vettid_wire::stored::StoredOutcome;
use vettid_wire::time::Timestamp;

/// An invitation. Its link is a secret until it is answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Names it.
    pub invite_id: InviteId,
    /// The link, also the text of the QR code. Whoever holds it can answer it once.
    pub link: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// It cannot be answered later.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({})", self.invite_id)
    }
}

/// A connection with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The invitation that it came from.
    pub invite_id: InviteId,
    /// Where it stands.
    pub state: ConnectionState,
    /// The member's vault.
    pub member: MemberId,
    /// The member's identity.
    pub member_fingerprint: Fingerprint,
    /// The name that the member shows.
    pub display_name: String,
    /// The version of the contract.
    pub contract_version: u64,
    /// The optional fields that the member agreed to.
    pub optional_fields_accepted: Vec<String>,
    /// When the invitation was answered.
    pub created_at: Timestamp,
    /// The last event that the member's vault refused and that was no open request.
    pub last_refusal: Option<Refusal>,
}

/// An event that had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Why.
    pub code: String,
    /// When the refusal arrived.
    pub at: Timestamp,
}

/// A request to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names it.
    pub request_id: RequestId,
    /// Where it was asked.
    pub connection_id: ConnectionId,
    /// What was asked for, such as `data`.
    pub kind: String,
    /// How far it is.
    #[serde(flatten)]
    pub status: Status,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Unanswered until then, it ends as `expired`.
    pub expires_at: Timestamp,
    /// The answer as the member's vault signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

/// What came of one of several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldAnswer {
    /// Name of the field.
    pub field: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// How long the service may keep the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Status {
    /// Asked; no answer yet.
    Asked,
    /// The member is being asked.
    Pending,
    /// The value of the field.
    Served {
        /// Name of the field.
        field: String,
        /// Its value.
        value: Value,
        /// How long the service may keep the value.
        keep: Keep,
    },
    /// What came of each of several fields, in the order of the request.
    Answered {
        /// Each with its value or the reason why there is none.
        fields: Vec<FieldAnswer>,
    },
    /// The member said yes.
    Approved {
        /// When the member decided.
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
    },
    /// The member said no.
    Denied {
        /// When the member decided.
        auth_time: Timestamp,
    },
    /// It was done with what the service stores.
    Done {
        /// What came of it.
        result: Box<StoredOutcome>,
    },
    /// The member's vault refused.
    Refused {
        /// Why.
        code: String,
        /// Not before then is there room again, where the vault can tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The member's vault took the message; whether anybody reads it is not told.
    Accepted {
        /// When it was taken.
        accepted_at: Timestamp,
    },
    /// No answer in time.
    Expired,
    /// Something that this build does not know.
    #[serde(other)]
    Other,
}

/// A page of what the service stores with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPage {
    /// The request; done, with what there is.
    #[serde(flatten)]
    pub request: Request,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// A page of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionPage {
    /// The connections.
    pub connections: Vec<Connection>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPage {
    /// The requests.
    pub requests: Vec<Request>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// A key, without what it is shown with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Calls a minute, if they differ from what the configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A key with the text that is told once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// What programs send.
    pub secret: String,
}

impl fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatedApiKey({})", self.key.key_id)
    }
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyPage {
    /// The keys.
    pub api_keys: Vec<ApiKey>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Names it.
    pub webhook_id: EventId,
    /// Where events are sent.
    pub url: String,
    /// Which events; none named: all.
    pub events: Vec<String>,
    /// Whether events carry the answers of members.
    pub with_answers: bool,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Since when nothing is sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Events that are on their way.
    pub waiting: u64,
    /// Events that it did not take in time.
    pub set_aside: u64,
}

/// A webhook with the secret that is told once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Verifies its events.
    pub secret: String,
}

impl fmt::Debug for CreatedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatedWebhook({})", self.webhook.webhook_id)
    }
}

/// A page of webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Names the event.
    pub event_id: EventId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `waiting` or `set_aside`.
    pub status: String,
    /// When it happened.
    pub made_at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// Whether a gateway can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    pub status: String,
    /// What does not work, in words.
    pub problems: Vec<String>,
    /// What works but should be looked at.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Trial {
    pub(crate) event_id: EventId,
}

#[derive(Deserialize)]
pub(crate) struct Replayed {
    pub(crate) replayed: u64,
}
