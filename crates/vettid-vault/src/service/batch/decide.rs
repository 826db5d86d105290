//! The owner's answer about several fields: a yes for each field or none, taken once; and what happens when nobody answers.

use super::answer;
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::flood;
use crate::mark;
use crate::peer::actor;
use crate::request::{self, FieldStanding, Standing, Waiting};
use crate::step::Step;
use serde_json::json;
use std::collections::BTreeSet;
use vettid_core::channel::in_reply_to;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::auth::Decision;
use vettid_wire::data::batch::BatchRequest;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Decide, Decided};
use vettid_wire::statement::DecidedBy;

/// The owner decides. A yes names the fields that it is for; what it does not name is denied.
pub fn decide(step: &mut Step<'_>, waiting: &Waiting, asked: &Decide) -> Result<Result<Decided, RefusalCode>, Failure> {
    let yes: BTreeSet<&str> = asked.fields.iter().map(String::as_str).collect();
    let of_question = |name: &&str| waiting.fields.iter().any(|field| field.field == **name && is_asked(field));
    let is_sound = match asked.decision {
        Decision::Approve => !yes.is_empty() && yes.len() == asked.fields.len() && yes.iter().all(of_question),
        Decision::Deny => asked.fields.is_empty(),
    };
    let is_plain = asked.number.is_none() && !asked.remember && asked.shown.is_none();
    if !is_sound || !is_plain {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let said = |name: &str| if yes.contains(name) { Standing::Given(DecidedBy::Owner) } else { refused_by_owner() };
    if let Err(code) = end(step, waiting, said)? {
        return Ok(Err(code));
    }
    flood::decided(step, waiting, asked.decision)?;
    let who = &waiting.shown.display_name;
    let (outcome, summary) = match asked.decision {
        Decision::Approve => (Outcome::Approved, format!("You gave {who} your {}", asked.fields.join(", "))),
        Decision::Deny => (Outcome::Denied, format!("You denied data.batch.request of {who}")),
    };
    step.tell(Note {
        event_type: waiting.event_type.clone(),
        connection_id: Some(waiting.shown.connection_id),
        request_id: Some(asked.request_id),
        severity: Severity::Info,
        outcome,
        summary,
    })?;
    Ok(Ok(Decided { request_id: asked.request_id, decision: asked.decision, return_to: None }))
}

fn refused_by_owner() -> Standing {
    Standing::Refused(RefusalCode::Denied)
}

fn is_asked(field: &FieldStanding) -> bool {
    field.standing == Standing::Asked
}

/// Nobody answered in time: what was asked about is refused, the rest is answered.
pub fn expire(step: &mut Step<'_>, waiting: &Waiting) -> Result<Result<(), RefusalCode>, Failure> {
    end(step, waiting, |_| Standing::Refused(RefusalCode::Expired))
}

/// Answers the request. What needed nobody's word is looked at again: the contract may have changed meanwhile.
fn end(
    step: &mut Step<'_>,
    waiting: &Waiting,
    said: impl Fn(&str) -> Standing,
) -> Result<Result<(), RefusalCode>, Failure> {
    let found = connection::get(&step.draft, waiting.shown.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else {
        request::remove(&mut step.draft, waiting);
        return Ok(Err(RefusalCode::NotConnected));
    };
    let id = connection.connection_id;
    let body = vjson::parse(&waiting.payload)?;
    let request: BatchRequest = vjson::from_value(body.clone())?;
    let question = in_reply_to(waiting.event_id, &body)?;
    let decided = |field: &FieldStanding| {
        let standing = if is_asked(field) { said(&field.field) } else { field.standing };
        FieldStanding { standing, ..field.clone() }
    };
    let standings: Vec<FieldStanding> = waiting.fields.iter().map(decided).collect();
    let answer = answer::give(step, &connection, &question, &request, &standings)?;
    mark::answer(&mut step.draft, &id.to_string(), waiting.event_id, answer.clone())?;
    request::put(&mut step.draft, &Waiting { answer: Some(answer), is_decided: true, ..waiting.clone() })?;
    let detail = json!({"event_id": waiting.event_id, "request_id": waiting.shown.request_id, "refusal": null});
    step.audit(&actor(&connection), &waiting.event_type, AuditOutcome::Success, detail)?;
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(Ok(()))
}
