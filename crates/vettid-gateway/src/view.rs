//! What programs of the service see: invitations, connections and requests, without keys and without anything that only
//! the member's vault should know.

use crate::acquaintance::Known;
use crate::question::{self, Kind, Outcome, Question};
use crate::requests::Progress;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use utoipa::ToSchema;
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{AuthorisationRecord, Wanted};
use vettid_wire::connection::ConnectionState;
use vettid_wire::data::Keep;
use vettid_wire::data::batch::{FieldAnswer, FieldOutcome};
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, InviteId, MemberId, RequestId};
use vettid_wire::login::LoginProof;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::stored::StoredOutcome;
use vettid_wire::time::Timestamp;

/// A new invitation. Its link is a secret until it is answered.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invitation {
    /// Names it.
    #[schema(value_type = String)]
    pub invite_id: InviteId,
    /// The link, also the text of the QR code. Whoever holds it can answer it once.
    pub link: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// It cannot be answered later.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({})", self.invite_id)
    }
}

/// A connection with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Connection)]
pub struct ConnectionView {
    /// The connection.
    #[schema(value_type = String, format = "uuid")]
    pub connection_id: ConnectionId,
    /// The invitation that it came from.
    #[schema(value_type = String)]
    pub invite_id: InviteId,
    /// `requested` while the member reviews the contract, then `active`; `revoked`, `expired` or `aborted` at the end.
    #[schema(value_type = String, example = "active")]
    pub state: ConnectionState,
    /// The member's vault.
    #[schema(value_type = String, format = "uuid")]
    pub member: MemberId,
    /// The member's identity.
    #[schema(value_type = String)]
    pub member_fingerprint: Fingerprint,
    /// The name that the member shows.
    pub display_name: String,
    /// The version of the contract.
    pub contract_version: u64,
    /// The version that was offered after that and that the member has not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_version: Option<u64>,
    /// The optional fields that the member agreed to.
    pub optional_fields_accepted: Vec<String>,
    /// When the invitation was answered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What the member shows this service of itself; gone with the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileView>,
    /// The last event that the member's vault refused and that was no open request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<RefusalView>,
}

/// The newest profile of a member that arrived, as far as the member shows it to this service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MemberProfile)]
pub struct ProfileView {
    /// Name and free entries.
    #[schema(value_type = Object)]
    pub public: Value,
    /// Age, place, texts, links and files, by name.
    #[schema(value_type = Object)]
    pub items: Value,
    /// Rises with each version.
    pub sequence: u64,
    /// When the member's vault made it.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// It says nothing about later times.
    #[schema(value_type = String, format = DateTime)]
    pub valid_until: Timestamp,
    /// An earlier or expired one came after it: it may not be what the member says today.
    pub is_stale: bool,
}

impl ProfileView {
    pub(crate) fn of(known: &Known) -> Self {
        let profile = &known.profile;
        let value = |part: serde_json::Result<Value>| part.unwrap_or(Value::Null);
        Self {
            public: value(serde_json::to_value(&profile.public)),
            items: value(serde_json::to_value(&profile.items)),
            sequence: profile.sequence,
            updated_at: profile.updated_at,
            valid_until: profile.valid_until,
            is_stale: known.is_stale,
        }
    }
}

/// An event that had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub struct RefusalView {
    /// The event.
    #[schema(value_type = String, format = "uuid")]
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Why.
    #[schema(value_type = String)]
    pub code: RefusalCode,
    /// When the refusal arrived.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A request to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Request)]
pub struct RequestView {
    /// Names it.
    #[schema(value_type = String, format = "uuid")]
    pub request_id: RequestId,
    /// Where it was asked.
    #[schema(value_type = String, format = "uuid")]
    pub connection_id: ConnectionId,
    /// `data`, `data_batch`, `login`, `message`, `payment`, `transaction`, `consent`, `document`, `proof`, `store`, `stored_get`,
    /// `stored_list` or `stored_delete`.
    pub kind: &'static str,
    /// How far it is.
    #[serde(flatten)]
    pub status: Status,
    /// When it was asked.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// Unanswered until then, it ends as `expired`.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The answer as the member's vault signed it, for checking offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub evidence: Option<Value>,
}

/// What came of one of several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FieldAnswer)]
pub struct FieldView {
    /// Name of the field.
    pub field: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub value: Option<Value>,
    /// How long the value may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub keep: Option<Keep>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<RefusalCode>,
}

impl From<FieldAnswer> for FieldView {
    fn from(FieldAnswer { field, outcome }: FieldAnswer) -> Self {
        match outcome {
            FieldOutcome::Served { value, keep } => Self { field, value: Some(value), keep: Some(keep), code: None },
            FieldOutcome::Refused { code } => Self { field, value: None, keep: None, code: Some(code) },
        }
    }
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
#[schema(as = RequestStatus)]
pub enum Status {
    /// Asked; no answer yet.
    Asked,
    /// The member is being asked.
    Pending,
    /// The value of the field.
    Served {
        /// Name of the field.
        field: String,
        /// Its value.
        #[schema(value_type = Value)]
        value: Value,
        /// How long it may be kept.
        #[schema(value_type = Value)]
        keep: Keep,
    },
    /// What came of each of several fields, in the order of the request.
    Answered {
        /// Each with its value or the reason why there is none.
        fields: Vec<FieldView>,
    },
    /// The member logged in, or said yes.
    Approved {
        /// When the member decided.
        #[schema(value_type = String, format = DateTime)]
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// The signed answer with its request, where the member's word was wanted.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        record: Option<Box<AuthorisationRecord>>,
    },
    /// The member said yes, which counts only when the waiting browser brings the code.
    AwaitsCode {
        /// When the member decided.
        #[schema(value_type = String, format = DateTime)]
        auth_time: Timestamp,
    },
    /// The member refused.
    Denied {
        /// When the member decided.
        #[schema(value_type = String, format = DateTime)]
        auth_time: Timestamp,
        /// The signed answer with its request, where the member's word was wanted.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        record: Option<Box<AuthorisationRecord>>,
    },
    /// It was done with what the service stores.
    Done {
        /// `stored` with the item and what is used now, `read` with item and value, `listed` with the items, or `deleted`.
        #[schema(value_type = Object)]
        result: Box<StoredOutcome>,
    },
    /// The member's vault refused.
    Refused {
        /// Why.
        #[schema(value_type = String)]
        code: RefusalCode,
        /// Not before then is there room again, where the vault can tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        retry_at: Option<Timestamp>,
    },
    /// The member's vault took the message; whether anybody reads it is not told.
    Accepted {
        /// When it was taken.
        #[schema(value_type = String, format = DateTime)]
        accepted_at: Timestamp,
    },
    /// No answer in time.
    Expired,
}

impl Status {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Pending => "pending",
            Self::Served { .. } => "served",
            Self::Answered { .. } => "answered",
            Self::Approved { .. } => "approved",
            Self::AwaitsCode { .. } => "awaits_code",
            Self::Denied { .. } => "denied",
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Accepted { .. } => "accepted",
            Self::Expired => "expired",
        }
    }

    /// Whether an answer may still come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Asked | Self::Pending)
    }
}

impl From<&Progress> for Status {
    fn from(progress: &Progress) -> Self {
        let outcome = match progress {
            Progress::Asked => return Self::Asked,
            Progress::Pending => return Self::Pending,
            Progress::Done(_, outcome) => outcome.clone(),
        };
        match outcome {
            Outcome::Served { field, value, keep } => Self::Served { field, value, keep },
            Outcome::Fields { fields } => Self::Answered { fields: fields.into_iter().map(FieldView::from).collect() },
            Outcome::Decided { proof: Some(LoginProof::SameDevice { .. }), auth_time, .. } => {
                Self::AwaitsCode { auth_time }
            }
            Outcome::Decided { decision: Decision::Approve, auth_time, method, .. } => {
                Self::Approved { auth_time, method, record: None }
            }
            Outcome::Decided { decision: Decision::Deny, auth_time, .. } => Self::Denied { auth_time, record: None },
            Outcome::Answered { decision: Decision::Approve, auth_time, method, record } => {
                Self::Approved { auth_time, method, record: Some(record) }
            }
            Outcome::Answered { decision: Decision::Deny, auth_time, record, .. } => {
                Self::Denied { auth_time, record: Some(record) }
            }
            Outcome::Refused { code, retry_at } => Self::Refused { code, retry_at },
            Outcome::Accepted { accepted_at } => Self::Accepted { accepted_at },
            Outcome::Stored { result } => Self::Done { result },
            Outcome::Expired => Self::Expired,
        }
    }
}

impl RequestView {
    /// The view of a request.
    #[must_use]
    pub fn new(question: &Question, expires_at: Timestamp, progress: &Progress) -> Self {
        Self {
            request_id: question.request_id,
            connection_id: question.connection_id,
            kind: match &question.kind {
                Kind::Data { .. } => "data",
                Kind::DataBatch { .. } => "data_batch",
                Kind::Message { .. } => "message",
                Kind::Login(_) => "login",
                Kind::Authorisation(request) => question::name(request.wanted.kind()),
                Kind::Stored(asked) => asked.name(),
            },
            status: progress.into(),
            asked_at: question.asked_at,
            expires_at,
            evidence: None,
        }
    }
}

/// A record in a list. The whole is had by its request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Record)]
pub struct RecordView {
    /// The request.
    #[schema(value_type = String, format = "uuid")]
    pub request_id: RequestId,
    /// `payment`, `transaction`, `consent`, `document` or `proof`.
    pub kind: &'static str,
    /// Yes or no.
    #[schema(value_type = String, example = "approve")]
    pub decision: Decision,
    /// When the member decided.
    #[schema(value_type = String, format = DateTime)]
    pub answered_at: Timestamp,
    /// The end of a consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// From when on a consent does not hold any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub withdrawn_at: Option<Timestamp>,
}

impl RecordView {
    /// The view of a record.
    #[must_use]
    pub fn of(record: &AuthorisationRecord) -> Self {
        Self {
            request_id: record.request.request_id,
            kind: question::name(record.request.wanted.kind()),
            decision: record.answer.decision,
            answered_at: record.answer.answered_at,
            until: if let Wanted::Consent(consent) = &record.request.wanted { consent.until } else { None },
            withdrawn_at: record.withdrawal.as_ref().map(|withdrawal| withdrawal.withdrawn_at),
        }
    }
}
