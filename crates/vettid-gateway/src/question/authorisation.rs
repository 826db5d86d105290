//! Questions that want the member's word: a payment, a transaction, consent, a signature, a proof. An answer counts when its
//! record would hold before anybody, and the key of the connection signed it.

use super::{Asker, Judgement, Kind, NotAnAnswer, Outcome, QuestionError};
use serde_json::Value;
use vettid_crypto::authorisation::{
    Answerer, AuthorisationError, assemble, sign_request, verify_answer, verify_request,
};
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::authorisation::{AuthorisationAnswer, AuthorisationRecord, AuthorisationRequest, Wanted, WantedKind};
use vettid_wire::base64::Base64;
use vettid_wire::event::{
    ConsentRequest, DocumentSign, EventRow as _, IdentityVerify, PaymentRequest, Row, TransactionRequest,
};
use vettid_wire::id::RequestId;
use vettid_wire::json::JsonError;
use vettid_wire::time::Timestamp;

/// An answer that was given in time may arrive so much later, in milliseconds (ten minutes): the vault's clock says what was in
/// time, and the gateway may have been away.
pub(super) const GRACE_MS: i64 = 10 * 60 * 1000;

/// What a program of the service wants the member's word for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorisation {
    /// What.
    pub wanted: Wanted,
    /// How long the member may take, in milliseconds; absent: as long as the standard allows.
    pub life_ms: Option<i64>,
}

/// The row on which a kind is asked.
pub(super) fn row(kind: WantedKind) -> Row {
    match kind {
        WantedKind::Payment => PaymentRequest::ROW,
        WantedKind::Transaction => TransactionRequest::ROW,
        WantedKind::Consent => ConsentRequest::ROW,
        WantedKind::Document => DocumentSign::ROW,
        WantedKind::Proof => IdentityVerify::ROW,
    }
}

/// What programs call it.
#[must_use]
pub fn name(kind: WantedKind) -> &'static str {
    match kind {
        WantedKind::Payment => "payment",
        WantedKind::Transaction => "transaction",
        WantedKind::Consent => "consent",
        WantedKind::Document => "document",
        WantedKind::Proof => "proof",
    }
}

pub(super) fn request(
    now: Timestamp,
    asker: Asker<'_>,
    request_id: RequestId,
    asked: Authorisation,
) -> Result<(Kind, Value), QuestionError> {
    let life_ms = asked.life_ms.unwrap_or_else(|| asked.wanted.max_life_ms());
    let request = AuthorisationRequest {
        request_id,
        service_id: asker.service_id.clone(),
        connection_id: asker.connection_id,
        contract_hash: Some(asker.contract_hash.clone()),
        wanted: asked.wanted,
        issued_at: now,
        expires_at: now.plus_ms(life_ms),
        key_record: asker.key_record.clone(),
        key_id: asker.signing.key_id(),
        signature: Base64::default(),
    };
    let request = sign_request(asker.signing, request).map_err(|error| match error {
        AuthorisationError::Request(invalid) => QuestionError::Unsound(invalid),
        other => QuestionError::Authorisation(other),
    })?;
    let body = serde_json::to_value(request.get()).map_err(JsonError::Shape)?;
    Ok((Kind::Authorisation(Box::new(request.get().clone())), body))
}

pub(super) fn judge(
    request: &AuthorisationRequest,
    answer: AuthorisationAnswer,
    expected: &Answerer,
) -> Result<Judgement, NotAnAnswer> {
    let verified = verify_request(request.clone()).map_err(|_| NotAnAnswer::Contradiction)?;
    let answerer = verify_answer(&verified, &answer).map_err(|error| match error {
        AuthorisationError::Time => NotAnAnswer::Time,
        AuthorisationError::Form | AuthorisationError::Displayed | AuthorisationError::Claims => {
            NotAnAnswer::Contradiction
        }
        _ => NotAnAnswer::Signature,
    })?;
    // The key of the connection, certified by the identity that the service knows: any other one could make up a member.
    if answerer != *expected {
        return Err(NotAnAnswer::Signature);
    }
    let record = assemble(request.clone(), answer, None).map_err(|_| NotAnAnswer::Contradiction)?;
    Ok(Judgement::Done(Outcome::answered(record)))
}

impl Outcome {
    /// What a record that was checked says.
    pub(crate) fn answered(record: AuthorisationRecord) -> Self {
        let AuthorisationAnswer { decision, answered_at, method, .. } = record.answer;
        Self::Answered { decision, auth_time: answered_at, method: words(method), record: Box::new(record) }
    }
}

/// How the member was recognised (RFC 8176 values).
fn words(method: AnswerMethod) -> Vec<String> {
    let words: &[&str] = match method {
        AnswerMethod::Owner => &["user"],
        AnswerMethod::Password => &["user", "pwd"],
        AnswerMethod::Rule => &["swk"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}
