//! What services store with a member: what they send, what they get back, and what the member sees of it. A service names its
//! own things alone; the lane says whose they are.

use crate::answer::AnswerProof;
use crate::base64::Base64Url;
use crate::id::{ConnectionId, RequestId, ServiceId};
use crate::json::{self, JsonError};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest name of a stored thing in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Largest stored value in bytes, in canonical form (24 KiB).
pub const MAX_VALUE_BYTES: usize = 24 * 1024;
/// Most things that are stored on one connection, whatever the quota.
pub const MAX_STORED_ITEMS: u64 = 500;
/// Most things in one list, and as many as come unless fewer are wanted.
pub const MAX_LISTED: u16 = 100;

/// Whether a text may name a stored thing: ASCII letters and digits, `_`, `-` and `.`, at most 64 bytes.
#[must_use]
pub fn is_stored_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    plain && (1..=MAX_NAME_BYTES).contains(&text.len())
}

/// What a thing takes of the quota, in bytes: category, name, and value in canonical form.
///
/// # Errors
/// [`JsonError`]: the value has no canonical form.
pub fn size_bytes(category: &str, name: &str, value: &Value) -> Result<u64, JsonError> {
    let bytes = category.len() + name.len() + json::canonical(value)?.len();
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// A service stores a value, in place of what it stored before under this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreData {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// A category of the contract.
    pub category: String,
    /// Its name in that category; see [`is_stored_name`].
    pub name: String,
    /// Any value of at most [`MAX_VALUE_BYTES`] in canonical form.
    pub value: Value,
    /// It is gone from then on; absent, it stays until somebody deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A service reads or deletes one thing that it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameStored {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// A category of the contract.
    pub category: String,
    /// Its name in that category.
    pub name: String,
}

/// A service lists what it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListStored {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// Only this category; absent, every one that the contract has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only what stands after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<StoredPlace>,
    /// At most so many, from 1 to [`MAX_LISTED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// Where a thing stands. Lists are in the order of the places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredPlace {
    /// Its category.
    pub category: String,
    /// Its name.
    pub name: String,
}

/// A stored thing without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredItem {
    /// Its category.
    pub category: String,
    /// Its name.
    pub name: String,
    /// What it takes of the quota; see [`size_bytes`].
    pub size_bytes: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// It is gone from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// How much of a quota is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageUse {
    /// What the contract in force allows; less than what is used, if it allowed more before.
    pub quota_bytes: u64,
    /// What is stored, also in categories that the contract has no more.
    pub used_bytes: u64,
    /// How many things that is.
    pub items: u64,
}

/// The answer to a service about what it stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredResponse {
    /// The request.
    pub request_id: RequestId,
    /// What came of it.
    pub outcome: StoredOutcome,
    /// Lets the service show it to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AnswerProof>,
}

/// What came of an act on what a service stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoredOutcome {
    /// It is stored.
    Stored {
        /// As it is stored.
        item: StoredItem,
        /// What is taken now.
        used: StorageUse,
    },
    /// It was read.
    Read {
        /// What it is.
        item: StoredItem,
        /// Its value.
        value: Value,
    },
    /// What there is.
    Listed {
        /// By category and name.
        items: Vec<StoredItem>,
        /// There are more after these.
        more: bool,
        /// What is taken now.
        used: StorageUse,
    },
    /// It is deleted.
    Deleted {
        /// What is taken now.
        used: StorageUse,
    },
}

/// Owner's command: what services stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowseStored {
    /// What is stored on this connection, thing by thing; absent, every connection with something stored, without its things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Only this category; of one connection alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only what stands after this one; of one connection alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<StoredPlace>,
    /// Only connections after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_connection: Option<ConnectionId>,
    /// At most so many, from 1 to [`MAX_LISTED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// What services stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredList {
    /// By connection.
    pub services: Vec<StoredByService>,
    /// The things of the one connection that was asked about, by category and name.
    pub items: Vec<StoredItem>,
    /// There are more after these.
    pub more: bool,
}

/// What one service stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredByService {
    /// The connection on which it did.
    pub connection_id: ConnectionId,
    /// Its name as the owner sees it.
    pub display_name: String,
    /// The service.
    pub service_id: ServiceId,
    /// Whether the connection ended: nobody but the owner reaches it then.
    pub ended: bool,
    /// What the contract in force allows; absent, it allows nothing to be stored any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// What is stored.
    pub used_bytes: u64,
    /// How many things that is.
    pub items: u64,
    /// The same for each category; of the one connection that was asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<StoredInCategory>,
}

/// What stands in one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredInCategory {
    /// Its name.
    pub category: String,
    /// What the contract in force says that it is for; absent, the contract has it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What is stored.
    pub used_bytes: u64,
    /// How many things that is.
    pub items: u64,
}

/// Owner's command: names one stored thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRef {
    /// On which connection.
    pub connection_id: ConnectionId,
    /// Its category.
    pub category: String,
    /// Its name.
    pub name: String,
}

/// A stored thing with its value, for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredValue {
    /// What it is.
    pub item: StoredItem,
    /// Its value.
    pub value: Value,
}

/// Owner's command: deletes one thing, a category, or everything that a service stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteStored {
    /// On which connection.
    pub connection_id: ConnectionId,
    /// Only this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only this thing of the category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What the owner deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredDeleted {
    /// How many things.
    pub items: u64,
    /// How many bytes of the quota.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "order-2026.11_A", &"n".repeat(64)] {
            assert!(is_stored_name(name), "{name}");
        }
        for name in ["", "a/b", "a b", "ä", "a\n", &"n".repeat(65)] {
            assert!(!is_stored_name(name), "{name}");
        }
    }

    #[test]
    fn a_size_is_that_of_the_names_and_of_the_canonical_value() {
        let value = serde_json::json!({"b": 1, "a": [true, "é"]});
        // {"a":[true,"é"],"b":1} has 22 characters and one of two bytes.
        assert_eq!(size_bytes("cards", "one", &value).unwrap(), 5 + 3 + 23);
    }
}
