//! The contract between a member and a service: which fields, how, for how long, how often.

use crate::base64::{Base64, Base64Url};
use crate::data::is_field_name;
use crate::id::{ConnectionId, Fingerprint, KeyId, ServiceId};
use crate::json::{self, JsonError};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

mod storage;

pub use storage::{InvalidStorage, MAX_CATEGORIES, MAX_QUOTA_BYTES, Storage, StorageCategory};

/// Most fields in one contract.
pub const MAX_FIELDS: usize = 64;

/// Most messages in an hour that a contract may name.
pub const MAX_NOTIFICATIONS_PER_HOUR: u32 = 60;

/// A contract as its service publishes it. Its hash is over the canonical bytes (spec 2.14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The service.
    pub service_id: ServiceId,
    /// Counts the versions, from 1.
    pub contract_version: u64,
    /// One sentence for the member.
    pub description: String,
    /// What may be read.
    pub fields: Vec<ContractField>,
    /// What else the service may do.
    pub permissions: Vec<Permission>,
    /// How many messages the service may send in any hour. The permission to send messages gives nothing without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications_per_hour: Option<u32>,
    /// What the service may store with the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// How often it may ask, over all fields.
    pub rate: Rate,
    /// The service's terms.
    pub terms_url: String,
    /// The service's privacy statement.
    pub privacy_url: String,
}

/// One field of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractField {
    /// Name of the field.
    pub field: String,
    /// How it is handed out.
    pub tier: Tier,
    /// How often it is handed out.
    #[serde(default, skip_serializing_if = "Access::is_on_demand")]
    pub access: Access,
    /// What for, shown to the member.
    pub purpose: String,
    /// How long the service may keep it.
    pub retention: Retention,
    /// How often this field may be read; the contract's rate applies as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// How a field is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A condition of the connection; read at any time.
    Required,
    /// The member chooses at acceptance; then read at any time.
    Optional,
    /// Read at any time while it exists.
    OnDemand,
    /// The member is asked each time.
    Consent,
}

/// How often a field is handed out, within its tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Each time that the service asks.
    #[default]
    OnDemand,
    /// Once while the connection lives, over all versions of the contract.
    OneTime,
    /// Handed out unasked: after acceptance and after each change. May be asked for, too.
    Snapshot,
}

impl Access {
    /// Whether it is the default, which contracts leave out.
    #[must_use]
    pub fn is_on_demand(&self) -> bool {
        *self == Self::OnDemand
    }
}

/// How long the service may keep a value. Longer is more: the order is that of the variants, then of the days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Retention {
    /// For the session only.
    Session,
    /// For this many days.
    TimeLimited {
        /// Days, from 1.
        days: u32,
    },
    /// Until the connection ends.
    UntilRevoked,
}

/// What a service may do beside reading fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Ask the member to log in.
    RequestAuthentication,
    /// Ask for a payment.
    RequestPayment,
    /// Send messages.
    SendMessages,
    /// Store data with the member.
    StoreData,
    /// Call.
    Call,
    /// Ask for consent.
    RequestConsent,
    /// Ask for a signature under a document.
    RequestSignature,
    /// Ask for a proof of claims made from the fields of the contract.
    RequestProof,
}

/// At most `count` in any `per_seconds`, as a bucket that refills evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Size of the bucket, from 1.
    pub count: u32,
    /// Seconds in which an empty bucket refills, from 1.
    pub per_seconds: u32,
}

/// Why a contract cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContract {
    /// Too many fields.
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// A name outside the grammar.
    #[error("the name of field {0} is not valid")]
    FieldName(usize),
    /// The same field twice.
    #[error("field {0} stands twice")]
    FieldTwice(usize),
    /// A number that must be at least one is zero.
    #[error("a rate, a retention or a version is zero")]
    Zero,
    /// More messages in an hour than a member can be asked to bear.
    #[error("more than {MAX_NOTIFICATIONS_PER_HOUR} notifications an hour")]
    TooManyNotifications,
    /// What is handed out unasked cannot wait for the member's word, nor end with a session.
    #[error("field {0} is a snapshot, so its tier is not consent and its retention is longer than a session")]
    Snapshot(usize),
    /// What it may store makes no sense.
    #[error(transparent)]
    Storage(#[from] InvalidStorage),
}

impl Contract {
    /// Checks what the grammar alone cannot.
    pub fn validate(&self) -> Result<(), InvalidContract> {
        if self.fields.len() > MAX_FIELDS {
            return Err(InvalidContract::TooManyFields);
        }
        let mut names = HashSet::new();
        for (index, field) in self.fields.iter().enumerate() {
            if !is_field_name(&field.field) {
                return Err(InvalidContract::FieldName(index));
            }
            if !names.insert(&field.field) {
                return Err(InvalidContract::FieldTwice(index));
            }
            let cannot_push = field.tier == Tier::Consent || field.retention == Retention::Session;
            if field.access == Access::Snapshot && cannot_push {
                return Err(InvalidContract::Snapshot(index));
            }
        }
        if self.notifications_per_hour.is_some_and(|number| number > MAX_NOTIFICATIONS_PER_HOUR) {
            return Err(InvalidContract::TooManyNotifications);
        }
        self.storage.as_ref().map_or(Ok(()), Storage::validate)?;
        let rates = self.fields.iter().filter_map(|field| field.rate).chain([self.rate]);
        let zero_rate = rates.into_iter().any(|rate| rate.count == 0 || rate.per_seconds == 0);
        let zero_days = self.fields.iter().any(|f| f.retention == Retention::TimeLimited { days: 0 });
        let is_zero = self.notifications_per_hour == Some(0) || zero_rate || zero_days;
        if is_zero || self.contract_version == 0 { Err(InvalidContract::Zero) } else { Ok(()) }
    }

    /// The bytes that the contract hash covers.
    pub fn canonical(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical(self)
    }

    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&ContractField> {
        self.fields.iter().find(|field| field.field == name)
    }
}

/// A member's acceptance (ctx `vettid/contract-accept/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The contract.
    pub contract_hash: Base64Url,
    /// Its version.
    pub contract_version: u64,
    /// The service.
    pub service_id: ServiceId,
    /// The service's identity.
    pub service_fp: Fingerprint,
    /// The member's identity.
    pub member_fp: Fingerprint,
    /// The connection.
    pub connection_id: ConnectionId,
    /// The optional fields that the member agreed to.
    pub optional_fields_accepted: Vec<String>,
    /// When.
    pub accepted_at: Timestamp,
    /// Counts the acceptances of this connection, from 1.
    pub sequence: u64,
    /// The member's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// The service's counter-signature (ctx `vettid/contract-counter/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterSignature {
    /// SHA-256 of the canonical bytes of the signed acceptance.
    pub acceptance_hash: Base64Url,
    /// The connection.
    pub connection_id: ConnectionId,
    /// When.
    pub countersigned_at: Timestamp,
    /// The service's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        json::read(
            br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
            {"field":"address","tier":"on_demand","purpose":"p","retention":"session"}],"permissions":[],
            "rate":{"count":5,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_sound_contract_passes() {
        assert_eq!(contract().validate(), Ok(()));
    }

    #[test]
    fn unsound_contracts_are_named() {
        let mut twice = contract();
        twice.fields.push(twice.fields[0].clone());
        assert_eq!(twice.validate(), Err(InvalidContract::FieldTwice(1)));
        let mut name = contract();
        name.fields[0].field = "Address!".into();
        assert_eq!(name.validate(), Err(InvalidContract::FieldName(0)));
        let mut rate = contract();
        rate.rate.count = 0;
        assert_eq!(rate.validate(), Err(InvalidContract::Zero));
        for (tier, retention, sound) in [
            (Tier::OnDemand, Retention::UntilRevoked, true),
            (Tier::Consent, Retention::UntilRevoked, false),
            (Tier::OnDemand, Retention::Session, false),
        ] {
            let mut snapshot = contract();
            snapshot.fields[0] =
                ContractField { tier, retention, access: Access::Snapshot, ..snapshot.fields[0].clone() };
            let found = snapshot.validate();
            assert_eq!(found, if sound { Ok(()) } else { Err(InvalidContract::Snapshot(0)) });
        }
        for (number, found) in [
            (0, Err(InvalidContract::Zero)),
            (1, Ok(())),
            (MAX_NOTIFICATIONS_PER_HOUR, Ok(())),
            (MAX_NOTIFICATIONS_PER_HOUR + 1, Err(InvalidContract::TooManyNotifications)),
        ] {
            assert_eq!(Contract { notifications_per_hour: Some(number), ..contract() }.validate(), found, "{number}");
        }
        let mut retention = contract();
        retention.fields[0].retention = Retention::TimeLimited { days: 0 };
        assert_eq!(retention.validate(), Err(InvalidContract::Zero));
    }

    #[test]
    fn a_contract_without_storage_keeps_its_hash_and_an_unsound_section_is_named() {
        let mut stores = contract();
        assert!(!String::from_utf8(stores.canonical().unwrap()).unwrap().contains("storage"));
        let category = StorageCategory { category: "receipts".into(), purpose: "p".into() };
        stores.storage = Some(Storage { quota_bytes: 1, categories: vec![category] });
        assert_eq!(stores.validate(), Ok(()));
        stores.storage.as_mut().unwrap().quota_bytes = 0;
        assert_eq!(stores.validate(), Err(InvalidContract::Storage(InvalidStorage::Quota)));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut value = serde_json::to_value(contract()).unwrap();
        value["extra"] = 1.into();
        assert!(json::from_value::<Contract>(value).is_err());
    }
}
