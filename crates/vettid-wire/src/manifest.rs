//! The manifest of a handler package and the form of its signature file (spec 2.12).
//! A manifest claims; whether it is genuine, and what a member allows, is decided elsewhere.

use crate::base64::Base64;
use crate::id::KeyId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// What a handler is, needs and may do. Every field is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Dotted name; the first part belongs to the publisher.
    pub handler_id: String,
    /// Name for people.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Semantic version of this release.
    pub version: String,
    /// Shelf in the catalogue.
    pub category: String,
    /// Hash of the exact component bytes.
    pub wasm_hash: WasmHash,
    /// Length of the component, in bytes.
    pub size: u64,
    /// Who made it; `null` for first-party handlers.
    pub publisher: Option<Publisher>,
    /// The key that signs for the publisher; `null` for first-party handlers.
    pub publisher_key_id: Option<KeyId>,
    /// Catalogue version in which this release first appeared.
    pub min_catalog_version: u64,
    /// Whether a member needs an authorisation to run it.
    pub access: Access,
    /// What it needs around it.
    pub compatibility: Compatibility,
    /// All it may ever do.
    pub permissions: Permissions,
    /// JSON Schema of the request.
    pub event_schema: Value,
    /// JSON Schema of the reply.
    pub response_schema: Value,
}

/// The maker of a third-party handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// Name for people.
    pub name: String,
    /// Slug of the publisher.
    pub publisher_id: String,
    /// Where the publisher can be reached.
    pub messagespace_guid: String,
}

/// How a member comes to use a handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Access {
    /// For everybody.
    Free {},
    /// Only with an authorisation token of the publisher.
    AuthorizationRequired {
        /// What the token grants.
        model: AccessModel,
        /// One sentence for people.
        description: String,
        /// Terms of the publisher.
        terms_url: String,
    },
}

/// What an authorisation token of a publisher grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessModel {
    /// For ever.
    Perpetual,
    /// Until it runs out.
    Subscription,
    /// A number of uses.
    PerUse,
    /// Personal consent of the publisher.
    Permission,
}

/// Oldest versions that a release works with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    /// Oldest app.
    pub min_app_version: String,
    /// Oldest vault.
    pub min_vault_version: String,
}

/// What a handler may do. An empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Exact `host` or `host:port`, HTTPS only.
    pub network_egress: Vec<String>,
    /// Secrets it may use, by name.
    pub secrets: Vec<String>,
    /// Data fields it may read, by key.
    pub data_fields: Vec<String>,
    /// Host functions it may call.
    pub host_calls: Vec<String>,
    /// Memory limit, in MiB.
    pub max_memory_mb: u32,
    /// Wall-clock limit, host calls included, in seconds.
    pub max_runtime_seconds: u32,
}

/// SHA-256 of a component, written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WasmHash([u8; 32]);

impl WasmHash {
    /// Wraps 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for WasmHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for WasmHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sha256 hash of a component")]
pub struct InvalidWasmHash;

impl FromStr for WasmHash {
    type Err = InvalidWasmHash;
    fn from_str(text: &str) -> Result<Self, InvalidWasmHash> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidWasmHash)?.as_bytes();
        let bytes = digits.chunks(2).map(hex_byte).collect::<Option<Vec<u8>>>().ok_or(InvalidWasmHash)?;
        bytes.try_into().map(Self).map_err(|_| InvalidWasmHash)
    }
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    Some((hex_digit(*high)? << 4) | hex_digit(*low)?)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for WasmHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WasmHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// `signature.sig`: the signatures over a manifest, beside it in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSignatures {
    /// At most [`MAX_SIGNATURES`].
    pub signatures: Vec<ManifestSignature>,
}

/// Most signatures that a signature file may carry.
pub const MAX_SIGNATURES: usize = 16;

/// One signature over a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSignature {
    /// The key that signed.
    pub key_id: KeyId,
    /// In which capacity.
    pub role: SignerRole,
    /// 64 bytes.
    pub signature: Base64,
}

/// In which capacity somebody signs a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignerRole {
    /// The maker.
    Publisher,
    /// One of the registry's reviewers.
    Reviewer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_hashes_have_one_form() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(text.parse::<WasmHash>().unwrap().to_string(), text);
        let wrong =
            [text.to_uppercase(), text.replace("sha256:", ""), format!("{text}0a"), format!("{text}0"), String::new()];
        for wrong in wrong {
            assert!(wrong.parse::<WasmHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn access_takes_no_unknown_field() {
        assert!(serde_json::from_str::<Access>(r#"{"type":"free"}"#).is_ok());
        assert!(serde_json::from_str::<Access>(r#"{"type":"free","model":"perpetual"}"#).is_err());
        assert!(serde_json::from_str::<Access>(r#"{"type":"gratis"}"#).is_err());
    }
}
