//! Personal data: named fields, and the requests of services to read them.

pub mod batch;

use crate::answer::AnswerProof;
use crate::base64::Base64Url;
use crate::contract::Retention;
use crate::id::{ConnectionId, RequestId, ServiceId};
use crate::refusal::RefusalCode;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest name of a field in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 64;

/// Whether a text may name a field: `a-z`, `0-9`, `_`, at most 64 bytes.
#[must_use]
pub fn is_field_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    plain && (1..=MAX_FIELD_NAME_BYTES).contains(&text.len())
}

/// Stores a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetField {
    /// Name of the field.
    pub field: String,
    /// Any value: a text, or an object such as an address.
    pub value: Value,
}

/// Names a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldName {
    /// Name of the field.
    pub field: String,
}

/// A stored field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldView {
    /// Name of the field.
    pub field: String,
    /// Its value.
    pub value: Value,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Names of stored fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldList {
    /// In alphabetical order.
    pub fields: Vec<FieldSummary>,
}

/// A stored field without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSummary {
    /// Name of the field.
    pub field: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A service asks for a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRequest {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The asking service.
    pub service_id: ServiceId,
    /// The connection it asks on.
    pub connection_id: ConnectionId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// Name of the field.
    pub field: String,
    /// What for, shown to the member.
    pub purpose: String,
    /// How long the service wants to keep the value; absent, as long as the contract allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// How long a service may keep a value that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Keep {
    /// For what it was asked for, and at most until then.
    Session {
        /// Nobody has it after that.
        until: Timestamp,
    },
    /// Until then.
    TimeLimited {
        /// Nobody has it after that.
        until: Timestamp,
    },
    /// Until the connection ends.
    UntilRevoked,
}

impl Keep {
    /// When it ends by the clock; `None`: with the connection alone.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Session { until } | Self::TimeLimited { until } => Some(*until),
            Self::UntilRevoked => None,
        }
    }

    /// Whether the value must be gone by now.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until <= now)
    }
}

/// A value that is handed out unasked, or that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// Name of the field.
    pub field: String,
    /// Counts what was handed out unasked of this field on this connection, from 1. An earlier one never takes the place of a later one.
    pub number: u64,
    /// The field as it is now.
    pub state: SnapshotState,
}

/// A field as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SnapshotState {
    /// It has this value.
    Value {
        /// The value.
        value: Value,
        /// How long it may be kept.
        keep: Keep,
    },
    /// The member holds no such value any more; nobody else may, either.
    Gone,
}

/// Owner's command: what services hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListHeld {
    /// Only this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
}

/// What services hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldList {
    /// By connection and field; at most [`MAX_HELD`].
    pub held: Vec<HeldValue>,
}

/// Most values in one list of what services hold.
pub const MAX_HELD: usize = 500;

/// A value that was handed out, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldValue {
    /// Who has it.
    pub connection_id: ConnectionId,
    /// Name of the field.
    pub field: String,
    /// When it was handed out last.
    pub served_at: Timestamp,
    /// How long the service may keep it.
    pub keep: Keep,
    /// Since when the service must not have it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// The answer to a data request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataResponse {
    /// The request.
    pub request_id: RequestId,
    /// What came of it.
    pub outcome: DataOutcome,
    /// Lets the service show it to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AnswerProof>,
}

/// What came of a data request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DataOutcome {
    /// The value.
    Served {
        /// Name of the field.
        field: String,
        /// Its present value.
        value: Value,
        /// How long it may be kept; whoever does not find it here keeps nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<Keep>,
    },
    /// The member is being asked; the answer follows.
    Pending {
        /// When an unanswered request counts as denied.
        expires_at: Timestamp,
    },
    /// Not served.
    Refused {
        /// Why.
        code: RefusalCode,
    },
}
