//! The profile that a member or a service shows to its connections.

use crate::base64::Base64;
use crate::contract::Contract;
use crate::id::{KeyId, MemberId, ServiceId};
use crate::key::TypedKey;
use crate::key_record::KeyRecord;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A profile is valid for at most this long, in milliseconds (30 days).
pub const MAX_LIFE_MS: i64 = 30 * 24 * 3600 * 1000;

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
    /// Seen by every connection.
    pub public: PublicProfile,
    /// Only for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceProfile>,
    /// The events that this vault handles.
    pub event_types: Vec<String>,
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
