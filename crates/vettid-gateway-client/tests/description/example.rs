//! One value for each place of the description. What has to have a form of its own is named here.

use crate::document::is_a;
use serde_json::{Value, json};

/// An id.
pub(crate) const ID: &str = "018f6b1e-7c1a-7000-8000-000000000001";
/// A point in time.
pub(crate) const TIME: &str = "2026-11-21T00:00:00.000Z";
/// 16 bytes in base64url.
pub(crate) const RANDOM: &str = "BwcHBwcHBwcHBwcHBwcHBw";
/// 32 bytes in base64url.
pub(crate) const HASH: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
/// A contract as it is published.
pub(crate) const CONTRACT: &str = include_str!("../../../../examples/shop/contract.json");
/// A record as it is checked offline.
pub(crate) const RECORD: &str = include_str!("record.json");

/// An example of a schema that is no object with fields. `named` is the schema's name, a dot and the name of the field.
pub(crate) fn of(schema: &Value, named: &str) -> Value {
    let name = named.rsplit('.').next().unwrap();
    if let Some(value) = own(named).or_else(|| own(name)) {
        return value;
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    if is_a(schema, "string") {
        return match schema["format"].as_str() {
            Some("uuid") => ID.into(),
            Some("date-time") => TIME.into(),
            _ => text(name).unwrap_or("text").into(),
        };
    }
    if is_a(schema, "integer") {
        return 7.into();
    }
    if is_a(schema, "boolean") {
        return true.into();
    }
    json!({"some": ["thing", 1, null]})
}

/// What is no plain text, by its place.
fn own(named: &str) -> Option<Value> {
    let value = match named {
        "contract" => serde_json::from_str(CONTRACT).unwrap(),
        "record" => serde_json::from_str(RECORD).unwrap(),
        "keep" => json!({"time_limited": {"until": TIME}}),
        "result" => json!({"deleted": {"used": {"quota_bytes": 3, "used_bytes": 2, "items": 1}}}),
        "Connection.state" => "active".into(),
        "Connection.member_fingerprint" => HASH.into(),
        "Standing.level" => "verified".into(),
        "ProvedDomain.domain" => "example.org".into(),
        "Claimed.found" => "confirmed".into(),
        "ProgressView.level" => "same_device".into(),
        "BegunView.key_kind" => "webcrypto".into(),
        "Record.decision" => "approve".into(),
        "Key.role" => "identity".into(),
        "Key.holder" => "gateway".into(),
        "Key.kind" => "pair".into(),
        "Key.policy" => "signing".into(),
        _ => return None,
    };
    Some(value)
}

/// A text that has a form, by the name of its place.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    let text = match name {
        "connection_id" | "request_id" | "webhook_id" | "event_id" => ID,
        "invite_id" | "login_id" => RANDOM,
        "contract_hash" => HASH,
        "key_id" => "key-1",
        "category" => "receipts",
        "name" => "order-7",
        _ => return None,
    };
    Some(text)
}
