//! What calls carry.

use serde::Serialize;
use serde_json::Value;
use vettid_wire::auth::Display;
use vettid_wire::base64::Base64Url;
use vettid_wire::data::batch::BatchField;
use vettid_wire::service_message::MessageKind;
use vettid_wire::time::Timestamp;

/// Asks for a field of personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataRequest {
    /// Name of the field in the contract.
    pub field: String,
    /// What for, shown to the member.
    pub purpose: String,
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

/// Stores a value with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreData {
    /// A category of the contract.
    pub category: String,
    /// Its name in that category; what stood there is replaced.
    pub name: String,
    /// Any value of at most 24 KiB.
    pub value: Value,
    /// It is gone from then on; absent, it stays until somebody deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do, such as `data:read`.
    pub scopes: Vec<String>,
    /// Calls a minute; absent: as the gateway's configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
}

/// A webhook to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewWebhook {
    /// Where events are sent: a public https address.
    pub url: String,
    /// Which events, such as `request.answered`; none named: all.
    pub events: Vec<String>,
    /// Whether events carry the answers of members.
    pub with_answers: bool,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// How many, at most 200; 50 if it is not said.
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
