//! What a repeated event gets: the very same answer, as long as the values in it may still be had; then a refusal, from then on for
//! good. Each value that leaves once more is in the audit.

use super::outcome::{Marked, finish};
use super::{Arrived, actor};
use crate::channels::ChannelName;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::mark::StoredAnswer;
use crate::rule::ruling::Ruling;
use crate::send;
use crate::service::given;
use crate::step::Step;
use serde_json::json;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::refusal::RefusalCode;

/// Answers a repeated event with what was answered before.
pub(super) fn answer_again(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    answer: StoredAnswer,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    if let Err(code) = given::may_be_had_again(step, id, &answer)? {
        return refuse(step, connection, arrived, code);
    }
    let fields: Vec<String> = given::values(&answer).into_iter().map(|(field, _)| field.to_owned()).collect();
    if let Some(row) = send::row_to(connection.kind, &answer.event_type) {
        send::to_peer(step, connection, row, answer.body, Some(arrived.question.clone()))?;
        if !fields.is_empty() {
            let detail = json!({"event_id": arrived.event_id, "given_again": fields});
            step.audit(&actor(connection), &arrived.event_type, AuditOutcome::Success, detail)?;
        }
    }
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(())
}

/// The values in the answer are over: this is the answer from now on.
pub(super) fn refuse(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    code: RefusalCode,
) -> Result<(), Failure> {
    finish(step, connection, arrived, Err(code), Marked::Yes(None), &Ruling::None)
}
