//! The contract of a connection with a service over its versions: what is in force, what is offered, and every acceptance that
//! was ever signed. While something is offered, the service gets nothing.

mod decide;
mod offer;
mod statement;
mod trial;

pub use decide::{decide, get, list};
pub use offer::{countersigned, offered};
pub use statement::{note_proved, note_read_back, note_served, statement};
pub use trial::test;

use crate::connection::{self, Connection, Peer};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::Deserialize;
use serde_json::Value;
use vettid_core::contract::AcceptedContract;
use vettid_core::contract::versions::not_frozen;
use vettid_crypto::signature::{Context, sign_object};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::contract::{Acceptance, Contract};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::json as vjson;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::offer::OfferedContract;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::KeptContract;

fn offer_key(id: ConnectionId) -> String {
    format!("contract_offer/{id}")
}

fn acceptances(id: ConnectionId) -> String {
    format!("acceptance/{id}/")
}

/// The version that waits for the owner.
pub fn waiting(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<OfferedContract>, UnreadableState> {
    draft.get(&offer_key(id))
}

/// Whether the service gets anything now: `contract_frozen` while a version waits for the owner.
pub fn check_not_frozen(draft: &Draft<'_>, id: ConnectionId) -> Result<Result<(), RefusalCode>, UnreadableState> {
    Ok(not_frozen(waiting(draft, id)?.as_ref()))
}

/// The contract that a request names. Nothing else of the request is believed yet.
pub fn quoted_hash(body: &Value) -> Result<Base64Url, RefusalCode> {
    #[derive(Deserialize)]
    struct Quoting {
        contract_hash: Base64Url,
    }
    vjson::from_ref::<Quoting>(body).map(|quoting| quoting.contract_hash).map_err(|_| RefusalCode::InvalidRequest)
}

/// Puts an acceptance in force, and keeps it with all before it. Its counter-signature, if it has one, was made by the present key
/// of the connection's service, and is kept with the record that says whose key that is.
pub fn keep(
    draft: &mut Draft<'_>,
    connection: &Connection,
    accepted: &AcceptedContract,
) -> Result<(), UnreadableState> {
    let id = connection.connection_id;
    connection::put_contract(draft, id, accepted)?;
    let counter_signature = accepted.counter_signature.clone();
    let peer = connection.peer.as_ref().filter(|_| counter_signature.is_some());
    let service_record = peer.and_then(record_of);
    let kept = KeptContract {
        contract: accepted.contract.clone(),
        acceptance: accepted.acceptance.clone(),
        service_key: peer.filter(|_| service_record.is_none()).map(|peer| peer.signing_key.clone()),
        service_record,
        counter_signature,
    };
    draft.put(format!("{}{:020}", acceptances(id), accepted.acceptance.sequence), &kept)
}

/// The record that certifies the present key of a service: that of its profile, unless the handshake brought another key.
fn record_of(peer: &Peer) -> Option<KeyRecord> {
    let record = &peer.profile.key_record;
    (record.role == KeyRole::Service && record.signing_key == peer.signing_key).then(|| record.clone())
}

/// Every acceptance of a connection, the first one first. They outlive it.
pub fn kept(draft: &Draft<'_>, id: ConnectionId) -> Result<Vec<KeptContract>, UnreadableState> {
    draft.values(&acceptances(id))
}

fn served_prefix(id: ConnectionId) -> String {
    format!("served/{id}/")
}

fn served_key(id: ConnectionId, number: u64) -> String {
    format!("{}{number:020}", served_prefix(id))
}

/// The connection is over: nothing waits any more.
pub fn forget_offer(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&offer_key(id));
}

/// Signs the owner's yes (ctx `vettid/contract-accept/1`); `terms` are the contract, its hash, the optional fields and the count
/// of the acceptance.
pub(crate) fn sign_acceptance(
    step: &Step<'_>,
    connection_id: ConnectionId,
    service_fp: Fingerprint,
    terms: (&Contract, &Base64Url, Vec<String>, u64),
) -> Result<Acceptance, Failure> {
    let (contract, contract_hash, optional_fields_accepted, sequence) = terms;
    let signing = step.identity.signing_key();
    let acceptance = Acceptance {
        contract_hash: contract_hash.clone(),
        contract_version: contract.contract_version,
        service_id: contract.service_id.clone(),
        service_fp,
        member_fp: step.identity.fingerprint(),
        connection_id,
        optional_fields_accepted,
        accepted_at: step.now,
        sequence,
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    Ok(vjson::from_value(sign_object(Context::ContractAccept, signing, &acceptance)?)?)
}
