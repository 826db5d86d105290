//! One version of a contract after another: offered, frozen, accepted or rejected. Every step of both sides, without keys
//! and without effects: given are messages whose signatures were checked. Nothing here ever lets an earlier version back in.

use super::AcceptedContract;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Acceptance, Contract, Tier};
use vettid_wire::offer::OfferedContract;
use vettid_wire::refusal::RefusalCode;

/// What the offer of a version means for the member's vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferTaken {
    /// It is newer than everything before: from now on the terms in force are frozen.
    Frozen,
    /// It waits for the owner already.
    Waiting,
    /// It was accepted already; the service may not know, so the acceptance is said again.
    InForce,
}

/// The member's vault gets an offer. Versions only rise, and one version is one text.
///
/// # Errors
/// `invalid_request`: not sound, or another service's. `conflict`: a known version with another text.
/// `contract_mismatch`: an earlier version than what is known.
pub fn take_offer(
    in_force: &AcceptedContract,
    waiting: Option<&OfferedContract>,
    offered: &OfferedContract,
) -> Result<OfferTaken, RefusalCode> {
    if offered.contract.validate().is_err() || offered.contract.service_id != in_force.contract.service_id {
        return Err(RefusalCode::InvalidRequest);
    }
    let of_force = (in_force.contract.contract_version, &in_force.contract_hash);
    let of_waiting = waiting.map(|waiting| (waiting.contract.contract_version, &waiting.contract_hash));
    let version = offered.contract.contract_version;
    for (known, hash) in [Some(of_force), of_waiting].into_iter().flatten() {
        if known == version && *hash != offered.contract_hash {
            return Err(RefusalCode::Conflict);
        }
    }
    if of_force.1 == &offered.contract_hash {
        return Ok(OfferTaken::InForce);
    }
    let newest = of_waiting.map_or(of_force.0, |(known, _)| known);
    match version.cmp(&newest) {
        std::cmp::Ordering::Less => Err(RefusalCode::ContractMismatch),
        std::cmp::Ordering::Equal => Ok(OfferTaken::Waiting),
        std::cmp::Ordering::Greater => Ok(OfferTaken::Frozen),
    }
}

/// Whether the service gets anything at all now.
///
/// # Errors
/// `contract_frozen`, whatever it asks for.
pub fn not_frozen(waiting: Option<&OfferedContract>) -> Result<(), RefusalCode> {
    if waiting.is_some() { Err(RefusalCode::ContractFrozen) } else { Ok(()) }
}

/// What an owner's yes is signed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The version.
    pub contract: Contract,
    /// Its hash.
    pub contract_hash: Base64Url,
    /// The optional fields, each once, in order.
    pub optional_fields: Vec<String>,
    /// Counts the acceptances of the connection.
    pub sequence: u64,
}

/// The owner says yes to what was read: the version that waits, or, if none does, another choice among the optional fields
/// of the one in force.
///
/// # Errors
/// `contract_mismatch`: another version waits or is in force. `not_in_contract`: not an optional field of it.
pub fn agree(
    in_force: &AcceptedContract,
    waiting: Option<&OfferedContract>,
    read: &Base64Url,
    optional: &[String],
) -> Result<Agreed, RefusalCode> {
    let (contract, contract_hash) = match waiting {
        Some(waiting) => (&waiting.contract, &waiting.contract_hash),
        None => (&in_force.contract, &in_force.contract_hash),
    };
    if contract_hash != read {
        return Err(RefusalCode::ContractMismatch);
    }
    if !optional.iter().all(|name| is_optional(contract, name)) {
        return Err(RefusalCode::NotInContract);
    }
    let mut optional_fields = optional.to_vec();
    optional_fields.sort();
    optional_fields.dedup();
    let sequence = in_force.acceptance.sequence + 1;
    Ok(Agreed { contract: contract.clone(), contract_hash: contract_hash.clone(), optional_fields, sequence })
}

/// The owner says no to what was read.
///
/// # Errors
/// `contract_mismatch`: this version does not wait.
pub fn reject(waiting: Option<&OfferedContract>, read: &Base64Url) -> Result<(), RefusalCode> {
    if waiting.is_some_and(|waiting| waiting.contract_hash == *read) {
        Ok(())
    } else {
        Err(RefusalCode::ContractMismatch)
    }
}

/// What an acceptance means for the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptanceTaken {
    /// These terms are in force from now on, and are to be countersigned.
    InForce(Box<AcceptedContract>),
    /// Said before, or overtaken by a later one.
    Known,
}

/// Why an acceptance does not count, though the member signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcceptanceRefused {
    /// Another member, service or connection.
    #[error("the acceptance is of another connection")]
    OtherConnection,
    /// The service never published this version with this text.
    #[error("the accepted version was never published")]
    NeverPublished,
    /// A later version was accepted before.
    #[error("a later version was accepted before")]
    Earlier,
    /// The same count with other terms.
    #[error("two acceptances have one number")]
    Conflict,
    /// A field that the contract does not leave to the member, or one that stands twice.
    #[error("the accepted fields are not optional ones of the contract")]
    Fields,
}

/// The service gets an acceptance of one of its `published` versions, given by number.
///
/// # Errors
/// See [`AcceptanceRefused`].
pub fn take_acceptance<'p>(
    in_force: &AcceptedContract,
    published: impl FnOnce(u64) -> Option<(&'p Contract, &'p Base64Url)>,
    acceptance: &Acceptance,
) -> Result<AcceptanceTaken, AcceptanceRefused> {
    let last = &in_force.acceptance;
    let same_parties = acceptance.connection_id == last.connection_id
        && acceptance.service_id == last.service_id
        && acceptance.service_fp == last.service_fp
        && acceptance.member_fp == last.member_fp;
    if !same_parties {
        return Err(AcceptanceRefused::OtherConnection);
    }
    if acceptance.sequence < last.sequence {
        return Ok(AcceptanceTaken::Known);
    }
    if acceptance.sequence == last.sequence {
        let is_same = acceptance.contract_hash == last.contract_hash
            && acceptance.optional_fields_accepted == last.optional_fields_accepted;
        return if is_same { Ok(AcceptanceTaken::Known) } else { Err(AcceptanceRefused::Conflict) };
    }
    let found = published(acceptance.contract_version).filter(|(_, hash)| **hash == acceptance.contract_hash);
    let (contract, contract_hash) = found.ok_or(AcceptanceRefused::NeverPublished)?;
    if acceptance.contract_version < in_force.contract.contract_version {
        return Err(AcceptanceRefused::Earlier);
    }
    let names = &acceptance.optional_fields_accepted;
    let stand_once = names.iter().enumerate().all(|(at, name)| !names.iter().take(at).any(|other| other == name));
    if !stand_once || !names.iter().all(|name| is_optional(contract, name)) {
        return Err(AcceptanceRefused::Fields);
    }
    Ok(AcceptanceTaken::InForce(Box::new(AcceptedContract {
        contract: contract.clone(),
        contract_hash: contract_hash.clone(),
        acceptance: acceptance.clone(),
        counter_signature: None,
    })))
}

/// Whether the service has to offer its newest version on a connection: neither accepted nor offered yet.
#[must_use]
pub fn is_offer_due(newest: u64, accepted: u64, offered: Option<u64>) -> bool {
    newest > accepted && offered.is_none_or(|offered| newest > offered)
}

fn is_optional(contract: &Contract, name: &str) -> bool {
    contract.field(name).is_some_and(|field| field.tier == Tier::Optional)
}
