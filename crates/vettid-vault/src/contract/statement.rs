//! What a service got is written into the audit chain in the commit in which it leaves; the statement is the list of those
//! entries, signed. No value is kept for it.

use super::{kept, served_key, served_prefix};
use crate::audit;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::peer::actor;
use crate::step::Step;
use serde_json::json;
use vettid_core::contract::AcceptedContract;
use vettid_core::statement::{VERSION, list_hash};
use vettid_crypto::signature::{Context, sign_object};
use vettid_wire::audit::Outcome;
use vettid_wire::authorisation::Claim;
use vettid_wire::base64::Base64;
use vettid_wire::connection::PeerKind;
use vettid_wire::contract::Tier;
use vettid_wire::event::{AuthorisationResponse, DataResponse, DataSnapshot, DataStoredResponse, EventRow, EventType};
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::{AskStatement, DecidedBy, MAX_PART_ENTRIES, ServedField, StatementHead, StatementPart};

/// A value leaves: to be called in the step in which its answer is sealed, or in which it is sent unasked.
pub fn note_served(
    step: &mut Step<'_>,
    connection: &Connection,
    named: (&str, &str),
    request_id: Option<RequestId>,
    decided_by: DecidedBy,
) -> Result<(), Failure> {
    let event_type = if request_id.is_some() { DataResponse::ROW.event_type() } else { DataSnapshot::ROW.event_type() };
    let Some(accepted) = connection::shared_contract(&step.draft, connection.connection_id)? else { return Ok(()) };
    note(step, connection, &event_type, &of_field(connection, &accepted, named, (request_id, decided_by)))
}

/// A claim leaves in a proof that the owner said yes to: to be called in the step in which that is signed.
pub fn note_proved(
    step: &mut Step<'_>,
    connection: &Connection,
    (claim, purpose): (&Claim, &str),
    request_id: RequestId,
) -> Result<(), Failure> {
    let Some(accepted) = connection::shared_contract(&step.draft, connection.connection_id)? else { return Ok(()) };
    let named = (claim.field(), purpose);
    let mut served = of_field(connection, &accepted, named, (Some(request_id), DecidedBy::Owner));
    served.claim = claim.years().is_some().then(|| claim.clone());
    note(step, connection, &AuthorisationResponse::ROW.event_type(), &served)
}

fn of_field(
    connection: &Connection,
    accepted: &AcceptedContract,
    (field, purpose): (&str, &str),
    (request_id, decided_by): (Option<RequestId>, DecidedBy),
) -> ServedField {
    ServedField {
        connection_id: connection.connection_id,
        field: field.to_owned(),
        category: None,
        claim: None,
        purpose: purpose.to_owned(),
        tier: accepted.contract.field(field).map_or(Tier::Consent, |declared| declared.tier),
        contract_hash: accepted.contract_hash.clone(),
        contract_version: accepted.contract.contract_version,
        decided_by,
        request_id,
    }
}

/// A service reads back what it stored: to be called in the step in which its answer is sealed.
pub fn note_read_back(
    step: &mut Step<'_>,
    connection: &Connection,
    (category, name): (&str, &str),
    request_id: RequestId,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some(accepted) = connection::shared_contract(&step.draft, id)? else { return Ok(()) };
    let declared = accepted.contract.storage.as_ref().and_then(|storage| storage.category(category));
    let served = ServedField {
        connection_id: id,
        field: name.to_owned(),
        category: Some(category.to_owned()),
        claim: None,
        purpose: declared.map(|declared| declared.purpose.clone()).unwrap_or_default(),
        tier: Tier::OnDemand,
        contract_hash: accepted.contract_hash.clone(),
        contract_version: accepted.contract.contract_version,
        decided_by: DecidedBy::Contract,
        request_id: Some(request_id),
    };
    note(step, connection, &DataStoredResponse::ROW.event_type(), &served)
}

fn note(
    step: &mut Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    served: &ServedField,
) -> Result<(), Failure> {
    let number = step.audit(&actor(connection), event_type, Outcome::Success, json!({ "served": served }))?;
    Ok(step.draft.put(served_key(connection.connection_id, number), &number)?)
}

/// `contract.statement.export`.
pub fn statement(step: &Step<'_>, asked: &AskStatement) -> Result<Result<StatementPart, RefusalCode>, Failure> {
    let id = asked.connection_id;
    let found = connection::get(&step.draft, id)?.filter(|connection| connection.kind == PeerKind::Service);
    let contracts = kept(&step.draft, id)?;
    let (Some(_), Some(first)) = (found, contracts.first()) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let numbers: Vec<u64> = step.draft.values(&served_prefix(id))?;
    let (chain, signing) = (audit::chain(&step.draft)?, step.identity.signing_key());
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let head = StatementHead {
        version: VERSION,
        guid: step.identity.guid,
        vault_fp: step.identity.fingerprint(),
        connection_id: id,
        service_id: first.contract.service_id.clone(),
        contracts: count(contracts.len()),
        contracts_hash: list_hash(&contracts)?,
        entries: count(numbers.len()),
        entries_hash: list_hash(&numbers)?,
        audit_size: chain.size(),
        audit_root: chain.root(),
        made_at: step.now,
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    let head = vjson::from_value(sign_object(Context::Statement, signing, &head)?)?;
    let part = usize::try_from(asked.part).unwrap_or(usize::MAX);
    let skipped = part.checked_sub(contracts.len()).map(|part| part.saturating_mul(MAX_PART_ENTRIES));
    let entries = skipped.map(|skipped| numbers.into_iter().skip(skipped).take(MAX_PART_ENTRIES).collect());
    Ok(Ok(StatementPart {
        head,
        key_record: step.identity.key_record.record().clone(),
        contract: contracts.into_iter().nth(part),
        entries: entries.unwrap_or_default(),
    }))
}
