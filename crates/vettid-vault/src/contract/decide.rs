//! The owner reads and decides: a yes puts new terms in force at once, signed; a no ends the connection. What the owner has not
//! read is never decided.

use super::{keep, offer_key, sign_acceptance, waiting};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::field;
use crate::revocation;
use crate::send;
use crate::service::snapshot;
use crate::step::Step;
use vettid_core::contract::versions::{Agreed, agree, reject};
use vettid_core::contract::{AcceptedContract, contract_hash};
use vettid_wire::connection::{PeerKind, RevocationReason, Revoke};
use vettid_wire::event::{ContractAccepted, ContractDecide, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::offer::{
    ContractList, ContractSummary, ContractView, DecideContract, MAX_LISTED_CONTRACTS, OfferedContract, SignedContract,
};
use vettid_wire::refusal::RefusalCode;

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

/// `contract.list`.
pub fn list(step: &Step<'_>) -> Answered<ContractList> {
    let mut contracts = Vec::new();
    for connection in connection::later(&step.draft, None) {
        let connection = connection?;
        if connection.kind != PeerKind::Service || contracts.len() == MAX_LISTED_CONTRACTS {
            continue;
        }
        let id = connection.connection_id;
        let in_force = connection::contract(&step.draft, id)?;
        contracts.push(ContractSummary {
            connection_id: id,
            display_name: connection.display_name.clone(),
            service_id: service_of(&connection, in_force.as_ref()),
            state: connection.state,
            version: in_force.map(|accepted| accepted.contract.contract_version),
            offered_version: offered(step, &connection)?.map(|offered| offered.contract.contract_version),
        });
    }
    Ok(Ok(ContractList { contracts }))
}

/// `contract.get`.
pub fn get(step: &Step<'_>, id: ConnectionId) -> Answered<ContractView> {
    match connection::get(&step.draft, id)? {
        Some(connection) if connection.kind == PeerKind::Service => Ok(Ok(view(step, &connection)?)),
        _ => Ok(Err(RefusalCode::NotFound)),
    }
}

/// `contract.decide`.
pub fn decide(step: &mut Step<'_>, asked: &DecideContract) -> Answered<ContractView> {
    let found = connection::get(&step.draft, asked.connection_id)?.filter(Connection::is_active);
    let in_force = connection::contract(&step.draft, asked.connection_id)?;
    let (Some(connection), Some(in_force)) = (found, in_force) else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let waiting = waiting(&step.draft, asked.connection_id)?;
    if !asked.accept {
        return match reject(waiting.as_ref(), &asked.contract_hash) {
            Ok(()) => end(step, asked.connection_id),
            Err(code) => Ok(Err(code)),
        };
    }
    match agree(&in_force, waiting.as_ref(), &asked.contract_hash, &asked.optional_fields) {
        Ok(agreed) => {
            let is_same_choice = agreed.optional_fields == in_force.acceptance.optional_fields_accepted;
            if waiting.is_some() || !is_same_choice {
                put_in_force(step, &connection, agreed)?;
            }
            Ok(Ok(view(step, &connection)?))
        }
        Err(code) => Ok(Err(code)),
    }
}

/// No grace period: the notice leaves in the commit that ends the connection.
fn end(step: &mut Step<'_>, connection_id: ConnectionId) -> Answered<ContractView> {
    let revoke = Revoke { connection_id, reason: RevocationReason::ContractRejected };
    match revocation::by_owner(step, &revoke)? {
        Ok(_) => get(step, connection_id),
        Err(code) => Ok(Err(code)),
    }
}

fn put_in_force(step: &mut Step<'_>, connection: &Connection, agreed: Agreed) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some(peer) = &connection.peer else { return Ok(()) };
    let Agreed { contract, contract_hash, optional_fields, sequence } = agreed;
    let terms = (&contract, &contract_hash, optional_fields, sequence);
    let acceptance = sign_acceptance(step, id, peer.fingerprint, terms)?;
    send::to_peer(step, connection, &ContractAccepted::ROW, &acceptance, None)?;
    let accepted = AcceptedContract { contract, contract_hash, acceptance, counter_signature: None };
    keep(&mut step.draft, connection, &accepted)?;
    step.draft.remove(&offer_key(id));
    snapshot::follow(step, id)?;
    let (who, version) = (&connection.display_name, accepted.contract.contract_version);
    step.tell(Note {
        event_type: ContractDecide::ROW.event_type(),
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Approved,
        summary: format!("You accepted version {version} of the contract with {who}"),
    })?;
    snapshot::follow(step, id)?;
    snapshot::flush(step)
}

fn view(step: &Step<'_>, connection: &Connection) -> Result<ContractView, Failure> {
    let in_force = connection::contract(&step.draft, connection.connection_id)?;
    let offered = offered(step, connection)?;
    let newest = offered.as_ref().map(|offered| &offered.contract).or(in_force.as_ref().map(|a| &a.contract));
    let mut missing_fields = Vec::new();
    for wanted in newest.into_iter().flat_map(|contract| &contract.fields) {
        if field::get(&step.draft, &wanted.field)?.is_none() {
            missing_fields.push(wanted.field.clone());
        }
    }
    Ok(ContractView {
        connection_id: connection.connection_id,
        display_name: connection.display_name.clone(),
        service_id: service_of(connection, in_force.as_ref()),
        state: connection.state,
        in_force: in_force.map(|AcceptedContract { contract, contract_hash, acceptance, counter_signature }| {
            SignedContract { contract, contract_hash, acceptance, counter_signature }
        }),
        offered,
        missing_fields,
    })
}

/// What waits for the owner: a new version, or the first one while the connection is under review.
pub(super) fn offered(step: &Step<'_>, connection: &Connection) -> Result<Option<OfferedContract>, Failure> {
    if let Some(contract) = connection.offered.clone() {
        let contract_hash = contract_hash(&contract)?;
        return Ok(Some(OfferedContract { contract, contract_hash, received_at: connection.created_at }));
    }
    Ok(waiting(&step.draft, connection.connection_id)?)
}

fn service_of(connection: &Connection, in_force: Option<&AcceptedContract>) -> Option<vettid_wire::id::ServiceId> {
    connection.service_id().cloned().or_else(|| in_force.map(|accepted| accepted.contract.service_id.clone()))
}
