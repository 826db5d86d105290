//! The profile that a member or a service shows to its connections.

use crate::base64::Base64;
use crate::contract::Contract;
use crate::digest::Digest;
use crate::feed::Tag;
use crate::id::{ConnectionId, KeyId, MemberId, ServiceId};
use crate::key::TypedKey;
use crate::key_record::KeyRecord;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A profile is valid for at most this long, in milliseconds (30 days).
pub const MAX_LIFE_MS: i64 = 30 * 24 * 3600 * 1000;
/// Most items of one profile.
pub const MAX_ITEMS: usize = 40;
/// Longest text of an item in bytes.
pub const MAX_ITEM_BYTES: usize = 300;
/// Oldest age that anybody has.
pub const MAX_AGE_YEARS: u8 = 130;

/// A signed profile (ctx `vettid/profile/1`, spec 2.5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProfile {
    /// Form, `1.0`.
    pub profile_version: String,
    /// Whose.
    pub guid: MemberId,
    /// The identity key.
    pub public_key: TypedKey,
    /// The keys in use, signed.
    pub key_record: KeyRecord,
    /// Whose word lets this vault come back from an earlier state: the key of its owner's app. Absent: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_key: Option<TypedKey>,
    /// Seen by every connection.
    pub public: PublicProfile,
    /// Only for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceProfile>,
    /// What the owner shows to the receiver of this profile, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, ItemValue>,
    /// The events that this vault handles.
    pub event_types: Vec<String>,
    /// Those of them that others may send, with the handler behind each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported: Vec<SupportedEvent>,
    /// Rises with each version.
    pub sequence: u64,
    /// When it was made.
    pub updated_at: Timestamp,
    /// At most 30 days later.
    pub valid_until: Timestamp,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What every connection sees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicProfile {
    /// First name, or the name of a service.
    pub first_name: String,
    /// Anything more the owner wants to show, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
}

/// What a service adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceProfile {
    /// The service.
    pub service_id: ServiceId,
    /// The sites on which members may be asked to log in.
    pub origins: Vec<String>,
    /// The contract it offers.
    pub contract: Contract,
}

/// Owner's command: change the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileUpdate {
    /// The new public part.
    pub public: PublicProfile,
}

/// The owner's own profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileView {
    /// As it is published; `None` before the first update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicProfile>,
    /// Its sequence; 0 before the first update.
    pub sequence: u64,
}

/// One thing of a profile besides the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ItemValue {
    /// How old the owner is.
    Age(Age),
    /// Where the owner is at home, as roughly as they like.
    Location(String),
    /// A text, such as an address of mail.
    Text(String),
    /// A page that the owner stands for.
    Link(String),
    /// A file that the owner stands for, in one version.
    Resource(TrustedResource),
}

/// An age, or the band that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Age {
    /// In years.
    Years(u8),
    /// From and to these years, both included.
    Band(u8, u8),
}

/// A file by its version and hash, so that whoever gets it elsewhere can check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedResource {
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Where it is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An event that others may send, and the handler that takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportedEvent {
    /// The event type.
    pub event_type: String,
    /// The handler.
    pub handler: String,
    /// Its version.
    pub version: String,
    /// The groups of host functions that its manifest lets it call.
    pub permissions: Vec<String>,
}

/// Who sees an item. Nothing given: nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Every connection, and whoever can read the published profile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
    /// These connections.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connections: BTreeSet<ConnectionId>,
    /// Connections with one of these tags.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
}

/// An item with who sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileItem {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: ItemValue,
    /// Who sees it.
    #[serde(default)]
    pub audience: Audience,
}

/// Names an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemName {
    /// The name.
    pub name: String,
}

/// Every item of the owner's profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileItems {
    /// By name.
    pub items: Vec<ProfileItem>,
}

/// Owner's command: what a connection sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewProfile {
    /// This connection; absent: whoever can read the published profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
}

/// A new version of the sender's profile, as this connection sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileChanged {
    /// The whole profile.
    pub profile: SignedProfile,
}

impl ItemValue {
    /// Whether it is of the form that a profile holds: one plain line of bearable length, an age of a person, a web address.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Age(Age::Years(years)) => *years <= MAX_AGE_YEARS,
            Self::Age(Age::Band(from, to)) => from <= to && *to <= MAX_AGE_YEARS,
            Self::Location(text) | Self::Text(text) => is_line(text),
            Self::Link(url) => is_link(url),
            Self::Resource(resource) => is_line(&resource.version) && resource.url.as_deref().is_none_or(is_link),
        }
    }
}

fn is_line(text: &str) -> bool {
    (1..=MAX_ITEM_BYTES).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_link(url: &str) -> bool {
    is_line(url)
        && url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_one_form() {
        let resource = |version: &str, url: Option<&str>| {
            let (version, url) = (version.to_owned(), url.map(str::to_owned));
            ItemValue::Resource(TrustedResource { version, sha256: Digest::from_bytes([1; 32]), url })
        };
        let sound = [
            ItemValue::Age(Age::Years(0)),
            ItemValue::Age(Age::Band(30, 39)),
            ItemValue::Location("Hamburg".into()),
            ItemValue::Link("https://alice.example/".into()),
            resource("1.0", None),
        ];
        let unsound = [
            ItemValue::Age(Age::Years(131)),
            ItemValue::Age(Age::Band(40, 39)),
            ItemValue::Location(" ".into()),
            ItemValue::Text("two\nlines".into()),
            ItemValue::Text("x".repeat(301)),
            ItemValue::Link("javascript:alert(1)".into()),
            ItemValue::Link("https://".into()),
            resource("", None),
            resource("1.0", Some("http://plain.example")),
        ];
        assert!(sound.iter().all(ItemValue::is_sound));
        assert!(!unsound.iter().any(ItemValue::is_sound));
    }
}
