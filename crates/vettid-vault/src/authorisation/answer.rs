//! The owner's answer, or its absence: signed by the key of the connection, kept, sent and written into the audit chain in one
//! commit. The time is that of the vault's clock.

use super::{Stored, admit, keep, lock, or_refuse, proof, read};
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::flood;
use crate::mark::{self, StoredAnswer};
use crate::peer::actor;
use crate::request::{self, Waiting};
use crate::send;
use crate::step::Step;
use serde_json::{Value, json};
use vettid_core::channel::in_reply_to;
use vettid_crypto::authorisation::{Answering, VerifiedRequest, sign_answer};
use vettid_handlers::shown;
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{ProvenClaim, Wanted};
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{AuthorisationResponse, EventRow, EventType};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Decide, Decided};

/// What is answered.
pub(super) struct Said<'s> {
    pub(super) decision: Decision,
    pub(super) method: AnswerMethod,
    /// What the feed calls whoever decided.
    pub(super) who: &'s str,
    pub(super) claims: Vec<ProvenClaim>,
}

/// `request.decide` for a request of this kind: a yes names what was shown, and has everything that it needs.
pub fn decide(step: &mut Step<'_>, waiting: &Waiting, asked: &Decide) -> Result<Result<Decided, RefusalCode>, Failure> {
    let found = connection::get(&step.draft, waiting.shown.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else {
        request::remove(&mut step.draft, waiting);
        return Ok(Err(RefusalCode::NotConnected));
    };
    let body = vjson::parse(&waiting.payload)?;
    let request = or_refuse!(read(&connection, &waiting.event_type, &body));
    let shown_id = waiting.shown.request_id;
    let mut method = AnswerMethod::Owner;
    let mut claims = vec![];
    if asked.decision == Decision::Approve {
        if asked.shown != Some(request.hash()) {
            return Ok(Err(RefusalCode::Conflict));
        }
        if !lock::needs(step, &connection, shown_id, &request)?.is_empty() {
            return Ok(Err(RefusalCode::NotAllowed));
        }
        claims = match last_look(step, &connection, &request)? {
            Ok(claims) => claims,
            Err(code) => {
                end(step, &connection, waiting, &body, code)?;
                return Ok(Err(code));
            }
        };
        if lock::use_permit(step, shown_id, request.hash())? {
            method = AnswerMethod::Password;
        }
    }
    let question = in_reply_to(waiting.event_id, &body)?;
    let said = Said { decision: asked.decision, method, who: "You", claims };
    let answer = say(step, &connection, &request, (&waiting.event_type, &question), said)?;
    let id = connection.connection_id;
    mark::answer(&mut step.draft, &id.to_string(), waiting.event_id, answer.clone())?;
    request::put(&mut step.draft, &Waiting { answer: Some(answer), is_decided: true, ..waiting.clone() })?;
    flood::decided(step, waiting, asked.decision)?;
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(Ok(Decided { request_id: shown_id, decision: asked.decision, return_to: None }))
}

/// What may have changed since it was asked: the contract, and what the vault has to say.
fn last_look(
    step: &mut Step<'_>,
    connection: &Connection,
    request: &VerifiedRequest,
) -> Result<Result<Vec<ProvenClaim>, RefusalCode>, Failure> {
    let wanted = &request.get().wanted;
    or_refuse!(admit::still_allows(step, connection, wanted)?);
    match wanted {
        Wanted::Proof(asked) => proof::claims(step, connection, (asked, request.get().request_id)),
        _ => Ok(Ok(vec![])),
    }
}

/// The owner did not answer in time: the service is told so.
pub fn resume(step: &mut Step<'_>, waiting: &Waiting) -> Result<Result<(), RefusalCode>, Failure> {
    let found = connection::get(&step.draft, waiting.shown.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else {
        request::remove(&mut step.draft, waiting);
        return Ok(Err(RefusalCode::NotConnected));
    };
    let body = vjson::parse(&waiting.payload)?;
    end(step, &connection, waiting, &body, RefusalCode::Expired)?;
    Ok(Ok(()))
}

/// Ends a request without an answer.
fn end(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    body: &Value,
    code: RefusalCode,
) -> Result<(), Failure> {
    let (id, event_type) = (connection.connection_id, &waiting.event_type);
    let question = in_reply_to(waiting.event_id, body)?;
    let answer = send::refuse(step, connection, (waiting.event_id, event_type), (code, None), Some(question))?;
    if let Some(answer) = &answer {
        mark::answer(&mut step.draft, &id.to_string(), waiting.event_id, answer.clone())?;
    }
    request::put(&mut step.draft, &Waiting { answer, is_decided: true, ..waiting.clone() })?;
    let detail = json!({"event_id": waiting.event_id, "request_id": waiting.request_id, "refusal": code});
    step.audit(&actor(connection), event_type, AuditOutcome::Refused, detail)?;
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(())
}

/// Signs an answer, keeps it with its request, and sends it.
pub(super) fn say(
    step: &mut Step<'_>,
    connection: &Connection,
    request: &VerifiedRequest,
    (event_type, question): (&EventType, &InReplyTo),
    said: Said<'_>,
) -> Result<StoredAnswer, Failure> {
    let Said { decision, method, who, claims } = said;
    let answering = Answering { decision, method, answered_at: step.now, claims };
    let vault = (step.identity.signing_key(), &step.identity.key_record);
    let answer = sign_answer(vault, &connection.pairwise, request, answering)?;
    let body = serde_json::to_value(&answer).map_err(vjson::JsonError::Shape)?;
    send::to_peer(step, connection, &AuthorisationResponse::ROW, &answer, Some(question.clone()))?;
    let display_name = shown::name(&connection.display_name);
    let stored =
        Stored { display_name: display_name.clone(), request: request.get().clone(), answer, withdrawal: None };
    keep(step, &stored)?;
    let of = request.get();
    let detail = json!({"request_id": of.request_id, "request_hash": request.hash(), "decision": decision,
        "method": method, "template": of.wanted.template()});
    step.audit(&actor(connection), event_type, AuditOutcome::Success, detail)?;
    let (outcome, verb) = match decision {
        Decision::Approve => (Outcome::Approved, "approved"),
        Decision::Deny => (Outcome::Denied, "denied"),
    };
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: Some(of.request_id),
        severity: Severity::Info,
        outcome,
        summary: format!("{who} {verb} what {display_name} asked for: {}", of.wanted.title()),
    })?;
    Ok(StoredAnswer { event_type: AuthorisationResponse::ROW.event_type(), body })
}
