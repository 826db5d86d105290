//! What connected services are given: the answer that carries a value says how long it may be kept, spends what is handed out
//! once, and is written down for the owner. Whether anything is given was decided before anybody comes here.

pub mod batch;
pub mod given;
pub mod held;
pub mod message;
pub mod snapshot;

use crate::connection::{self, Connection};
use crate::contract;
use crate::failure::Failure;
use crate::peer::BY_RULE;
use crate::projection::UnreadableState;
use crate::step::Step;
use serde_json::Value;
use vettid_core::contract::AcceptedContract;
use vettid_handler::event::{Answer, Context};
use vettid_wire::contract::Retention;
use vettid_wire::data::{DataOutcome, DataRequest, DataResponse, Keep};
use vettid_wire::event::{self, EventRow};
use vettid_wire::id::ConnectionId;
use vettid_wire::json::{self as vjson, JsonError};
use vettid_wire::statement::DecidedBy;

/// Completes the handler's answer to a request for a field, in the commit with that answer. Other answers stay as they are.
pub fn settle(
    step: &mut Step<'_>,
    connection: &Connection,
    context: &Context,
    asked: &Value,
    answer: &[u8],
) -> Result<Value, Failure> {
    if context.event_type.as_str() != event::DataRequest::ROW.name {
        return Ok(vjson::parse(answer)?);
    }
    let mut response: DataResponse = vjson::read(answer)?;
    let DataOutcome::Served { field, keep, .. } = &mut response.outcome else {
        return Ok(vjson::parse(answer)?);
    };
    let asked: DataRequest = vjson::from_ref(asked)?;
    let accepted = connection::shared_contract(&step.draft, connection.connection_id)?.ok_or(Failure::Retry)?;
    let decided_by = match &context.answer {
        None => DecidedBy::Contract,
        Some(Answer::Decided(decided)) if decided.method.iter().any(|method| method == BY_RULE) => DecidedBy::Rule,
        Some(_) => DecidedBy::Owner,
    };
    contract::note_served(step, connection, (field, &asked.purpose), Some(asked.request_id), decided_by)?;
    *keep = Some(hand_out(step, connection.connection_id, &accepted, field, asked.retention)?);
    Ok(serde_json::to_value(response).map_err(JsonError::Shape)?)
}

/// A field is handed out: it is spent if that happens once, and the owner can see who has it for how long.
pub(crate) fn hand_out(
    step: &mut Step<'_>,
    id: ConnectionId,
    accepted: &AcceptedContract,
    field: &str,
    asked: Option<Retention>,
) -> Result<Keep, UnreadableState> {
    let mut spent = connection::spent(&step.draft, id)?;
    if spent.served(accepted, field) {
        connection::put_spent(&mut step.draft, id, &spent)?;
    }
    // The contract may have changed while the owner was asked.
    let allowed = accepted.contract.field(field).map_or(Retention::Session, |field| field.retention);
    held::hand_out(step, id, field, asked.map_or(allowed, |asked| asked.min(allowed)))
}
