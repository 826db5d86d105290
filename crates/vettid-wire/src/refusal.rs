//! Refusals: what the other side may know when an event is not carried out. A code, never a detail.

use crate::answer::AnswerProof;
use crate::event::EventType;
use crate::id::EventId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an event was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The vault has no handler for this event on this lane.
    UnsupportedEvent,
    /// The payload is malformed, too large, or has an unknown field.
    InvalidRequest,
    /// The lane, the state or a rule does not allow it.
    NotAllowed,
    /// The connection is not active, or was revoked.
    NotConnected,
    /// The contract does not name this field or permission.
    NotInContract,
    /// The request quotes another version of the contract than the accepted one.
    ContractMismatch,
    /// The service offered a new version, and the member has not decided about it.
    ContractFrozen,
    /// More requests than the contract or the lane allows in this time.
    RateLimited,
    /// The owner denied it.
    Denied,
    /// The owner did not answer in time, or the event came too late.
    Expired,
    /// The contract lets it be handed out once, and it was.
    Spent,
    /// The service wants to keep it longer than the contract allows.
    RetentionTooLong,
    /// The contract allows it, but the member holds no such value.
    NotAvailable,
    /// No such thing.
    NotFound,
    /// The same event id came with other content.
    Conflict,
    /// The session is limited or the vault is locked.
    Locked,
    /// A recovery is fresh: what is of high value waits until its hold is over or the old device approves.
    OnHold,
    /// What is kept for this purpose is full.
    NoRoom,
    /// The vault could not do it now; the same event may be sent again.
    Unavailable,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnsupportedEvent => "unsupported event",
            Self::InvalidRequest => "invalid request",
            Self::NotAllowed => "not allowed",
            Self::NotConnected => "not connected",
            Self::NotInContract => "not in the contract",
            Self::ContractMismatch => "another contract version is in force",
            Self::ContractFrozen => "a new version of the contract waits for the member",
            Self::RateLimited => "rate limit reached",
            Self::Denied => "denied by the owner",
            Self::Expired => "expired",
            Self::Spent => "handed out already, as often as the contract says",
            Self::RetentionTooLong => "the contract does not allow to keep it that long",
            Self::NotAvailable => "no such value is held",
            Self::NotFound => "not found",
            Self::Conflict => "same event id with other content",
            Self::Locked => "locked",
            Self::OnHold => "on hold after a recovery",
            Self::NoRoom => "no room for it",
            Self::Unavailable => "not available now",
        };
        f.write_str(text)
    }
}

/// An event that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}")]
pub struct Refusal {
    /// The reason, as far as the other side may know it.
    pub code: RefusalCode,
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code }
    }
}

/// Body of `event.refused`: tells an authenticated peer that its event had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRefused {
    /// The refused event.
    pub event_id: EventId,
    /// Its type as received.
    pub event_type: EventType,
    /// The reason.
    pub code: RefusalCode,
    /// Not before then is there room again, where the vault can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Lets a service show it to others; towards members there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AnswerProof>,
}
