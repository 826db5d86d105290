//! A service reads a field of personal data. Contract, acceptance and rate were checked by the vault before; this handler
//! asks the owner where the tier says so, and hands out the present value, never anything else.

use crate::{data, shown};
use vettid_handler::event::{Answer, Context, Peer, Service};
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::host::Host;
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::HandlerError;
use vettid_wire::auth::Decision;
use vettid_wire::contract::Tier;
use vettid_wire::data::{DataOutcome, DataRequest, DataResponse, is_field_name};
use vettid_wire::event::DataRequest as Row;
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Ask;

/// What the handler may do.
pub const MANIFEST: Manifest =
    Manifest::linked("data_request", &[HostCall::FieldRead, HostCall::Feed], &[], FieldScope::Authorised);

/// The owner has this long to decide, in milliseconds (15 minutes).
pub const DECISION_LIFE_MS: i64 = 15 * 60_000;
/// Longest purpose in bytes.
pub const MAX_PURPOSE_BYTES: usize = 300;

/// Adds the handler of this file.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers.on::<Row>(&MANIFEST, handle)
}

/// `data.request`: serves the field, asks the owner, or says why not.
pub fn handle(
    host: &mut dyn Host,
    context: &Context,
    request: DataRequest,
) -> Result<Outcome<DataResponse>, HandlerError> {
    let (peer, service) = context.service().ok_or(RefusalCode::NotAllowed)?;
    check(peer, service, &request)?;
    match (service.tier.ok_or(RefusalCode::NotInContract)?, &context.answer) {
        (Tier::Consent, None) => ask(host, context, peer, request),
        (Tier::Consent, Some(Answer::Expired)) => refuse(host, peer, request, RefusalCode::Expired),
        (Tier::Consent, Some(Answer::Decided(decided))) if decided.decision == Decision::Deny => {
            refuse(host, peer, request, RefusalCode::Denied)
        }
        (Tier::Consent, Some(Answer::Decided(_))) => serve(host, peer, request, FeedOutcome::Approved),
        (Tier::Required | Tier::Optional | Tier::OnDemand, _) => serve(host, peer, request, FeedOutcome::Done),
    }
}

/// The body must say the same as the vault about who asks under which contract.
fn check(peer: &Peer, service: &Service, request: &DataRequest) -> Result<(), RefusalCode> {
    if request.service_id != service.service_id || request.connection_id != peer.connection_id {
        return Err(RefusalCode::NotAllowed);
    }
    if request.contract_hash != service.contract_hash {
        return Err(RefusalCode::ContractMismatch);
    }
    let is_plain = is_field_name(&request.field) && shown::is_line(&request.purpose, MAX_PURPOSE_BYTES);
    if is_plain { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

fn ask(
    host: &mut dyn Host,
    context: &Context,
    peer: &Peer,
    request: DataRequest,
) -> Result<Outcome<DataResponse>, HandlerError> {
    let expires_at = context.occurred_at.plus_ms(DECISION_LIFE_MS);
    host.feed(&note(peer, &request, "asks to read", Severity::Notice, FeedOutcome::Pending))?;
    let interim =
        DataResponse { request_id: request.request_id, outcome: DataOutcome::Pending { expires_at }, proof: None };
    Ok(Outcome::Ask {
        request_id: request.request_id,
        ask: Ask::Data { field: request.field, purpose: request.purpose },
        expires_at,
        interim: Some(interim),
    })
}

fn serve(
    host: &mut dyn Host,
    peer: &Peer,
    request: DataRequest,
    outcome: FeedOutcome,
) -> Result<Outcome<DataResponse>, HandlerError> {
    let Some(field) = host.field(&request.field)? else {
        return refuse(host, peer, request, RefusalCode::NotAvailable);
    };
    let value = data::value_of(&field)?;
    host.feed(&note(peer, &request, "read", Severity::Info, outcome))?;
    // How long it may be kept stands in the contract, which the vault knows.
    let outcome = DataOutcome::Served { field: request.field, value, keep: None };
    Ok(Outcome::Reply(DataResponse { request_id: request.request_id, outcome, proof: None }))
}

fn refuse(
    host: &mut dyn Host,
    peer: &Peer,
    request: DataRequest,
    code: RefusalCode,
) -> Result<Outcome<DataResponse>, HandlerError> {
    let outcome = if code == RefusalCode::Denied { FeedOutcome::Denied } else { FeedOutcome::Refused(code) };
    host.feed(&note(peer, &request, "was not given", Severity::Info, outcome))?;
    let outcome = DataOutcome::Refused { code };
    Ok(Outcome::Reply(DataResponse { request_id: request.request_id, outcome, proof: None }))
}

fn note(peer: &Peer, request: &DataRequest, verb: &str, severity: Severity, outcome: FeedOutcome) -> FeedNote {
    FeedNote {
        severity,
        outcome,
        summary: format!("{} {verb} your {}", shown::name(&peer.display_name), request.field),
        request_id: Some(request.request_id),
    }
}
