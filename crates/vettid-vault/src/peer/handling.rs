//! Running the handler of a peer's event. The handler sees what the vault vouches for and may read the one field that was
//! checked; of one that refuses no effect stays.

use super::outcome::Done;
use super::question::ask_owner;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::handler_host::{FieldAuthority, HandlerHost};
use crate::mark::StoredAnswer;
use crate::rule::ruling::Ruling;
use crate::send;
use crate::service;
use crate::step::Step;
use serde_json::Value;
use vettid_core::channel::in_reply_to_canonical;
use vettid_handler::event::{Answer, Context, Event, Peer, Service, answer_row};
use vettid_handler::reply::{HandlerError, Reply};
use vettid_wire::contract::Tier;
use vettid_wire::event::{EventType, Lane};
use vettid_wire::id::EventId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// Everything that the vault vouches for about an event of a peer.
pub(super) fn context(
    step: &Step<'_>,
    connection: &Connection,
    lane: Lane,
    event_id: EventId,
    event_type: &EventType,
    tier: Option<Tier>,
    answer: Option<Answer>,
) -> Result<Context, Failure> {
    let accepted = connection::shared_contract(&step.draft, connection.connection_id)?;
    let profile = connection.peer.as_ref().and_then(|peer| peer.profile.service.as_ref());
    let service = profile.zip(accepted).map(|(service, accepted)| Service {
        service_id: service.service_id.clone(),
        contract_hash: accepted.contract_hash.clone(),
        permissions: accepted.contract.permissions.clone(),
        origins: service.origins.clone(),
        tier,
    });
    let peer = Peer { connection_id: connection.connection_id, display_name: connection.display_name.clone(), service };
    Ok(Context { event_id, event_type: event_type.clone(), lane, occurred_at: step.now, peer: Some(peer), answer })
}

/// Runs the handler and takes its reply. Effects of a handler that refuses are gone.
pub(super) fn handle(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    body: &Value,
    ruling: &Ruling,
) -> Result<Result<Done, RefusalCode>, Failure> {
    let Some(handler) = step.handlers.find(context.lane, &context.event_type).cloned() else {
        return Ok(Err(RefusalCode::UnsupportedEvent));
    };
    let fields = authorised_field(context, body);
    let event = Event { context: context.clone(), payload: vjson::canonical(body)? };
    let before = step.savepoint();
    let mut host = HandlerHost::new(step, context, &handler.manifest().name, fields);
    let replied = handler.handle(&mut host, &event);
    if let Some(failure) = host.into_failure() {
        return Err(failure.into());
    }
    match replied {
        Ok(Reply::Body(_) | Reply::None) if ruling.objects() => {
            step.roll_back(before);
            Ok(Err(RefusalCode::Denied))
        }
        Ok(Reply::Body(reply)) => {
            ruling.count(step)?;
            let answer = service::settle(step, connection, context, body, &reply)?;
            answer_with(step, connection, context, &event, answer).map(Ok)
        }
        Ok(Reply::None) => {
            ruling.count(step)?;
            Ok(Ok(Done::Quiet))
        }
        Ok(Reply::Ask(question)) => ask_owner(step, connection, context, &event, question, before, ruling),
        Err(HandlerError::Refuse(code)) => {
            step.roll_back(before);
            Ok(Err(code))
        }
        Err(HandlerError::Retry(_)) => Err(Failure::Retry),
        Err(HandlerError::Fault(fault)) => {
            tracing::error!(%fault, handler = %handler.manifest().name, "handler fault");
            step.roll_back(before);
            Ok(Err(RefusalCode::Unavailable))
        }
    }
}

/// The one field that a data request may read; its contract was checked.
fn authorised_field(context: &Context, body: &Value) -> FieldAuthority {
    let checked = context.service().is_some_and(|(_, service)| service.tier.is_some());
    match body.get("field").and_then(Value::as_str) {
        Some(field) if checked => FieldAuthority::One(field.to_owned()),
        _ => FieldAuthority::Nothing,
    }
}

/// Sends a handler's reply on the row that answers the event.
pub(super) fn answer_with(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    event: &Event,
    body: Value,
) -> Result<Done, Failure> {
    let Some(row) = answer_row(context.lane, &context.event_type) else {
        return Ok(Done::Quiet);
    };
    let question = in_reply_to_canonical(context.event_id, &event.payload);
    let body = send::proven(step, connection, row, body, &question)?;
    send::to_peer(step, connection, row, &body, Some(question))?;
    Ok(Done::Answered(StoredAnswer { event_type: row.event_type(), body }))
}
