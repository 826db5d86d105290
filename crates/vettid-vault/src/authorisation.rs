//! Requests of services that want their member's word (spec 2.14): payments, transactions, consent, documents, proofs. Asked
//! once, answered once with a signature, kept with the answer. No rule approves one, and none is approved unseen.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_crypto::authorisation::{VerifiedRequest, verify_request};
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{
    Answered, AnsweredList, AnsweredRef, AuthorisationAnswer, AuthorisationRecord, AuthorisationRequest,
    ConsentWithdrawal, ListAnswered, MAX_LISTED, Wanted, WantedKind,
};
use vettid_wire::event::{
    ConsentRequest, DocumentSign, EventRow, EventType, IdentityVerify, PaymentRequest, Row, TransactionRequest,
};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

mod admit;
mod answer;
mod arrive;
pub mod consent;
pub mod lock;
mod proof;
mod room;

pub use admit::{Unfit, admit};
pub use answer::{decide, resume};
pub use arrive::receive;
pub use lock::with_needs;

use room::keep;

const PREFIX: &str = "authorisation/";

/// Leaves with a refusal.
macro_rules! or_refuse {
    ($allowed:expr) => {
        match $allowed {
            Ok(value) => value,
            Err(code) => return Ok(Err(code)),
        }
    };
}
use or_refuse;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// The name of the connection when it was answered.
    display_name: String,
    request: AuthorisationRequest,
    answer: AuthorisationAnswer,
    withdrawal: Option<ConsentWithdrawal>,
}

/// The row on which a service asks for this.
#[must_use]
fn row_of(kind: WantedKind) -> &'static Row {
    match kind {
        WantedKind::Payment => &PaymentRequest::ROW,
        WantedKind::Transaction => &TransactionRequest::ROW,
        WantedKind::Consent => &ConsentRequest::ROW,
        WantedKind::Document => &DocumentSign::ROW,
        WantedKind::Proof => &IdentityVerify::ROW,
    }
}

/// Whether events of this type want the owner's word.
#[must_use]
pub fn is_one(event_type: &EventType) -> bool {
    let rows =
        [PaymentRequest::ROW, TransactionRequest::ROW, ConsentRequest::ROW, DocumentSign::ROW, IdentityVerify::ROW];
    rows.iter().any(|row| row.name == event_type.as_str())
}

/// Reads a request of this connection: it says the same as the vault about who asks, and the service signed it.
fn read(connection: &Connection, event_type: &EventType, body: &Value) -> Result<VerifiedRequest, RefusalCode> {
    let peer = connection.peer.as_ref().ok_or(RefusalCode::NotConnected)?;
    let request: AuthorisationRequest = vjson::from_value(body.clone()).map_err(|_| RefusalCode::InvalidRequest)?;
    let own = connection.service_id() == Some(&request.service_id) && request.connection_id == connection.connection_id;
    if !own || request.key_record.signing_key != peer.signing_key {
        return Err(RefusalCode::NotAllowed);
    }
    let verified = verify_request(request).map_err(|_| RefusalCode::InvalidRequest)?;
    let fits = row_of(verified.get().wanted.kind()).name == event_type.as_str();
    match (fits, verified.service() == peer.fingerprint) {
        (true, true) => Ok(verified),
        (false, _) => Err(RefusalCode::InvalidRequest),
        (_, false) => Err(RefusalCode::NotAllowed),
    }
}

fn key(connection: ConnectionId, request: RequestId) -> String {
    format!("{PREFIX}{connection}/{request}")
}

fn find(draft: &Draft<'_>, connection: ConnectionId, request: RequestId) -> Result<Option<Stored>, UnreadableState> {
    draft.get(&key(connection, request))
}

/// Whether it is a consent that was given, has not ended and was not taken back.
fn stands(stored: &Stored, now: Timestamp) -> bool {
    let Wanted::Consent(consent) = &stored.request.wanted else { return false };
    let given = stored.answer.decision == Decision::Approve && stored.withdrawal.is_none();
    given && consent.until.is_none_or(|until| now < until)
}

/// `authorisation.list`.
pub fn list(step: &Step<'_>, asked: &ListAnswered) -> Result<Result<AnsweredList, RefusalCode>, Failure> {
    let mut all: Vec<Stored> = step.draft.values(PREFIX)?;
    all.retain(|stored| asked.kind.is_none_or(|kind| stored.request.wanted.kind() == kind));
    all.sort_by_key(|stored| std::cmp::Reverse((stored.answer.answered_at, stored.request.request_id)));
    let limit = usize::try_from(asked.limit.min(MAX_LISTED)).unwrap_or(usize::MAX);
    let answered = all.iter().take(limit).map(|stored| view(step, stored)).collect::<Result<_, _>>()?;
    Ok(Ok(AnsweredList { answered }))
}

/// `authorisation.export`.
pub fn export(step: &Step<'_>, asked: &AnsweredRef) -> Result<Result<AuthorisationRecord, RefusalCode>, Failure> {
    let Some(Stored { request, answer, withdrawal, .. }) = find(&step.draft, asked.connection_id, asked.request_id)?
    else {
        return Ok(Err(RefusalCode::NotFound));
    };
    Ok(Ok(vettid_crypto::authorisation::assemble(request, answer, withdrawal)?))
}

fn view(step: &Step<'_>, stored: &Stored) -> Result<Answered, UnreadableState> {
    let (request, answer) = (&stored.request, &stored.answer);
    let active = connection::get(&step.draft, request.connection_id)?.is_some_and(|connection| connection.is_active());
    let until = if let Wanted::Consent(consent) = &request.wanted { consent.until } else { None };
    Ok(Answered {
        request_id: request.request_id,
        connection_id: request.connection_id,
        display_name: stored.display_name.clone(),
        kind: request.wanted.kind(),
        title: request.wanted.title().to_owned(),
        decision: answer.decision,
        method: answer.method,
        answered_at: answer.answered_at,
        until,
        withdrawn_at: stored.withdrawal.as_ref().map(|withdrawal| withdrawal.withdrawn_at),
        in_force: active && stands(stored, step.now),
    })
}
