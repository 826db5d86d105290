//! A request that passed its contract: asked once, however often it comes. The same id with the same content gets the same
//! answer; with other content it is refused.

use super::answer::{Said, say};
use super::{Stored, find, lock, or_refuse, read};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::mark::StoredAnswer;
use crate::request::{self, Waiting};
use crate::rule::ruling::Ruling;
use crate::send;
use crate::step::Step;
use serde_json::Value;
use vettid_crypto::authorisation::{VerifiedRequest, request_hash};
use vettid_handlers::shown;
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::auth::Decision;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{AuthorisationResponse, EventRow, EventType, Lane};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, PendingRequest};

/// A service's clock may be ahead of the vault's by this much, in milliseconds.
const MAX_CLOCK_LEAD_MS: i64 = 30_000;

/// What a request gets at once: nothing while the owner is asked.
type Taken = Result<Result<Option<StoredAnswer>, RefusalCode>, Failure>;

/// Takes up one request; `question` names its event.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    (event_type, question): (&EventType, &InReplyTo),
    body: &Value,
    ruling: &Ruling,
) -> Taken {
    let request = or_refuse!(read(connection, event_type, body));
    let (id, request_id) = (connection.connection_id, request.get().request_id);
    if let Some(stored) = find(&step.draft, id, request_id)? {
        return again(step, connection, &request, (&stored, question));
    }
    if let Some(known) = request::get(&step.draft, id, request_id)? {
        // It waits, or came to nothing; its answer, if it had one, is kept with its event.
        let same = known.event_type == *event_type && known.payload == vjson::canonical(body)?;
        return Ok(if same { Ok(known.answer) } else { Err(RefusalCode::Conflict) });
    }
    let lead_ms = request.get().issued_at.since_ms(step.now);
    if lead_ms > MAX_CLOCK_LEAD_MS {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if request.get().expires_at <= step.now {
        return Ok(Err(RefusalCode::Expired));
    }
    ruling.count(step)?;
    if let Some((Decision::Deny, ruled)) = ruling.answer() {
        let rules: Vec<_> = ruled.rules.iter().map(ToString::to_string).collect();
        let who = format!("Your rule {}", rules.join(", "));
        let said = Said { decision: Decision::Deny, method: AnswerMethod::Rule, who: &who, claims: vec![] };
        return say(step, connection, &request, (event_type, question), said).map(|answer| Ok(Some(answer)));
    }
    ask(step, connection, &request, (event_type, question), body)
}

/// What was answered before is answered again.
fn again(
    step: &mut Step<'_>,
    connection: &Connection,
    request: &VerifiedRequest,
    (stored, question): (&Stored, &InReplyTo),
) -> Taken {
    if request_hash(&stored.request)? != request.hash() {
        return Ok(Err(RefusalCode::Conflict));
    }
    send::to_peer(step, connection, &AuthorisationResponse::ROW, &stored.answer, Some(question.clone()))?;
    let body = serde_json::to_value(&stored.answer).map_err(vjson::JsonError::Shape)?;
    Ok(Ok(Some(StoredAnswer { event_type: AuthorisationResponse::ROW.event_type(), body })))
}

fn ask(
    step: &mut Step<'_>,
    connection: &Connection,
    request: &VerifiedRequest,
    (event_type, question): (&EventType, &InReplyTo),
    body: &Value,
) -> Taken {
    let of = request.get();
    // The owner names a question by its id alone, so no two open ones may share it.
    let taken = request::shown_as(&step.draft, of.request_id)?.is_some();
    let shown_id = if taken { RequestId::v7(step.now, step.random()) } else { of.request_id };
    let waiting = Waiting {
        shown: PendingRequest {
            request_id: shown_id,
            connection_id: connection.connection_id,
            display_name: connection.display_name.clone(),
            ask: Ask::Authorisation(Box::new(lock::view(request))),
            received_at: step.now,
            expires_at: of.expires_at,
            login: None,
        },
        request_id: of.request_id,
        event_id: question.event_id,
        event_type: event_type.clone(),
        lane: Lane::Service,
        payload: vjson::canonical(body)?,
        answer: None,
        is_decided: false,
        fields: vec![],
    };
    or_refuse!(request::add(&mut step.draft, &waiting)?);
    let name = shown::name(&connection.display_name);
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: Some(shown_id),
        severity: Severity::Notice,
        outcome: Outcome::Pending,
        summary: format!("{name} asks for this: {}", of.wanted.title()),
    })?;
    Ok(Ok(None))
}
