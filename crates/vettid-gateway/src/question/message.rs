//! Messages to members: what a program wants said, and the receipt that says the member's vault took it. A receipt never says
//! that anybody read it.

use super::{Asker, Judgement, Kind, NotAnAnswer, Outcome, QuestionError};
use serde_json::Value;
use vettid_wire::id::RequestId;
use vettid_wire::json::JsonError;
use vettid_wire::service_message::{MAX_LIFE_MS, MessageAccepted, MessageKind, ServiceMessage};

/// A message that says nothing about its time waits so long for the member's vault, in milliseconds (one day).
pub(super) const LIFE_MS: i64 = 24 * 3600 * 1000;

/// What a program of the service says to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the member is to make of it.
    pub kind: MessageKind,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// How long it waits for the member's vault, in milliseconds; absent: one day.
    pub life_ms: Option<i64>,
}

pub(super) fn request(asker: Asker<'_>, message_id: RequestId, said: Message) -> Result<(Kind, Value), QuestionError> {
    let life_ms = said.life_ms.unwrap_or(LIFE_MS);
    let message = ServiceMessage {
        message_id,
        service_id: asker.service_id.clone(),
        connection_id: asker.connection_id,
        contract_hash: asker.contract_hash.clone(),
        kind: said.kind,
        subject: said.subject,
        text: said.text,
    };
    if !message.is_sound() || !(1..=MAX_LIFE_MS).contains(&life_ms) {
        return Err(QuestionError::UnsoundMessage);
    }
    Ok((Kind::Message { life_ms }, serde_json::to_value(message).map_err(JsonError::Shape)?))
}

/// What a receipt says, its proof aside.
pub(super) fn judge(message_id: RequestId, accepted: &MessageAccepted) -> Result<Judgement, NotAnAnswer> {
    if accepted.message_id != message_id {
        return Err(NotAnAnswer::Contradiction);
    }
    Ok(Judgement::Done(Outcome::Accepted { accepted_at: accepted.accepted_at }))
}
