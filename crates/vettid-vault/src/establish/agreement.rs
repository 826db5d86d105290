//! The contract between the member and a service: offered in the handshake, accepted with a signature, countersigned.

use super::Answered;
use crate::connection::{self, Connection};
use crate::contract::{self, sign_acceptance};
use crate::step::Step;
use vettid_core::contract::{AcceptedContract, contract_hash};
use vettid_core::handshake::Peer;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{Context, open as open_signed};
use vettid_wire::contract::{Acceptance, CounterSignature, Tier};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// A service offers the contract of its own signed profile, and that contract is sound.
pub(super) fn service_fits(peer: &Peer) -> bool {
    let profile = peer.profile.as_ref().and_then(|profile| profile.service.as_ref());
    let Some((profile, contract)) = profile.zip(peer.contract.as_ref()) else {
        return false;
    };
    contract.validate().is_ok() && contract.service_id == profile.service_id && *contract == profile.contract
}

/// Signs the acceptance of the offered contract, if there is one, and keeps it as the contract in force.
pub(super) fn agree(step: &mut Step<'_>, connection: &Connection, optional: &[String]) -> Answered<Option<Acceptance>> {
    let Some(contract) = connection.offered.clone() else {
        return Ok(if optional.is_empty() { Ok(None) } else { Err(RefusalCode::InvalidRequest) });
    };
    let Some(peer) = &connection.peer else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let is_optional = |name: &String| contract.field(name).is_some_and(|field| field.tier == Tier::Optional);
    if !optional.iter().all(is_optional) {
        return Ok(Err(RefusalCode::NotInContract));
    }
    let contract_hash = contract_hash(&contract)?;
    let mut optional = optional.to_vec();
    optional.sort();
    optional.dedup();
    let terms = (&contract, &contract_hash, optional, 1);
    let acceptance = sign_acceptance(step, connection.connection_id, peer.fingerprint, terms)?;
    let accepted =
        AcceptedContract { contract_hash, contract, acceptance: acceptance.clone(), counter_signature: None };
    contract::keep(&mut step.draft, connection, &accepted)?;
    Ok(Ok(Some(acceptance)))
}

/// A service's counter-signature is over the very acceptance that this vault signed.
pub(super) fn countersigned(
    step: &mut Step<'_>,
    connection: &Connection,
    counter: Option<CounterSignature>,
) -> Answered<()> {
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let Some((mut accepted, peer)) = accepted.zip(connection.peer.as_ref()) else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let Some(counter) = counter else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let Ok(key) = VerifyingKey::from_typed(&peer.signing_key) else {
        return Ok(Err(RefusalCode::NotAllowed));
    };
    let hash = vettid_core::channel::body_hash(&accepted.acceptance)?;
    let value = serde_json::to_value(&counter).map_err(vjson::JsonError::Shape)?;
    let genuine = open_signed::<CounterSignature>(Context::ContractCounter, &key, value).is_ok();
    if !genuine || counter.acceptance_hash != hash || counter.connection_id != connection.connection_id {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    accepted.counter_signature = Some(counter);
    contract::keep(&mut step.draft, connection, &accepted)?;
    Ok(Ok(()))
}
