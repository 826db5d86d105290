//! Requests of services for several fields at once: each is decided by itself, and one signed answer says what came of each.

use super::{Keep, is_field_name};
use crate::answer::AnswerProof;
use crate::base64::Base64Url;
use crate::contract::Retention;
use crate::id::{ConnectionId, RequestId, ServiceId};
use crate::refusal::RefusalCode;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// Most fields in one request.
pub const MAX_BATCH_FIELDS: usize = 16;
/// Most bytes of values in one answer; a field that does not fit is refused with `no_room`, to be asked for alone.
pub const MAX_BATCH_VALUE_BYTES: usize = 96 * 1024;

/// A service asks for several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The asking service.
    pub service_id: ServiceId,
    /// The connection it asks on.
    pub connection_id: ConnectionId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// The fields, in the order in which they are decided; none twice.
    pub fields: Vec<BatchField>,
    /// What for, shown to the member.
    pub purpose: String,
}

/// One field of a request for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchField {
    /// Its name.
    pub field: String,
    /// How long the service wants to keep the value; absent, as long as the contract allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

impl BatchRequest {
    /// Whether it names 1 to [`MAX_BATCH_FIELDS`] fields, none twice.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut names = HashSet::new();
        let in_bounds = (1..=MAX_BATCH_FIELDS).contains(&self.fields.len());
        in_bounds && self.fields.iter().all(|asked| is_field_name(&asked.field) && names.insert(&asked.field))
    }
}

/// The answer to a request for several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchResponse {
    /// The request.
    pub request_id: RequestId,
    /// What came of it.
    pub outcome: BatchOutcome,
    /// Lets the service show it to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AnswerProof>,
}

/// What came of a request for several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BatchOutcome {
    /// The member is being asked about at least one of them; the answer about all follows.
    Pending {
        /// When what was not answered counts as denied.
        expires_at: Timestamp,
    },
    /// Each field with what came of it, in the order of the request.
    Answered {
        /// One for each that was asked for.
        fields: Vec<FieldAnswer>,
    },
}

/// What came of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldAnswer {
    /// Its name.
    pub field: String,
    /// What came of it.
    pub outcome: FieldOutcome,
}

/// A value, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldOutcome {
    /// The value.
    Served {
        /// Its present value.
        value: Value,
        /// How long it may be kept.
        keep: Keep,
    },
    /// Not served.
    Refused {
        /// Why.
        code: RefusalCode,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_some_fields_and_none_twice() {
        let request = |names: &[&str]| BatchRequest {
            request_id: RequestId::from_bytes([1; 16]),
            service_id: "demo-shop".parse().unwrap(),
            connection_id: ConnectionId::from_bytes([2; 16]),
            contract_hash: Base64Url::new([3; 32]),
            fields: names.iter().map(|&name| BatchField { field: name.to_owned(), retention: None }).collect(),
            purpose: "p".to_owned(),
        };
        let many: Vec<String> = (0..=MAX_BATCH_FIELDS).map(|number| format!("f{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(request(&["a"]).is_sound() && request(&["a", "b"]).is_sound());
        assert!(request(&many[1..]).is_sound() && !request(&many).is_sound());
        assert!(!request(&[]).is_sound() && !request(&["a", "b", "a"]).is_sound() && !request(&["A b"]).is_sound());
    }
}
