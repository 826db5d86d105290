//! Answers as they were opened: which question each names, and what is kept of it to be shown. Whether one counts is decided elsewhere.

use super::NotAnAnswer;
use serde_json::Value;
use vettid_wire::auth::AuthResponse;
use vettid_wire::authorisation::AuthorisationAnswer;
use vettid_wire::data::DataResponse;
use vettid_wire::data::batch::BatchResponse;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{self, EventRow as _, Row};
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::refusal::EventRefused;
use vettid_wire::service_message::MessageAccepted;
use vettid_wire::stored::StoredResponse;

/// An answer as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `data.response`.
    Data(DataResponse),
    /// `data.batch.response`.
    Batch(BatchResponse),
    /// `auth.response`.
    Login(Box<AuthResponse>),
    /// `authorisation.response`.
    Authorisation(Box<AuthorisationAnswer>),
    /// `service_message.accepted`.
    Message(MessageAccepted),
    /// `data.stored.response`.
    Stored(Box<StoredResponse>),
    /// `event.refused`.
    Refused(EventRefused),
}

impl Answer {
    /// The event that an answer names as its question.
    #[must_use]
    pub fn question(&self, in_reply_to: Option<&InReplyTo>) -> Option<EventId> {
        match self {
            Self::Refused(refused) => Some(refused.event_id),
            Self::Data(_)
            | Self::Batch(_)
            | Self::Login(_)
            | Self::Authorisation(_)
            | Self::Message(_)
            | Self::Stored(_) => in_reply_to.map(|to| to.event_id),
        }
    }

    /// The answer as it was signed, to be shown to others; `None` if it carries no proof.
    #[must_use]
    pub fn evidence(&self) -> Option<Value> {
        match self {
            Self::Data(response) => response.proof.as_ref().and_then(|_| serde_json::to_value(response).ok()),
            Self::Refused(refused) => refused.proof.as_ref().and_then(|_| serde_json::to_value(refused).ok()),
            Self::Batch(response) => response.proof.as_ref().and_then(|_| serde_json::to_value(response).ok()),
            Self::Login(response) => serde_json::to_value(response).ok(),
            Self::Message(accepted) => accepted.proof.as_ref().and_then(|_| serde_json::to_value(accepted).ok()),
            Self::Authorisation(answer) => serde_json::to_value(answer).ok(),
            Self::Stored(response) => response.proof.as_ref().and_then(|_| serde_json::to_value(response).ok()),
        }
    }

    /// Reads the body of an answer of this row.
    ///
    /// # Errors
    /// [`NotAnAnswer::Malformed`].
    pub fn read(row: &Row, body: Value) -> Result<Self, NotAnAnswer> {
        let malformed = |_| NotAnAnswer::Malformed;
        match row.name {
            name if name == event::DataResponse::ROW.name => json::from_value(body).map(Self::Data).map_err(malformed),
            name if name == event::BatchAnswered::ROW.name => {
                json::from_value(body).map(Self::Batch).map_err(malformed)
            }
            name if name == event::AuthResponse::ROW.name => json::from_value(body).map(Self::Login).map_err(malformed),
            name if name == event::AuthorisationResponse::ROW.name => {
                json::from_value(body).map(Self::Authorisation).map_err(malformed)
            }
            name if name == event::ServiceMessageAccepted::ROW.name => {
                json::from_value(body).map(Self::Message).map_err(malformed)
            }
            name if name == event::DataStoredResponse::ROW.name => {
                json::from_value(body).map(Self::Stored).map_err(malformed)
            }
            name if name == event::MemberRefused::ROW.name => {
                json::from_value(body).map(Self::Refused).map_err(malformed)
            }
            _ => Err(NotAnAnswer::Malformed),
        }
    }
}
