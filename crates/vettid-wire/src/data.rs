//! Personal data: named fields, and the requests of services to read them.

use crate::base64::Base64Url;
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
}

/// The answer to a data request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataResponse {
    /// The request.
    pub request_id: RequestId,
    /// What came of it.
    pub outcome: DataOutcome,
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
