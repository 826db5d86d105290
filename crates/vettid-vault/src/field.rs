//! The owner's fields of personal data, as stored. Who may read which is decided before anybody comes here.

use crate::projection::{Draft, UnreadableState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::data::{FieldSummary, is_field_name};
use vettid_wire::time::Timestamp;

const PREFIX: &str = "field/";
/// Most fields of one owner.
pub const MAX_FIELDS: usize = 10_000;

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredField {
    /// Its value.
    pub value: Value,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The field of this name.
pub fn get(draft: &Draft<'_>, name: &str) -> Result<Option<StoredField>, UnreadableState> {
    draft.get(&key(name))
}

/// Stores a field; `false` when the name is not one, or there are too many.
pub fn put(draft: &mut Draft<'_>, name: &str, field: &StoredField) -> Result<bool, UnreadableState> {
    let key = key(name);
    let room = draft.has(&key) || draft.keys(PREFIX, MAX_FIELDS).len() < MAX_FIELDS;
    if !is_field_name(name) || !room {
        return Ok(false);
    }
    draft.put(key, field)?;
    Ok(true)
}

/// Removes a field.
pub fn remove(draft: &mut Draft<'_>, name: &str) {
    draft.remove(&key(name));
}

/// Every field without its value, in alphabetical order.
pub fn list(draft: &Draft<'_>) -> Result<Vec<FieldSummary>, UnreadableState> {
    let mut fields = Vec::new();
    for key in draft.keys(PREFIX, usize::MAX) {
        let name = key.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        if let Some(StoredField { updated_at, .. }) = draft.get(&key)? {
            fields.push(FieldSummary { field: name, updated_at });
        }
    }
    Ok(fields)
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}
