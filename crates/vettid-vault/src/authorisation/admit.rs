//! What a request has to pass under its contract before anything happens: permission and rate, signature, and for a proof the
//! fields that its claims are made from. A check of the contract that fails is named, so that the owner hears how urgent it is.

use super::proof::is_kept_too_long;
use super::read;
use crate::connection::{self, Connection};
use crate::contract::quoted_hash;
use crate::failure::Failure;
use crate::profile::sync;
use crate::step::Step;
use serde_json::Value;
use vettid_core::contract::{self, AcceptedContract, Breach, Buckets};
use vettid_wire::authorisation::{Wanted, WantedKind};
use vettid_wire::contract::Permission;
use vettid_wire::event::{ConsentRequest, DocumentSign, EventRow, EventType, IdentityVerify};
use vettid_wire::refusal::RefusalCode;

/// Why a service may not ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// A check of the contract fails.
    Contract(Breach),
    /// Something else does not fit.
    Other(RefusalCode),
}

impl Unfit {
    /// What the service is told.
    fn code(self) -> RefusalCode {
        match self {
            Self::Contract(breach) => breach.code(),
            Self::Other(code) => code,
        }
    }
}

impl From<Breach> for Unfit {
    fn from(breach: Breach) -> Self {
        Self::Contract(breach)
    }
}

impl From<RefusalCode> for Unfit {
    fn from(code: RefusalCode) -> Self {
        Self::Other(code)
    }
}

/// The permission that a contract gives for events of this type.
fn permission(event_type: &EventType) -> Permission {
    match event_type.as_str() {
        name if name == ConsentRequest::ROW.name => Permission::RequestConsent,
        name if name == DocumentSign::ROW.name => Permission::RequestSignature,
        name if name == IdentityVerify::ROW.name => Permission::RequestProof,
        _ => Permission::RequestPayment,
    }
}

/// Whether the contract lets the service ask for this now.
pub fn admit(
    step: &Step<'_>,
    connection: &Connection,
    (accepted, buckets): (&AcceptedContract, &mut Buckets),
    (event_type, body): (&EventType, &Value),
) -> Result<Result<(), Unfit>, Failure> {
    let quoted = quoted_hash(body).map_err(Unfit::from);
    let admitted =
        quoted.and_then(|quoted| Ok(contract::act(step.now, accepted, buckets, &quoted, permission(event_type))?));
    let known = admitted.and_then(|()| Ok(sync::check_fresh(&step.draft, step.now, connection)?));
    let request = match known.and_then(|()| Ok(read(connection, event_type, body)?)) {
        Ok(request) => request,
        Err(unfit) => return Ok(Err(unfit)),
    };
    may_say(step, connection, &request.get().wanted)
}

/// Whether the contract, as it is now, allows what is wanted: looked at again when the owner decides.
pub(super) fn still_allows(
    step: &Step<'_>,
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Result<(), RefusalCode>, Failure> {
    let Some(accepted) = connection::contract(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let needed = match wanted.kind() {
        WantedKind::Payment | WantedKind::Transaction => Permission::RequestPayment,
        WantedKind::Consent => Permission::RequestConsent,
        WantedKind::Document => Permission::RequestSignature,
        WantedKind::Proof => Permission::RequestProof,
    };
    if !accepted.contract.permissions.contains(&needed) {
        return Ok(Err(RefusalCode::NotInContract));
    }
    Ok(may_say(step, connection, wanted)?.map_err(Unfit::code))
}

/// The contract names the field of each claim, the member agreed to it, it may still be handed out, and a value may be kept as long as
/// the record; the site is one of the service's own.
fn may_say(step: &Step<'_>, connection: &Connection, wanted: &Wanted) -> Result<Result<(), Unfit>, Failure> {
    let Wanted::Proof(proof) = wanted else { return Ok(Ok(())) };
    let service = connection.peer.as_ref().and_then(|peer| peer.profile.service.as_ref());
    if !service.is_some_and(|service| service.origins.contains(&proof.origin)) {
        return Ok(Err(RefusalCode::NotAllowed.into()));
    }
    let Some(accepted) = connection::contract(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotInContract.into()));
    };
    let spent = connection::spent(&step.draft, connection.connection_id)?;
    let failed = proof.claims.iter().filter_map(|claim| contract::check_read(&accepted, claim.field()).err());
    // Of several the check decides that comes first.
    if let Some(breach) = failed.min() {
        return Ok(Err(breach.into()));
    }
    if proof.claims.iter().any(|claim| spent.covers(&accepted, claim.field())) {
        return Ok(Err(Breach::Spent.into()));
    }
    let is_kept_too_long = proof.claims.iter().any(|claim| is_kept_too_long(&accepted, claim));
    Ok(if is_kept_too_long { Err(Breach::RetentionTooLong.into()) } else { Ok(()) })
}
