//! Requests to members: for data, logins and messages, and how far each is. What a member's vault refuses is an answer, not an
//! error.

use crate::{ClientError, GatewayClient, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::auth::Display;
use vettid_wire::authorisation::AuthorisationRecord;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Retention;
use vettid_wire::data::Keep;
use vettid_wire::data::batch::BatchField;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::service_message::MessageKind;
use vettid_wire::stored::StoredOutcome;
use vettid_wire::time::Timestamp;

/// Asks for a field of personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataRequest {
    /// Name of the field in the contract.
    pub field: String,
    /// What for, shown to the member.
    pub purpose: String,
    /// How long the value is to be kept, at most as long as the contract says, and as long if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// Asks for several fields of personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRequest {
    /// The fields, 1 to 16, none twice; each is decided by itself, in this order.
    pub fields: Vec<BatchField>,
    /// What for, shown to the member.
    pub purpose: String,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// Asks a member to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoginRequest {
    /// The site, one of the service's own, such as `https://shop.example`.
    pub origin: String,
    /// SHA-256 of the browser session that waits.
    pub session_hash: Base64Url,
    /// Where the login was started, shown to the member.
    pub display: Display,
    /// The number that the page shows, 10 to 99, where the gateway has numbers on; without it a member's vault refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// Tells a member something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// What the member is to make of it.
    pub kind: MessageKind,
    /// One line of at most 150 bytes.
    pub subject: String,
    /// Plain text of at most 4 000 bytes and 60 lines.
    pub text: String,
    /// How long it waits for the member's vault, in milliseconds; one day if it is not said, seven at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u32>,
    /// How long the call waits for the receipt, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
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
    /// The member logged in, or said yes.
    Approved {
        /// When the member decided.
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// The signed answer with its request, where the member's word was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Box<AuthorisationRecord>>,
    },
    /// The member said yes, which counts only when the waiting browser brings the code.
    AwaitsCode {
        /// When the member decided.
        auth_time: Timestamp,
    },
    /// The member said no.
    Denied {
        /// When the member decided.
        auth_time: Timestamp,
        /// The signed answer with its request, where the member's word was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Box<AuthorisationRecord>>,
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

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPage {
    /// The requests.
    pub requests: Vec<Request>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// Which requests are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Those of this connection.
    pub connection_id: Option<ConnectionId>,
    /// Those of this kind, such as `data`.
    pub kind: Option<String>,
    /// Those with this status, such as `pending`.
    pub status: Option<String>,
}

impl GatewayClient {
    /// Asks a member for a field of personal data. Scope `data:read`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn request_data(&self, id: ConnectionId, request: &DataRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "data-requests"], request).await
    }

    /// Asks a member for several fields of personal data. Scope `data:read`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses of them is an answer, field by field.
    pub async fn request_batch(&self, id: ConnectionId, request: &BatchRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "data-batches"], request).await
    }

    /// Asks a member to log in. Scope `login`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member denies is an answer.
    pub async fn request_login(&self, id: ConnectionId, request: &LoginRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "logins"], request).await
    }

    /// Tells a member something. Scope `messages`.
    ///
    /// # Errors
    /// See [`ClientError`]. What is over the number of the hour is an answer, with the time from which there is room again.
    pub async fn send_message(&self, id: ConnectionId, message: &Message) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "messages"], message).await
    }

    /// A request; waits for its end, at most `wait_ms` (60 000 at most).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request(&self, id: RequestId, wait_ms: u32) -> Result<Request, ClientError> {
        self.get(&["v1", "requests", &id.to_string()], &[("wait_ms", Some(wait_ms.to_string()))]).await
    }

    /// Requests that are open or ended a short time ago, the oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn requests(&self, filter: &RequestFilter, page: &Page) -> Result<RequestPage, ClientError> {
        let filters = [
            ("connection_id", filter.connection_id.map(|id| id.to_string())),
            ("kind", filter.kind.clone()),
            ("status", filter.status.clone()),
        ];
        self.list(&["v1", "requests"], &filters, page).await
    }
}
