//! Requests for several fields: each is decided as if it was asked for alone, what needs the owner's word is one question with a yes
//! for each field, and one signed answer says what came of all. Nothing is handed out that its own checks did not let through.

mod answer;
mod decide;

pub use decide::{decide, expire};

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::mark::StoredAnswer;
use crate::peer::actor;
use crate::request::{self, FieldStanding, Standing, Waiting};
use crate::rule::ruling;
use crate::send;
use crate::service::given;
use crate::step::Step;
use serde_json::{Value, json};
use vettid_core::contract::{Breach, Grant};
use vettid_handlers::data_request::{DECISION_LIFE_MS, MAX_PURPOSE_BYTES};
use vettid_handlers::shown;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::auth::Decision;
use vettid_wire::data::DataRequest;
use vettid_wire::data::batch::{BatchOutcome, BatchRequest};
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{self, BatchAsked, EventRow, EventType, Lane};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, PendingRequest};
use vettid_wire::statement::DecidedBy;

/// What the contract said about each field, in the order of the request.
pub type Decisions = Vec<Result<Grant, Breach>>;

/// Whether events of this type ask for several fields.
#[must_use]
pub fn is_one(event_type: &EventType) -> bool {
    event_type.as_str() == BatchAsked::ROW.name
}

/// Reads a request of this connection: it says the same as the vault about who asks.
pub fn open(connection: &Connection, body: &Value) -> Result<BatchRequest, RefusalCode> {
    let request: BatchRequest = vjson::from_value(body.clone()).map_err(|_| RefusalCode::InvalidRequest)?;
    let own = connection.service_id() == Some(&request.service_id) && request.connection_id == connection.connection_id;
    match (own, request.is_sound() && shown::is_line(&request.purpose, MAX_PURPOSE_BYTES)) {
        (false, _) => Err(RefusalCode::NotAllowed),
        (true, false) => Err(RefusalCode::InvalidRequest),
        (true, true) => Ok(request),
    }
}

/// Takes up a request whose fields the contract decided one by one; `question` names its event. `asks_all`: it may have been
/// decided before this vault was restored, so nobody but the owner decides what rules may decide.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    (question, body): (&InReplyTo, &Value),
    decisions: &Decisions,
    asks_all: bool,
) -> Result<Result<StoredAnswer, RefusalCode>, Failure> {
    let request = match open(connection, body) {
        Ok(request) => request,
        Err(code) => return Ok(Err(code)),
    };
    if let Some(known) = request::get(&step.draft, connection.connection_id, request.request_id)? {
        return again(step, connection, question, body, known);
    }
    let before = step.savepoint();
    let mut fields = Vec::new();
    for (asked, decision) in request.fields.iter().zip(decisions) {
        let standing = match decision {
            Ok(_) => ruled(step, connection, (question, &request), &asked.field, asks_all)?,
            Err(breach) => Standing::Refused(breach.code()),
        };
        let failed_check = decision.err();
        fields.push(FieldStanding { field: asked.field.clone(), standing, failed_check });
    }
    if fields.iter().any(|field| field.standing == Standing::Asked) {
        let asked = ask(step, connection, (question, body), request, fields)?;
        if asked.is_err() {
            step.roll_back(before);
        }
        return Ok(asked);
    }
    answer::give(step, connection, question, &request, &fields).map(Ok)
}

/// What rules make of a field that the contract lets through: never more.
fn ruled(
    step: &mut Step<'_>,
    connection: &Connection,
    (question, request): (&InReplyTo, &BatchRequest),
    field: &str,
    asks_all: bool,
) -> Result<Standing, Failure> {
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let tier = accepted.and_then(|accepted| accepted.contract.field(field).map(|declared| declared.tier));
    let Some(tier) = tier else { return Ok(Standing::Refused(RefusalCode::NotInContract)) };
    let alone = DataRequest {
        request_id: request.request_id,
        service_id: request.service_id.clone(),
        connection_id: request.connection_id,
        contract_hash: request.contract_hash.clone(),
        field: field.to_owned(),
        purpose: request.purpose.clone(),
        retention: None,
    };
    let body = serde_json::to_value(alone).map_err(vjson::JsonError::Shape)?;
    let mut ruling = ruling::on(step, connection, &event::DataRequest::ROW.event_type(), &body, Some(tier))?;
    if asks_all {
        ruling = ruling.asked();
    }
    let asks = ruling.tier(Some(tier)) == Some(vettid_wire::contract::Tier::Consent);
    let standing = match (asks, ruling.answer()) {
        (false, _) => Standing::Given(DecidedBy::Contract),
        (true, Some((Decision::Approve, _))) => Standing::Given(DecidedBy::Rule),
        (true, Some((Decision::Deny, _))) => Standing::Refused(RefusalCode::Denied),
        (true, None) => Standing::Asked,
    };
    ruling.count(step)?;
    if ruling.record().is_some() {
        // As for a request for this field alone: dry runs try it again.
        let mut detail = json!({"event_id": question.event_id, "field": field});
        ruling.note(&mut detail)?;
        step.audit(&actor(connection), &BatchAsked::ROW.event_type(), AuditOutcome::Success, detail)?;
    }
    Ok(standing)
}

/// A repeated request gets what the first one got.
fn again(
    step: &mut Step<'_>,
    connection: &Connection,
    question: &InReplyTo,
    body: &Value,
    known: Waiting,
) -> Result<Result<StoredAnswer, RefusalCode>, Failure> {
    let is_same = is_one(&known.event_type) && known.payload == vjson::canonical(body)?;
    let Some(answer) = known.answer.filter(|_| is_same) else {
        return Ok(Err(RefusalCode::Conflict));
    };
    if let Err(code) = given::may_be_had_again(step, connection.connection_id, &answer)? {
        return Ok(Err(code));
    }
    let StoredAnswer { event_type, body } = answer;
    let Some(row) = send::row_to(connection.kind, &event_type) else { return Ok(Err(RefusalCode::Conflict)) };
    // The same answer, to an event of its own: the proof is for that one.
    let body = send::proven(step, connection, row, body, question)?;
    send::to_peer(step, connection, row, &body, Some(question.clone()))?;
    Ok(Ok(StoredAnswer { event_type, body }))
}

/// One question about every field that needs the owner's word.
fn ask(
    step: &mut Step<'_>,
    connection: &Connection,
    (question, body): (&InReplyTo, &Value),
    request: BatchRequest,
    fields: Vec<FieldStanding>,
) -> Result<Result<StoredAnswer, RefusalCode>, Failure> {
    let expires_at = step.now.plus_ms(DECISION_LIFE_MS);
    let asked = fields.iter().filter(|field| field.standing == Standing::Asked);
    let names: Vec<String> = asked.map(|field| field.field.clone()).collect();
    // The owner names a question by its id alone, so no two open ones may share it.
    let taken = request::shown_as(&step.draft, request.request_id)?.is_some();
    let shown_id = if taken { RequestId::v7(step.now, step.random()) } else { request.request_id };
    let outcome = BatchOutcome::Pending { expires_at };
    let interim = answer::proven(step, connection, question, request.request_id, outcome)?;
    let who = shown::name(&connection.display_name);
    let summary = format!("{who} asks to read your {}", names.join(", "));
    let waiting = Waiting {
        shown: PendingRequest {
            request_id: shown_id,
            connection_id: connection.connection_id,
            display_name: connection.display_name.clone(),
            ask: Ask::DataBatch { fields: names, purpose: request.purpose },
            login: None,
            received_at: step.now,
            expires_at,
        },
        request_id: request.request_id,
        event_id: question.event_id,
        event_type: BatchAsked::ROW.event_type(),
        lane: Lane::Service,
        payload: vjson::canonical(body)?,
        answer: Some(interim.clone()),
        is_decided: false,
        fields,
    };
    if let Err(code) = request::add(&mut step.draft, &waiting)? {
        return Ok(Err(code));
    }
    step.tell(Note {
        event_type: waiting.event_type,
        connection_id: Some(connection.connection_id),
        request_id: Some(shown_id),
        severity: Severity::Notice,
        outcome: Outcome::Pending,
        summary,
    })?;
    answer::send(step, connection, question, &interim)?;
    Ok(Ok(interim))
}
