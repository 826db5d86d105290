//! What the owner needs before approving a payment or transaction of a service: a verified connection and the password, each
//! time, unless the amount is under what the owner set free with the password. No rule takes the place of any of it.

use super::read;
use crate::connection::{self, Connection};
use crate::credential;
use crate::failure::Failure;
use crate::projection::UnreadableState;
use crate::recovery;
use crate::request;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use vettid_crypto::authorisation::VerifiedRequest;
use vettid_wire::agreement::{FreePayments, Need};
use vettid_wire::authorisation::{AuthorisationView, PermitRequest, RequestPermitted, Wanted};
use vettid_wire::connection::Verification;
use vettid_wire::digest::Digest;
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, PendingRequest};
use vettid_wire::rule::Money;
use vettid_wire::secret::{Action as _, FreeRequests};
use vettid_wire::time::Timestamp;

const PERMITS: &str = "authorisation_permit/";
const FREE: &str = "authorisation_free/";
/// A permit is used within this time, in milliseconds (five minutes).
const PERMIT_LIFE_MS: i64 = 5 * 60 * 1000;
/// Most permits at one time.
const MAX_PERMITS: usize = 16;

/// The owner gave the password for this request.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Permit {
    shown: Digest,
    until: Timestamp,
}

fn permit_key(id: RequestId) -> String {
    format!("{PERMITS}{id}")
}

/// A request as the owner sees it.
pub(super) fn view(request: &VerifiedRequest) -> AuthorisationView {
    let of = request.get();
    let document = if let Wanted::Document(document) = &of.wanted { Some(document.clone()) } else { None };
    let (displayed, request_hash) = (of.display(), request.hash());
    AuthorisationView { kind: of.wanted.kind(), displayed, request_hash, document, needs: vec![] }
}

/// The same with what is missing now.
pub fn with_needs(step: &Step<'_>, mut shown: PendingRequest) -> Result<PendingRequest, Failure> {
    let Ask::Authorisation(view) = &mut shown.ask else { return Ok(shown) };
    let Some(waiting) = request::shown_as(&step.draft, shown.request_id)? else { return Ok(shown) };
    let Some(connection) = connection::get(&step.draft, shown.connection_id)? else { return Ok(shown) };
    if let Ok(request) = read(&connection, &waiting.event_type, &vjson::parse(&waiting.payload)?) {
        view.needs = needs(step, &connection, shown.request_id, &request)?;
    }
    Ok(shown)
}

/// What is missing before the owner may approve.
pub(super) fn needs(
    step: &Step<'_>,
    connection: &Connection,
    id: RequestId,
    request: &VerifiedRequest,
) -> Result<Vec<Need>, UnreadableState> {
    let wanted = &request.get().wanted;
    if !wanted.is_locked() {
        return Ok(vec![]);
    }
    let mut needs = vec![];
    if connection.verification != Verification::Verified {
        needs.push(Need::Verification);
    }
    if !is_free(step, wanted)? && !is_permitted(step, id, request.hash())? {
        let has_credential = credential::issuer(&step.draft)?.is_some();
        needs.push(if has_credential { Need::Password } else { Need::Credential });
    }
    Ok(needs)
}

/// What has no amount is never free, and nothing is while a recovery is fresh.
fn is_free(step: &Step<'_>, wanted: &Wanted) -> Result<bool, UnreadableState> {
    if recovery::holds_action(step, FreeRequests::NAME)? {
        return Ok(false);
    }
    let Some(amount) = wanted.amount() else { return Ok(false) };
    let most: Option<Money> = step.draft.get(&format!("{FREE}{}", amount.currency))?;
    Ok(most.is_some_and(|most| amount.value.ten_thousandths() <= most.ten_thousandths()))
}

fn is_permitted(step: &Step<'_>, id: RequestId, hash: Digest) -> Result<bool, UnreadableState> {
    let permit: Option<Permit> = step.draft.get(&permit_key(id))?;
    Ok(permit.is_some_and(|permit| permit.shown == hash && step.now < permit.until))
}

/// Uses up the permit for this request, if there is one: whether the password was given for it.
pub(super) fn use_permit(step: &mut Step<'_>, id: RequestId, hash: Digest) -> Result<bool, UnreadableState> {
    let permitted = is_permitted(step, id, hash)?;
    step.draft.remove(&permit_key(id));
    Ok(permitted)
}

/// With the password: the owner approves this very request. Gives its title, too.
pub fn permit(
    step: &mut Step<'_>,
    asked: &PermitRequest,
) -> Result<Result<(RequestPermitted, &'static str), RefusalCode>, Failure> {
    forget(step)?;
    let Some(waiting) = request::shown_as(&step.draft, asked.request_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let Some(connection) = connection::get(&step.draft, waiting.shown.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let body = vjson::parse(&waiting.payload)?;
    let request = match read(&connection, &waiting.event_type, &body) {
        Ok(request) if request.hash() == asked.shown => request,
        Ok(_) => return Ok(Err(RefusalCode::Conflict)),
        Err(code) => return Ok(Err(code)),
    };
    if step.draft.keys(PERMITS, MAX_PERMITS).len() >= MAX_PERMITS {
        return Ok(Err(RefusalCode::RateLimited));
    }
    let until = step.now.plus_ms(PERMIT_LIFE_MS);
    step.draft.put(permit_key(asked.request_id), &Permit { shown: asked.shown, until })?;
    Ok(Ok((RequestPermitted { request_id: asked.request_id, until }, request.get().wanted.title())))
}

/// With the password: says up to how much a payment of a service needs none.
pub fn free(step: &mut Step<'_>, asked: FreePayments) -> Result<Result<FreePayments, RefusalCode>, Failure> {
    let key = format!("{FREE}{}", asked.currency);
    match &asked.at_most {
        Some(most) => step.draft.put(key, most)?,
        None => step.draft.remove(&key),
    }
    Ok(Ok(asked))
}

/// Forgets every permit, and what was set free: after a restore neither may still hold.
pub fn forget_all(step: &mut Step<'_>) {
    for prefix in [PERMITS, FREE] {
        step.draft.keys(prefix, usize::MAX).iter().for_each(|key| step.draft.remove(key));
    }
}

/// Forgets permits that nobody used in time.
fn forget(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    for key in step.draft.keys(PERMITS, MAX_PERMITS) {
        let permit: Option<Permit> = step.draft.get(&key)?;
        if permit.is_some_and(|permit| permit.until <= step.now) {
            step.draft.remove(&key);
        }
    }
    Ok(())
}
