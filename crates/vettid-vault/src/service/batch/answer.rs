//! The one answer to a request for several fields: values where they were let through and are there, and a refusal for each other one;
//! each is an audit entry of its own, and each value a line of the statement.

use crate::connection::{self, Connection};
use crate::contract;
use crate::failure::Failure;
use crate::feed::Note;
use crate::field;
use crate::mark::StoredAnswer;
use crate::peer::actor;
use crate::request::{FieldStanding, Standing};
use crate::send;
use crate::service::hand_out;
use crate::step::Step;
use serde_json::json;
use vettid_core::contract::{AcceptedContract, may_read};
use vettid_handlers::shown;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::data::batch::{
    BatchField, BatchOutcome, BatchRequest, BatchResponse, FieldAnswer, FieldOutcome, MAX_BATCH_VALUE_BYTES,
};
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{BatchAnswered, BatchAsked, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::DecidedBy;

/// An answer with its proof, not sent yet.
pub(super) fn proven(
    step: &Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    request_id: RequestId,
    outcome: BatchOutcome,
) -> Result<StoredAnswer, Failure> {
    let row = &BatchAnswered::ROW;
    let response = BatchResponse { request_id, outcome, proof: None };
    let body = serde_json::to_value(response).map_err(vjson::JsonError::Shape)?;
    let body = send::proven(step, connection, row, body, question)?;
    Ok(StoredAnswer { event_type: row.event_type(), body })
}

/// Sends an answer.
pub(super) fn send(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    answer: &StoredAnswer,
) -> Result<(), Failure> {
    send::to_peer(step, connection, &BatchAnswered::ROW, &answer.body, Some(question.clone())).map(drop)
}

/// Hands out what may be handed out now, and answers.
pub(super) fn give(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    request: &BatchRequest,
    standings: &[FieldStanding],
) -> Result<StoredAnswer, Failure> {
    let accepted = connection::contract(&step.draft, connection.connection_id)?.ok_or(Failure::Retry)?;
    let (mut fields, mut room) = (Vec::new(), MAX_BATCH_VALUE_BYTES);
    for (asked, standing) in request.fields.iter().zip(standings) {
        let outcome = match standing.standing {
            Standing::Given(by) => serve(step, connection, &accepted, (request, asked, by), &mut room)?,
            Standing::Refused(code) => Err(code),
            // Nobody said yes to it.
            Standing::Asked => Err(RefusalCode::Denied),
        };
        if let Err(code) = outcome {
            note_refused(step, connection, question, standing, code)?;
        }
        let outcome = outcome.unwrap_or_else(|code| FieldOutcome::Refused { code });
        fields.push(FieldAnswer { field: asked.field.clone(), outcome });
    }
    tell(step, connection, &fields, standings)?;
    let answer = proven(step, connection, question, request.request_id, BatchOutcome::Answered { fields })?;
    send(step, connection, question, &answer)?;
    Ok(answer)
}

/// A value leaves, if the contract in force still lets it, it is there, and the answer has room for it.
fn serve(
    step: &mut Step<'_>,
    connection: &Connection,
    accepted: &AcceptedContract,
    (request, asked, decided_by): (&BatchRequest, &BatchField, DecidedBy),
    room: &mut usize,
) -> Result<Result<FieldOutcome, RefusalCode>, Failure> {
    let (id, name) = (connection.connection_id, asked.field.as_str());
    if !may_read(accepted, name) {
        return Ok(Err(RefusalCode::NotInContract));
    }
    if connection::spent(&step.draft, id)?.covers(accepted, name) {
        return Ok(Err(RefusalCode::Spent));
    }
    let Some(stored) = field::get(&step.draft, name)? else { return Ok(Err(RefusalCode::NotAvailable)) };
    let size = vjson::canonical(&stored.value)?.len();
    let Some(left) = room.checked_sub(size) else { return Ok(Err(RefusalCode::NoRoom)) };
    *room = left;
    contract::note_served(step, connection, (name, &request.purpose), Some(request.request_id), decided_by)?;
    let keep = hand_out(step, id, accepted, name, asked.retention)?;
    Ok(Ok(FieldOutcome::Served { value: stored.value, keep }))
}

fn note_refused(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    standing: &FieldStanding,
    code: RefusalCode,
) -> Result<(), Failure> {
    let mut detail = json!({"event_id": question.event_id, "field": standing.field, "refusal": code});
    if let (Some(breach), Some(detail)) = (standing.failed_check, detail.as_object_mut()) {
        detail.insert("failed_check".into(), breach.to_string().into());
        // What the contract let through is noted where the rules were asked.
        let asked = json!({"connection_id": connection.connection_id, "field": standing.field});
        detail.insert("asked".into(), asked);
    }
    step.audit(&actor(connection), &BatchAsked::ROW.event_type(), AuditOutcome::Refused, detail)?;
    Ok(())
}

/// One entry of the feed for the whole answer, as urgent as the worst of its fields.
fn tell(
    step: &mut Step<'_>,
    connection: &Connection,
    fields: &[FieldAnswer],
    standings: &[FieldStanding],
) -> Result<(), Failure> {
    let breaches = standings.iter().filter_map(|standing| standing.failed_check);
    let severity = breaches.map(|breach| breach.severity()).max().unwrap_or(Severity::Info);
    let (mut given, mut refused) = (Vec::new(), Vec::new());
    for FieldAnswer { field, outcome } in fields {
        match outcome {
            FieldOutcome::Served { .. } => given.push(field.clone()),
            FieldOutcome::Refused { code } => refused.push((format!("{field} ({code})"), *code)),
        }
    }
    let who = shown::name(&connection.display_name);
    let names = refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let (outcome, summary) = match (given.is_empty(), refused.first()) {
        (false, None) => (Outcome::Done, format!("{who} read your {}", given.join(", "))),
        (false, Some(_)) => (Outcome::Done, format!("{who} read your {}; was not given: {names}", given.join(", "))),
        (true, first) => {
            let code = first.map_or(RefusalCode::Denied, |(_, code)| *code);
            (Outcome::Refused(code), format!("{who} was not given: {names}"))
        }
    };
    let event_type = BatchAsked::ROW.event_type();
    let (connection_id, request_id) = (Some(connection.connection_id), None);
    step.tell(Note { event_type, connection_id, request_id, severity, outcome, summary })?;
    Ok(())
}
