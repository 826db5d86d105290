//! Kinds of services, and what services of one kind ask of their members, counted and signed by the registry. Contracts are public; what is
//! counted here is nothing about members.

use crate::base64::Base64;
use crate::contract::{Contract, Permission, Retention, Tier};
use crate::id::{KeyId, MemberId, ServiceId};
use crate::key::TypedKey;
use crate::profile::SignedProfile;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Fewer services than this are not compared with.
pub const LEAST_SERVICES: u32 = 5;
/// Longest name of a category.
const MAX_BYTES: usize = 40;

/// A kind of services, such as `shop`: small letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(String);

/// Not a name of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a category is 1 to 40 of a-z, 0-9 and -")]
pub struct InvalidCategory;

impl Category {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Category {
    type Err = InvalidCategory;

    fn from_str(text: &str) -> Result<Self, InvalidCategory> {
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(sound);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidCategory) }
    }
}

impl TryFrom<String> for Category {
    type Error = InvalidCategory;

    fn try_from(text: String) -> Result<Self, InvalidCategory> {
        text.parse()
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service tells the registry of itself (ctx `vettid/service-listing/1`), by its identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceListing {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// Its kind, as it says itself.
    pub category: Category,
    /// The contract that it offers now.
    pub contract: Contract,
    /// The identity key.
    pub public_key: TypedKey,
    /// When; an older one never takes the place of a newer one.
    pub at: Timestamp,
    /// The identity key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// `POST /v1/services/listing`: the listing, under the signature of the service's account (ctx `vettid/listing-account/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListService {
    /// The listing.
    pub listing: ServiceListing,
    /// 64 bytes, by the account.
    pub signature: Base64,
}

/// The listing stands in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Of the listing that stands there now.
    pub at: Timestamp,
}

/// What services of one kind ask (ctx `vettid/category-statistics/1`), by the registry's identity. Only verified services are counted, each
/// domain once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryStatistics {
    /// The service that was asked about.
    pub service_id: ServiceId,
    /// Its kind, as it says itself.
    pub category: Category,
    /// What is counted; absent: there are fewer than [`LEAST_SERVICES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// When this was counted.
    pub issued_at: Timestamp,
    /// Says nothing any more from then on.
    pub valid_until: Timestamp,
    /// The registry's key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What some services ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// How many there are.
    pub services: u32,
    /// By field.
    pub fields: BTreeMap<String, FieldCount>,
    /// How many may do what.
    pub permissions: BTreeMap<Permission, u32>,
    /// What they may store with a member; absent: it was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageCount>,
    /// How many messages they may send in any hour, the fewest first; absent: it was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications_per_hour: Option<Vec<AmountCount>>,
}

/// How many services store what with a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageCount {
    /// By how much at most, in bytes, the least first.
    pub quota_bytes: Vec<AmountCount>,
    /// By the names of categories.
    pub categories: BTreeMap<String, u32>,
}

/// How many services may have so much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountCount {
    /// So much.
    pub amount: u64,
    /// So many.
    pub services: u32,
}

/// How many services ask for a field, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldCount {
    /// All that ask for it.
    pub services: u32,
    /// By how it is handed out.
    pub tiers: BTreeMap<Tier, u32>,
    /// By how long it is kept, the shortest first.
    pub retentions: Vec<RetentionCount>,
}

/// How many services keep a field for so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionCount {
    /// So long.
    pub retention: Retention,
    /// So many.
    pub services: u32,
}

/// `POST /v1/registry/comparison`: what services of the same kind as this one ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskComparison {
    /// The service.
    pub service_id: ServiceId,
}

/// What there is to compare with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonBasis {
    /// The registry.
    pub registry: SignedProfile,
    /// Absent: the service did not say of which kind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<CategoryStatistics>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_one_form() {
        assert_eq!("shop-2".parse::<Category>().unwrap().as_str(), "shop-2");
        for wrong in ["", "Shop", "a b", "läden", &"a".repeat(41)] {
            assert!(wrong.parse::<Category>().is_err(), "{wrong}");
        }
    }
}
