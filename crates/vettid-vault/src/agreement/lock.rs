//! What the owner needs before agreeing to terms: a verified connection for payments, and the password for those that the owner
//! pays, each time, unless they are under what the owner set free with the password. No rule takes the place of any of it.

use super::find;
use crate::connection::{self, Connection};
use crate::credential;
use crate::failure::Failure;
use crate::projection::UnreadableState;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::agreement::{
    AgreementSide, FreePayments, MoneyTerms, Need, PermitTerms, SignedTerms, Terms, TermsPermitted,
};
use vettid_wire::connection::Verification;
use vettid_wire::event::{EventRow, EventType, RequestTerms, TransactionTerms};
use vettid_wire::id::AgreementId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::Money;
use vettid_wire::time::Timestamp;

const PERMITS: &str = "agreement_permit/";
const FREE: &str = "agreement_free/";
/// A permit is used within this time, in milliseconds (five minutes).
const PERMIT_LIFE_MS: i64 = 5 * 60 * 1000;
/// Most permits at one time.
const MAX_PERMITS: usize = 16;

/// The owner gave the password for these terms.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Permit {
    terms: Terms,
    until: Timestamp,
}

fn permit_key(id: AgreementId) -> String {
    format!("{PERMITS}{id}")
}

/// What is missing before this side agrees to terms.
pub(super) fn needs(
    step: &Step<'_>,
    connection: &Connection,
    own: AgreementSide,
    (id, terms): (AgreementId, &Terms),
) -> Result<Vec<Need>, UnreadableState> {
    let Terms::Money(money) = terms else { return Ok(vec![]) };
    let mut needs = vec![];
    if connection.verification != Verification::Verified {
        needs.push(Need::Verification);
    }
    if money.payer == own && !is_free(step, money)? && !is_permitted(step, id, terms)? {
        let has_credential = credential::issuer(&step.draft)?.is_some();
        needs.push(if has_credential { Need::Password } else { Need::Credential });
    }
    Ok(needs)
}

fn is_free(step: &Step<'_>, money: &MoneyTerms) -> Result<bool, UnreadableState> {
    let most: Option<Money> = step.draft.get(&format!("{FREE}{}", money.currency))?;
    Ok(most.is_some_and(|most| money.amount.ten_thousandths() <= most.ten_thousandths()))
}

fn is_permitted(step: &Step<'_>, id: AgreementId, terms: &Terms) -> Result<bool, UnreadableState> {
    let permit: Option<Permit> = step.draft.get(&permit_key(id))?;
    Ok(permit.is_some_and(|permit| permit.terms == *terms && step.now < permit.until))
}

/// Uses up the permit for these terms, if there is one: whether the password was given for them.
pub(super) fn use_permit(step: &mut Step<'_>, id: AgreementId, terms: &Terms) -> Result<bool, UnreadableState> {
    let permitted = is_permitted(step, id, terms)?;
    step.draft.remove(&permit_key(id));
    Ok(permitted)
}

/// Whether no rule may approve the terms in the body of an event, and whether they came before.
pub fn of_event(
    step: &Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    body: &Value,
) -> Result<Option<(bool, bool)>, Failure> {
    if ![RequestTerms::ROW.name, TransactionTerms::ROW.name].contains(&event_type.as_str()) {
        return Ok(None);
    }
    let Ok(terms) = vjson::from_value::<SignedTerms>(body.clone()) else {
        return Ok(Some((true, false)));
    };
    let own = AgreementSide::maker(terms.round.saturating_add(1));
    let locked = !needs(step, connection, own, (terms.agreement_id, &terms.terms))?.is_empty();
    let known = find(&step.draft, terms.agreement_id)?.is_some_and(|known| known.terms.round >= terms.round);
    Ok(Some((locked, known)))
}

/// With the password: the owner agrees to these terms.
pub fn permit(step: &mut Step<'_>, asked: PermitTerms) -> Result<Result<TermsPermitted, RefusalCode>, Failure> {
    forget(step)?;
    if asked.terms.check().is_err() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if step.draft.keys(PERMITS, MAX_PERMITS).len() >= MAX_PERMITS {
        return Ok(Err(RefusalCode::RateLimited));
    }
    let until = step.now.plus_ms(PERMIT_LIFE_MS);
    step.draft.put(permit_key(asked.agreement_id), &Permit { terms: asked.terms, until })?;
    Ok(Ok(TermsPermitted { agreement_id: asked.agreement_id, until }))
}

/// With the password: says up to how much a payment needs none.
pub fn free(step: &mut Step<'_>, asked: FreePayments) -> Result<Result<FreePayments, RefusalCode>, Failure> {
    let key = format!("{FREE}{}", asked.currency);
    match &asked.at_most {
        Some(most) => step.draft.put(key, most)?,
        None => step.draft.remove(&key),
    }
    Ok(Ok(asked))
}

/// Forgets every permit, and what was set free: after a restore neither may still hold.
pub(super) fn forget_all(step: &mut Step<'_>) {
    for prefix in [PERMITS, FREE] {
        step.draft.keys(prefix, usize::MAX).iter().for_each(|key| step.draft.remove(key));
    }
}

/// Forgets permits that nobody used in time.
pub(super) fn forget(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    for key in step.draft.keys(PERMITS, MAX_PERMITS) {
        let permit: Option<Permit> = step.draft.get(&key)?;
        if permit.is_some_and(|permit| permit.until <= step.now) {
            step.draft.remove(&key);
        }
    }
    Ok(())
}

/// The active connection with a member of this id.
pub(super) fn member(
    step: &Step<'_>,
    id: vettid_wire::id::ConnectionId,
) -> Result<Result<Connection, RefusalCode>, UnreadableState> {
    let Some(found) = connection::get(&step.draft, id)? else { return Ok(Err(RefusalCode::NotFound)) };
    Ok(match found.kind {
        _ if !found.is_active() => Err(RefusalCode::NotConnected),
        vettid_wire::connection::PeerKind::Member => Ok(found),
        vettid_wire::connection::PeerKind::Service => Err(RefusalCode::NotAllowed),
    })
}
