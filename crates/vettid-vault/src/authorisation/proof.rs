//! What the vault says about its member in a proof: the value of a field, or that an age is reached. The date of birth that an
//! age is derived from never leaves with it.

use super::or_refuse;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::field;
use crate::step::Step;
use serde_json::Value;
use vettid_wire::authorisation::{Claim, Date, Proof, ProvenClaim};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// Most bytes of all values of one proof.
const MAX_BYTES: usize = 16 * 1024;

/// Every claim with its value. A field that is handed out once is spent by a proof that carries its value.
pub(super) fn claims(
    step: &mut Step<'_>,
    connection: &Connection,
    asked: &Proof,
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
    spend(step, connection, asked)?;
    Ok(Ok(proven))
}

fn value(step: &Step<'_>, claim: &Claim, stored: Value) -> Result<Value, RefusalCode> {
    let Some(years) = claim.years() else { return Ok(stored) };
    let born: Date = stored.as_str().and_then(|text| text.parse().ok()).ok_or(RefusalCode::NotAvailable)?;
    let today: Date = step.now.to_string().parse().map_err(|_| RefusalCode::Unavailable)?;
    Ok(born.is_over(years, today).into())
}

fn spend(step: &mut Step<'_>, connection: &Connection, asked: &Proof) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some(accepted) = connection::contract(&step.draft, id)? else { return Ok(()) };
    let mut spent = connection::spent(&step.draft, id)?;
    let before = spent.clone();
    for claim in asked.claims.iter().filter(|claim| claim.years().is_none()) {
        spent.served(&accepted, claim.field());
    }
    if spent != before {
        connection::put_spent(&mut step.draft, id, &spent)?;
    }
    Ok(())
}
