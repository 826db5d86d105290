//! What the vault says about its member in a proof: the value of a field, or that an age is reached. The date of birth that an
//! age is derived from never leaves with it, and no value leaves that the service may not keep, or without its line of the statement.

use super::or_refuse;
use crate::connection::{self, Connection};
use crate::contract::note_proved;
use crate::failure::Failure;
use crate::field;
use crate::service::hand_out;
use crate::step::Step;
use serde_json::Value;
use vettid_core::contract::AcceptedContract;
use vettid_wire::authorisation::{Claim, Date, Proof, ProvenClaim};
use vettid_wire::contract::Retention;
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// Most bytes of all values of one proof.
const MAX_BYTES: usize = 16 * 1024;

/// Every claim with its value, which is handed out by that: a field that is handed out once is spent.
pub(super) fn claims(
    step: &mut Step<'_>,
    connection: &Connection,
    (asked, request_id): (&Proof, RequestId),
) -> Result<Result<Vec<ProvenClaim>, RefusalCode>, Failure> {
    let mut proven = Vec::with_capacity(asked.claims.len());
    for claim in &asked.claims {
        let stored = field::get(&step.draft, claim.field())?;
        let stored = or_refuse!(stored.ok_or(RefusalCode::NotAvailable));
        let value = or_refuse!(value(step, claim, stored.value));
        proven.push(ProvenClaim { claim: claim.clone(), value });
    }
    if vjson::canonical(&proven)?.len() > MAX_BYTES {
        return Ok(Err(RefusalCode::NotAvailable));
    }
    hand_out_values(step, connection, (asked, request_id))?;
    Ok(Ok(proven))
}

fn value(step: &Step<'_>, claim: &Claim, stored: Value) -> Result<Value, RefusalCode> {
    let Some(years) = claim.years() else { return Ok(stored) };
    let born: Date = stored.as_str().and_then(|text| text.parse().ok()).ok_or(RefusalCode::NotAvailable)?;
    let today: Date = step.now.to_string().parse().map_err(|_| RefusalCode::Unavailable)?;
    Ok(born.is_over(years, today).into())
}

/// Each claim is noted. A field whose value is said counts as read; that an age is reached is no value of the field.
fn hand_out_values(
    step: &mut Step<'_>,
    connection: &Connection,
    (asked, request_id): (&Proof, RequestId),
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let accepted = connection::shared_contract(&step.draft, id)?.ok_or(Failure::Retry)?;
    for claim in &asked.claims {
        note_proved(step, connection, (claim, &asked.purpose), request_id)?;
        if claim.years().is_none() {
            hand_out(step, id, &accepted, claim.field(), None)?;
        }
    }
    Ok(())
}

/// Whether a proof would leave a value with the service for longer than the contract allows: a signed record has no end. That an age
/// is reached is no value of the field.
pub(super) fn is_kept_too_long(accepted: &AcceptedContract, claim: &Claim) -> bool {
    let field = accepted.contract.field(claim.field());
    claim.years().is_none() && field.is_none_or(|field| field.retention != Retention::UntilRevoked)
}
