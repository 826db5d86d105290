//! What a service may have under the contract that the member accepted. Refuses unless every check passes, in
//! one fixed order: contract current, field declared, tier, spent, rate; and for other acts, permission and rate.

pub mod diff;
pub mod lint;
pub mod versions;

use crate::rate::Bucket;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use vettid_crypto::kdf::{Lp, h256};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Acceptance, Access, Contract, ContractField, CounterSignature, Permission, Tier};
use vettid_wire::json::JsonError;
use vettid_wire::refusal::RefusalCode;
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
}

impl Buckets {
    /// Nothing is left of any rate: it is not known what was used.
    #[must_use]
    pub fn empty(contract: &Contract, now: Timestamp) -> Self {
        let empty = Bucket::empty(now);
        let fields = contract.fields.iter().map(|field| (field.field.clone(), empty)).collect();
        Self { overall: Some(empty), fields }
    }
}

/// Decides a request to read a field. Every request that quotes the right contract counts against the overall rate; against
/// that of the field counts what passes everything before it.
pub fn read_field(
    now: Timestamp,
    accepted: &AcceptedContract,
    (buckets, spent): (&mut Buckets, &Spent),
    quoted_hash: &Base64Url,
    name: &str,
) -> Result<Grant, RefusalCode> {
    check_current(accepted, quoted_hash)?;
    let within_rate = take_overall(now, accepted, buckets);
    let field = accepted.contract.field(name).ok_or(RefusalCode::NotInContract)?;
    let grant = tier_grant(accepted, field)?;
    if spent.has(field) {
        return Err(RefusalCode::Spent);
    }
    within_rate?;
    take_field(now, field, buckets)?;
    Ok(grant)
}

/// Whether the contract names a field and the member agreed to it, whatever the rate and however it is handed out.
#[must_use]
pub fn may_read(accepted: &AcceptedContract, name: &str) -> bool {
    accepted.contract.field(name).is_some_and(|field| tier_grant(accepted, field).is_ok())
}

/// Decides any other act of the service.
pub fn act(
    now: Timestamp,
    accepted: &AcceptedContract,
    buckets: &mut Buckets,
    permission: Permission,
) -> Result<(), RefusalCode> {
    let within_rate = take_overall(now, accepted, buckets);
    if accepted.contract.permissions.contains(&permission) { within_rate } else { Err(RefusalCode::NotInContract) }
}

fn check_current(accepted: &AcceptedContract, quoted_hash: &Base64Url) -> Result<(), RefusalCode> {
    if accepted.contract_hash == *quoted_hash { Ok(()) } else { Err(RefusalCode::ContractMismatch) }
}

fn tier_grant(accepted: &AcceptedContract, field: &ContractField) -> Result<Grant, RefusalCode> {
    match field.tier {
        Tier::Required | Tier::OnDemand => Ok(Grant::Granted),
        Tier::Consent => Ok(Grant::Consent),
        Tier::Optional if accepted.acceptance.optional_fields_accepted.contains(&field.field) => Ok(Grant::Granted),
        Tier::Optional => Err(RefusalCode::NotInContract),
    }
}

fn take_overall(now: Timestamp, accepted: &AcceptedContract, buckets: &mut Buckets) -> Result<(), RefusalCode> {
    let rate = accepted.contract.rate;
    let bucket = buckets.overall.get_or_insert_with(|| Bucket::full(rate, now));
    if bucket.take(rate, now) { Ok(()) } else { Err(RefusalCode::RateLimited) }
}

fn take_field(now: Timestamp, field: &ContractField, buckets: &mut Buckets) -> Result<(), RefusalCode> {
    let Some(rate) = field.rate else {
        return Ok(());
    };
    let bucket = buckets.fields.entry(field.field.clone()).or_insert_with(|| Bucket::full(rate, now));
    if bucket.take(rate, now) { Ok(()) } else { Err(RefusalCode::RateLimited) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::json;

    fn accepted() -> AcceptedContract {
        let contract: Contract = json::read(
            br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
            {"field":"address","tier":"on_demand","purpose":"p","retention":"session","rate":{"count":2,"per_seconds":60}},
            {"field":"date_of_birth","tier":"consent","purpose":"p","retention":"session"},
            {"field":"email","tier":"required","purpose":"p","retention":"session"},
            {"field":"phone","tier":"optional","purpose":"p","retention":"session"},
            {"field":"city","tier":"optional","purpose":"p","retention":"session"}],
            "permissions":["request_authentication"],"rate":{"count":10,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
        )
        .unwrap();
        let contract_hash = contract_hash(&contract).unwrap();
        let acceptance = json::read(
            format!(
                r#"{{"contract_hash":"{contract_hash}","contract_version":1,"service_id":"demo-shop",
                "service_fp":"{fp}","member_fp":"{fp}","connection_id":"018f6b1e-7c1a-7000-8000-000000000001",
                "optional_fields_accepted":["phone"],"accepted_at":"2026-11-21T00:00:00.000Z","sequence":1,
                "key_id":"k_utkd2ec6y33ntxd64zqbcj2x5a","signature":""}}"#,
                fp = "A".repeat(43)
            )
            .as_bytes(),
        )
        .unwrap();
        AcceptedContract { contract, contract_hash, acceptance, counter_signature: None }
    }

    fn read(field: &str) -> Result<Grant, RefusalCode> {
        let accepted = accepted();
        read_field(
            Timestamp::default(),
            &accepted,
            (&mut Buckets::default(), &Spent::default()),
            &accepted.contract_hash,
            field,
        )
    }

    #[test]
    fn each_tier() {
        assert_eq!(read("address"), Ok(Grant::Granted));
        assert_eq!(read("email"), Ok(Grant::Granted));
        assert_eq!(read("date_of_birth"), Ok(Grant::Consent));
        assert_eq!(read("phone"), Ok(Grant::Granted));
        assert_eq!(read("city"), Err(RefusalCode::NotInContract));
        assert_eq!(read("ssn"), Err(RefusalCode::NotInContract));
        assert_eq!(read(""), Err(RefusalCode::NotInContract));
    }

    #[test]
    fn another_contract_is_refused_first() {
        let accepted = accepted();
        let other = Base64Url::new([0; 32]);
        let answer = read_field(
            Timestamp::default(),
            &accepted,
            (&mut Buckets::default(), &Spent::default()),
            &other,
            "address",
        );
        assert_eq!(answer, Err(RefusalCode::ContractMismatch));
    }

    #[test]
    fn the_rate_of_a_field_and_of_the_contract() {
        let (accepted, mut buckets, spent) = (accepted(), Buckets::default(), Spent::default());
        let mut ask =
            |field| read_field(Timestamp::default(), &accepted, (&mut buckets, &spent), &accepted.contract_hash, field);
        assert_eq!(ask("address"), Ok(Grant::Granted));
        assert_eq!(ask("address"), Ok(Grant::Granted));
        assert_eq!(ask("address"), Err(RefusalCode::RateLimited));
        for _ in 0..7 {
            assert_eq!(ask("email"), Ok(Grant::Granted));
        }
        assert_eq!(ask("email"), Err(RefusalCode::RateLimited));
    }

    #[test]
    fn what_is_handed_out_once_is_spent_by_being_served() {
        let mut accepted = accepted();
        accepted.contract.fields[2].access = Access::OneTime;
        let (mut buckets, mut spent) = (Buckets::default(), Spent::default());
        let mut ask = |spent: &Spent, field| {
            read_field(Timestamp::default(), &accepted, (&mut buckets, spent), &accepted.contract_hash, field)
        };
        assert_eq!((ask(&spent, "email"), ask(&spent, "email")), (Ok(Grant::Granted), Ok(Grant::Granted)));
        assert!(spent.served(&accepted, "email") && !spent.served(&accepted, "address"));
        assert_eq!((ask(&spent, "email"), ask(&spent, "address")), (Err(RefusalCode::Spent), Ok(Grant::Granted)));
        let mut restored = Spent::default();
        restored.close(&accepted);
        assert_eq!(restored, spent);
    }

    #[test]
    fn permissions() {
        let (accepted, mut buckets) = (accepted(), Buckets::default());
        let now = Timestamp::default();
        assert_eq!(act(now, &accepted, &mut buckets, Permission::RequestAuthentication), Ok(()));
        assert_eq!(act(now, &accepted, &mut buckets, Permission::Call), Err(RefusalCode::NotInContract));
    }
}
