//! `contract.test`: what a contract would have handed out over the last days, by the rules that decide real requests, on the requests that
//! the audit has, and what the owner's rules of today would have changed. Changes nothing, uses up no rate, and no value is looked at but for whether there is one.

use super::decide::offered;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::rule::past::Hindsight;
use crate::rule::ruling::secret_fields;
use crate::step::Step;
use crate::{audit, field};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use vettid_core::contract::trial::{Beside, ByRules, Past, try_on};
use vettid_core::contract::{AcceptedContract, Grant, contract_hash};
use vettid_rules::Facts;
use vettid_wire::audit::ExportedEntry;
use vettid_wire::base64::Base64;
use vettid_wire::connection::PeerKind;
use vettid_wire::contract::{Acceptance, Contract, Tier};
use vettid_wire::event::{BatchAsked, DataRequest, DataSnapshot, EventRow};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::Verdict;
use vettid_wire::time::Timestamp;
use vettid_wire::trial::{ContractTrial, MAX_TRIAL_DAYS, TrialBasis, TryContract};

const DAY_MS: i64 = 24 * 3_600_000;
/// Most audit entries that are looked at: the vault does nothing else meanwhile.
const MAX_LOOKED_AT: u64 = 20_000;
/// Most requests that are tried.
const MAX_TRIED: usize = 5_000;

/// What the audit says of a request for fields, or of a value that was sent: of whose connection, and which field, or which ones.
#[derive(Deserialize)]
struct About {
    connection_id: ConnectionId,
    field: Option<String>,
    #[serde(default)]
    fields: Vec<String>,
}

/// What happened, oldest first, and since when nothing is left out.
struct History {
    since: Timestamp,
    past: VecDeque<Past>,
}

/// Tries the contract that waits for the owner, else the one in force.
pub fn test(step: &Step<'_>, asked: &TryContract) -> Result<Result<ContractTrial, RefusalCode>, Failure> {
    let id = asked.connection_id;
    let found = connection::get(&step.draft, id)?.filter(|connection| connection.kind == PeerKind::Service);
    let Some(connection) = found else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let in_force = connection::contract(&step.draft, id)?;
    let basis = if in_force.is_some() { TrialBasis::OwnRequests } else { TrialBasis::OtherServices };
    let waiting = offered(step, &connection)?.map(|offered| offered.contract);
    let Some(contract) = waiting.or_else(|| in_force.map(|accepted| accepted.contract)) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let is_optional = |name: &String| contract.field(name).is_some_and(|field| field.tier == Tier::Optional);
    if !(1..=MAX_TRIAL_DAYS).contains(&asked.days) || !asked.optional_fields.iter().all(is_optional) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let whose = match basis {
        TrialBasis::OwnRequests => BTreeSet::from([id]),
        TrialBasis::OtherServices => other_services(step, id)?,
    };
    let mut history = history(step, step.now.plus_ms(-i64::from(asked.days) * DAY_MS), &whose)?;
    let past: &[Past] = history.past.make_contiguous();
    let tried = past.iter().filter(|past| matches!(past, Past::Asked { .. })).count();
    let accepted = as_if_accepted(step, &connection, contract, &asked.optional_fields)?;
    let spent = connection::spent(&step.draft, id)?;
    let stored: BTreeSet<String> = field::list(&step.draft)?.into_iter().map(|stored| stored.field).collect();
    let (secrets, mut hindsight) = (secret_fields(step)?, Hindsight::of(step)?);
    let is_locked = |field: &str| secrets.as_ref().is_none_or(|names| names.contains(field));
    let rules = &mut |at, field: &str, grant| by_rules(&mut hindsight, at, (id, field, grant), is_locked(field));
    let beside = Beside { is_stored: &|name| stored.contains(name), rules };
    let fields = try_on(&accepted, spent, past, (history.since, step.now), beside);
    Ok(Ok(ContractTrial {
        connection_id: id,
        contract_version: accepted.contract.contract_version,
        basis,
        since: history.since,
        tried: u64::try_from(tried).unwrap_or(u64::MAX),
        fields,
    }))
}

/// What the owner's rules would have made of a request that the contract lets through, as in [`ruling`](crate::rule::ruling).
fn by_rules(
    hindsight: &mut Hindsight,
    at: Timestamp,
    (connection_id, field, grant): (ConnectionId, &str, Grant),
    is_locked: bool,
) -> ByRules {
    let facts = Facts {
        event_type: DataRequest::ROW.event_type(),
        connection_id,
        field: Some(field.to_owned()),
        amount: None,
        asks: grant == Grant::Consent,
        locked: is_locked,
    };
    match hindsight.decide(&facts, at).ruled.verdict {
        Verdict::Deny => ByRules::Denied,
        Verdict::Ask if !facts.asks => ByRules::Asked,
        Verdict::Allow => ByRules::Answered,
        Verdict::Ask | Verdict::Contract => ByRules::Unchanged,
    }
}

/// The owner's services but this one; ended ones too, for they asked while they lasted.
fn other_services(step: &Step<'_>, id: ConnectionId) -> Result<BTreeSet<ConnectionId>, Failure> {
    let mut others = BTreeSet::new();
    for connection in connection::later(&step.draft, None) {
        let connection = connection?;
        if connection.kind == PeerKind::Service && connection.connection_id != id {
            others.insert(connection.connection_id);
        }
    }
    Ok(others)
}

/// An acceptance that nobody signed and nobody keeps.
fn as_if_accepted(
    step: &Step<'_>,
    connection: &Connection,
    contract: Contract,
    optional_fields: &[String],
) -> Result<AcceptedContract, Failure> {
    let contract_hash = contract_hash(&contract)?;
    let acceptance = Acceptance {
        contract_hash: contract_hash.clone(),
        contract_version: contract.contract_version,
        service_id: contract.service_id.clone(),
        service_fp: connection.peer.as_ref().map_or(Fingerprint::from_bytes([0; 32]), |peer| peer.fingerprint),
        member_fp: step.identity.fingerprint(),
        connection_id: connection.connection_id,
        optional_fields_accepted: optional_fields.to_vec(),
        accepted_at: step.now,
        sequence: 0,
        key_id: step.identity.signing_key().key_id(),
        signature: Base64::default(),
    };
    Ok(AcceptedContract { contract, contract_hash, acceptance, counter_signature: None })
}

fn history(step: &Step<'_>, since: Timestamp, whose: &BTreeSet<ConnectionId>) -> Result<History, Failure> {
    let size = audit::chain(&step.draft)?.size();
    let mut found = History { since, past: VecDeque::new() };
    for number in (size.saturating_sub(MAX_LOOKED_AT)..size).rev() {
        let Some(entry) = audit::entries(&step.draft, number, 1)?.pop() else { continue };
        let at = entry.entry.ts;
        if at < since {
            return Ok(found);
        }
        let is_full = found.past.len() == MAX_TRIED;
        if is_full || number + MAX_LOOKED_AT == size {
            found.since = at;
        }
        if is_full {
            return Ok(found);
        }
        // The last one first, as the entries.
        for past in read(entry, whose).into_iter().rev() {
            // One change of a value is sent to each service that follows it.
            if !matches!(past, Past::Changed { .. }) || found.past.front() != Some(&past) {
                found.past.push_front(past);
            }
        }
    }
    Ok(found)
}

/// What an entry of the audit tells, in the order in which it happened: nothing for most of them.
fn read(entry: ExportedEntry, whose: &BTreeSet<ConnectionId>) -> Vec<Past> {
    let (at, name) = (entry.entry.ts, entry.entry.event_type.clone());
    let Some(detail) = entry.detail.map(|detail| detail.value) else { return vec![] };
    let about = |value: &Value| {
        let about = About::deserialize(value).ok().filter(|about| whose.contains(&about.connection_id));
        about.map(|about| about.field.into_iter().chain(about.fields)).into_iter().flatten()
    };
    if name == DataSnapshot::ROW.name {
        return about(&detail).map(|field| Past::Changed { at, field }).collect();
    }
    if ![DataRequest::ROW.name, BatchAsked::ROW.name].contains(&name.as_str()) {
        return vec![];
    }
    if let Some(refused) = detail.get("asked") {
        return about(refused).map(|field| Past::Asked { at, field }).collect();
    }
    let facts = detail.get("facts").and_then(|facts| Facts::deserialize(facts).ok());
    let facts = facts.filter(|facts| whose.contains(&facts.connection_id));
    facts.and_then(|facts| facts.field).map(|field| Past::Asked { at, field }).into_iter().collect()
}
