//! What a service says about the contract after the handshake: a new version, and its signature under an acceptance. From when
//! a version is taken, what the service asked before is ended and what it asks is refused.

use super::{keep, kept, offer_key, waiting};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::peer;
use crate::send;
use crate::step::Step;
use serde_json::Value;
use vettid_core::channel::body_hash;
use vettid_core::contract::versions::{OfferTaken, take_offer};
use vettid_core::contract::{AcceptedContract, contract_hash};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context};
use vettid_wire::contract::CounterSignature;
use vettid_wire::event::{ContractAccepted, ContractOffered, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::offer::{ContractOffer, OfferedContract};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::KeptContract;

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

/// The key of a service that signs its offers and counter-signatures.
fn key_of(connection: &Connection) -> Result<VerifyingKey, RefusalCode> {
    let peer = connection.peer.as_ref().ok_or(RefusalCode::NotConnected)?;
    VerifyingKey::from_typed(&peer.signing_key).map_err(|_| RefusalCode::NotAllowed)
}

/// `contract.offered`: a new version freezes the one in force, at once.
pub fn offered(step: &mut Step<'_>, connection: &Connection, body: Value) -> Answered<()> {
    let key = match key_of(connection) {
        Ok(key) => key,
        Err(code) => return Ok(Err(code)),
    };
    let Ok(offer) = signature::open::<ContractOffer>(Context::ContractOffer, &key, body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let offer = offer.into_inner();
    let id = connection.connection_id;
    if offer.connection_id != id || connection.service_id() != Some(&offer.contract.service_id) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let Some(in_force) = connection::contract(&step.draft, id)? else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let contract_hash = contract_hash(&offer.contract)?;
    let offered = OfferedContract { contract: offer.contract, contract_hash, received_at: step.now };
    match take_offer(&in_force, waiting(&step.draft, id)?.as_ref(), &offered) {
        Ok(OfferTaken::Frozen) => freeze(step, connection, &offered).map(Ok),
        Ok(OfferTaken::Waiting) => Ok(Ok(())),
        Ok(OfferTaken::InForce) => {
            send::to_peer(step, connection, &ContractAccepted::ROW, &in_force.acceptance, None)?;
            Ok(Ok(()))
        }
        Err(code) => Ok(Err(code)),
    }
}

fn freeze(step: &mut Step<'_>, connection: &Connection, offered: &OfferedContract) -> Result<(), Failure> {
    let id = connection.connection_id;
    step.draft.put(offer_key(id), offered)?;
    peer::end_waiting(step, connection, RefusalCode::ContractFrozen)?;
    let (who, version) = (&connection.display_name, offered.contract.contract_version);
    step.tell(Note {
        event_type: ContractOffered::ROW.event_type(),
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Notice,
        outcome: Outcome::Pending,
        summary: format!(
            "{who} offers version {version} of its contract; it gets nothing until you accept or reject it"
        ),
    })?;
    Ok(())
}

/// `contract.countersigned`: the service's signature under one of the acceptances of this connection.
pub fn countersigned(step: &mut Step<'_>, connection: &Connection, body: Value) -> Answered<()> {
    let key = match key_of(connection) {
        Ok(key) => key,
        Err(code) => return Ok(Err(code)),
    };
    let Ok(counter) = signature::open::<CounterSignature>(Context::ContractCounter, &key, body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let (counter, id) = (counter.into_inner(), connection.connection_id);
    if counter.connection_id != id {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    for kept in kept(&step.draft, id)?.into_iter().rev() {
        if body_hash(&kept.acceptance)? != counter.acceptance_hash {
            continue;
        }
        if kept.counter_signature.is_none() {
            let contract_hash = kept.acceptance.contract_hash.clone();
            let KeptContract { contract, acceptance, .. } = kept;
            let counter_signature = Some(counter);
            let accepted = AcceptedContract { contract, contract_hash, acceptance, counter_signature };
            keep_countersigned(step, connection, &accepted)?;
        }
        return Ok(Ok(()));
    }
    Ok(Err(RefusalCode::InvalidRequest))
}

/// The signature is kept with its acceptance, which need not be the one in force any more.
fn keep_countersigned(
    step: &mut Step<'_>,
    connection: &Connection,
    accepted: &AcceptedContract,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let latest = connection::contract(&step.draft, id)?;
    let is_latest = latest.as_ref().is_some_and(|latest| latest.acceptance == accepted.acceptance);
    keep(&mut step.draft, connection, accepted)?;
    if let (false, Some(latest)) = (is_latest, latest) {
        connection::put_contract(&mut step.draft, id, &latest)?;
    }
    Ok(())
}
