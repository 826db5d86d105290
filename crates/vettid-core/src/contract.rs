//! What a service may have under the contract that the member accepted. Refuses unless every check passes, in
//! one fixed order: contract current, field declared, tier, spent, retention, rate, permission, quota.

mod breach;
mod notify;

pub use breach::Breach;
pub use notify::{Hour, NotSent, send_message};

pub mod diff;
pub mod lint;
pub mod storage;
pub mod trial;
pub mod versions;

use crate::rate::Bucket;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use vettid_crypto::kdf::{Lp, h256};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{
    Acceptance, Access, Contract, ContractField, CounterSignature, Permission, Retention, Tier,
};
use vettid_wire::json::JsonError;
use vettid_wire::time::Timestamp;

/// `H256("vettid-contract-v1" 0x00 ‖ LP(JCS(contract)))`, spec 2.14.
pub fn contract_hash(contract: &Contract) -> Result<Base64Url, JsonError> {
    let bytes = Lp::labelled("vettid-contract-v1").lp(&contract.canonical()?).finish();
    Ok(Base64Url::new(h256(&bytes)))
}

/// A contract in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedContract {
    /// As the service published it.
    pub contract: Contract,
    /// Its hash, which each request quotes.
    pub contract_hash: Base64Url,
    /// The member's signed acceptance.
    pub acceptance: Acceptance,
    /// The service's counter-signature, once it came.
    pub counter_signature: Option<CounterSignature>,
}

/// How a field may be handed out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// At once.
    Granted,
    /// After the owner said yes.
    Consent,
}

/// The fields of one connection that were handed out and are so only once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spent(BTreeSet<String>);

impl Spent {
    /// A field was handed out; whether that is to be remembered.
    pub fn served(&mut self, accepted: &AcceptedContract, name: &str) -> bool {
        let once = accepted.contract.field(name).is_some_and(|field| field.access == Access::OneTime);
        once && self.0.insert(name.to_owned())
    }

    /// After a restore nobody knows what was handed out meanwhile (spec §3 R17).
    pub fn close(&mut self, accepted: &AcceptedContract) {
        let once = accepted.contract.fields.iter().filter(|field| field.access == Access::OneTime);
        self.0.extend(once.map(|field| field.field.clone()));
    }

    /// Whether this field may be handed out no more.
    #[must_use]
    pub fn covers(&self, accepted: &AcceptedContract, name: &str) -> bool {
        accepted.contract.field(name).is_some_and(|field| self.has(field))
    }

    fn has(&self, field: &ContractField) -> bool {
        field.access == Access::OneTime && self.0.contains(&field.field)
    }
}

/// What is left of each rate of one contract.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Buckets {
    overall: Option<Bucket>,
    fields: BTreeMap<String, Bucket>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pushes: BTreeMap<String, Bucket>,
    #[serde(default, skip_serializing_if = "Hour::is_empty")]
    hour: Hour,
}

impl Buckets {
    /// Nothing is left of any rate: it is not known what was used.
    #[must_use]
    pub fn empty(contract: &Contract, now: Timestamp) -> Self {
        let empty = Bucket::empty(now);
        let fields: BTreeMap<_, _> = contract.fields.iter().map(|field| (field.field.clone(), empty)).collect();
        let hour = Hour::full(contract.notifications_per_hour.unwrap_or(0), now);
        Self { overall: Some(empty), pushes: fields.clone(), fields, hour }
    }
}

/// What a service asks to read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The contract that it says it has.
    pub quoted_hash: &'a Base64Url,
    /// Name of the field.
    pub field: &'a str,
    /// How long it wants to keep the value; `None`: as long as the contract allows.
    pub retention: Option<Retention>,
}

/// Decides a request to read a field. Every request that quotes the right contract counts against the overall rate; against
/// that of the field counts what passes everything before it.
pub fn read_field(
    now: Timestamp,
    accepted: &AcceptedContract,
    (buckets, spent): (&mut Buckets, &Spent),
    asked: Reading<'_>,
) -> Result<Grant, Breach> {
    check_current(accepted, asked.quoted_hash)?;
    let within_rate = take_overall(now, accepted, buckets);
    let field = accepted.contract.field(asked.field).ok_or(Breach::NotDeclared)?;
    let grant = tier_grant(accepted, field)?;
    if spent.has(field) {
        return Err(Breach::Spent);
    }
    check_retention(field, asked.retention)?;
    within_rate?;
    take_field(now, field, buckets)?;
    Ok(grant)
}

/// Decides a request to read several fields, each as if it was asked for alone: one token of each rate for each field, in the
/// order in which they stand. Only another contract fails all of them.
pub fn read_fields(
    now: Timestamp,
    accepted: &AcceptedContract,
    (buckets, spent): (&mut Buckets, &Spent),
    quoted_hash: &Base64Url,
    fields: &[(&str, Option<Retention>)],
) -> Result<Vec<Result<Grant, Breach>>, Breach> {
    check_current(accepted, quoted_hash)?;
    let decide = |(field, retention): &(&str, Option<Retention>)| {
        let asked = Reading { quoted_hash, field, retention: *retention };
        read_field(now, accepted, (&mut *buckets, spent), asked)
    };
    Ok(fields.iter().map(decide).collect())
}

/// Decides whether a field may be handed out unasked now. It has a bucket of its own, with the rate of the field or, if that
/// has none, of the contract: what is sent takes nothing from what may be asked for (docs/decisions/0186).
pub fn push_field(
    now: Timestamp,
    accepted: &AcceptedContract,
    buckets: &mut Buckets,
    name: &str,
) -> Result<(), Breach> {
    let field = accepted.contract.field(name).filter(|field| field.access == Access::Snapshot);
    let field = field.ok_or(Breach::NotDeclared)?;
    if tier_grant(accepted, field)? != Grant::Granted {
        return Err(Breach::NotAgreed);
    }
    let rate = field.rate.unwrap_or(accepted.contract.rate);
    let bucket = buckets.pushes.entry(field.field.clone()).or_insert_with(|| Bucket::full(rate, now));
    if bucket.take(rate, now) { Ok(()) } else { Err(Breach::OverRate) }
}

/// The fields that are handed out unasked.
pub fn snapshots(accepted: &AcceptedContract) -> impl Iterator<Item = &str> {
    let fields = accepted.contract.fields.iter().filter(|field| field.access == Access::Snapshot);
    fields.filter(|field| tier_grant(accepted, field) == Ok(Grant::Granted)).map(|field| field.field.as_str())
}

/// Whether the contract names a field and the member agreed to it, whatever the rate and however it is handed out.
#[must_use]
pub fn may_read(accepted: &AcceptedContract, name: &str) -> bool {
    check_read(accepted, name).is_ok()
}

/// The same with the check that fails.
///
/// # Errors
/// The field is not declared, or not agreed to.
pub fn check_read(accepted: &AcceptedContract, name: &str) -> Result<(), Breach> {
    let field = accepted.contract.field(name).ok_or(Breach::NotDeclared)?;
    tier_grant(accepted, field).map(|_| ())
}

/// Decides any other act of the service.
pub fn act(
    now: Timestamp,
    accepted: &AcceptedContract,
    buckets: &mut Buckets,
    quoted_hash: &Base64Url,
    permission: Permission,
) -> Result<(), Breach> {
    check_current(accepted, quoted_hash)?;
    take_overall(now, accepted, buckets)?;
    check_permission(accepted, permission)
}

fn check_permission(accepted: &AcceptedContract, permission: Permission) -> Result<(), Breach> {
    if accepted.contract.permissions.contains(&permission) { Ok(()) } else { Err(Breach::NotPermitted) }
}

fn check_retention(field: &ContractField, asked: Option<Retention>) -> Result<(), Breach> {
    if asked.is_none_or(|asked| asked <= field.retention) { Ok(()) } else { Err(Breach::RetentionTooLong) }
}

fn check_current(accepted: &AcceptedContract, quoted_hash: &Base64Url) -> Result<(), Breach> {
    if accepted.contract_hash == *quoted_hash { Ok(()) } else { Err(Breach::NotCurrent) }
}

fn tier_grant(accepted: &AcceptedContract, field: &ContractField) -> Result<Grant, Breach> {
    match field.tier {
        Tier::Required | Tier::OnDemand => Ok(Grant::Granted),
        Tier::Consent => Ok(Grant::Consent),
        Tier::Optional if accepted.acceptance.optional_fields_accepted.contains(&field.field) => Ok(Grant::Granted),
        Tier::Optional => Err(Breach::NotAgreed),
    }
}

fn take_overall(now: Timestamp, accepted: &AcceptedContract, buckets: &mut Buckets) -> Result<(), Breach> {
    let rate = accepted.contract.rate;
    let bucket = buckets.overall.get_or_insert_with(|| Bucket::full(rate, now));
    if bucket.take(rate, now) { Ok(()) } else { Err(Breach::OverRate) }
}

fn take_field(now: Timestamp, field: &ContractField, buckets: &mut Buckets) -> Result<(), Breach> {
    let Some(rate) = field.rate else {
        return Ok(());
    };
    let bucket = buckets.fields.entry(field.field.clone()).or_insert_with(|| Bucket::full(rate, now));
    if bucket.take(rate, now) { Ok(()) } else { Err(Breach::OverRate) }
}

#[cfg(test)]
mod tests;
