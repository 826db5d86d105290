//! The record of an answered request as a file: exactly the canonical bytes of one object, so that there is one file for one
//! record and no byte of it can be changed.

use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{
    AuthorisationAnswer, AuthorisationRecord, AuthorisationRequest, ConsentWithdrawal, RECORD_KIND, VERSION,
};
use vettid_wire::digest::Digest;
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use super::{AuthorisationError, verify_parts};
use crate::key_record::MAX_SKEW_MS;

/// What a verified record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorisationReport {
    /// The record.
    pub record: AuthorisationRecord,
    /// Names the request.
    pub request_hash: Digest,
    /// The identity of the service that asked.
    pub service: Fingerprint,
    /// The identity of the member who answered.
    pub member: Fingerprint,
    /// How many parties were compared with what the reader knows.
    pub compared: usize,
}

/// Why a record does not verify.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the expected shape.
    #[error("not the record of an answered request")]
    Shape(#[source] JsonError),
    /// Another type or version, or not written in its one form.
    #[error("not the record of an answered request in the form of version {VERSION}")]
    Form,
    /// A part of it does not hold.
    #[error(transparent)]
    Part(#[from] AuthorisationError),
    /// It is from the future.
    #[error("the record is from the future")]
    Future,
    /// A party that the reader named is none of its two.
    #[error("the record is between other parties")]
    OtherParty,
}

/// Makes the record of a request that was answered.
///
/// # Errors
/// [`AuthorisationError`], if it would not verify.
pub fn assemble(
    request: AuthorisationRequest,
    answer: AuthorisationAnswer,
    withdrawal: Option<ConsentWithdrawal>,
) -> Result<AuthorisationRecord, AuthorisationError> {
    let record =
        AuthorisationRecord { kind_of_object: RECORD_KIND.to_owned(), version: VERSION, request, answer, withdrawal };
    verify_parts(&record).map(|_| record)
}

/// Checks a record with nothing but its bytes. That the two identities are those of a certain service and a certain member is
/// only proved against fingerprints that the reader brings along.
///
/// # Errors
/// [`RecordError`].
pub fn verify_record(
    bytes: &[u8],
    now: Timestamp,
    trusted: &[Fingerprint],
) -> Result<AuthorisationReport, RecordError> {
    let record: AuthorisationRecord = json::read(bytes).map_err(RecordError::Shape)?;
    let canonical = json::canonical(&record).map_err(RecordError::Shape)?;
    if record.kind_of_object != RECORD_KIND || record.version != VERSION || canonical != bytes {
        return Err(RecordError::Form);
    }
    let (request, answerer) = verify_parts(&record)?;
    let latest = record.withdrawal.as_ref().map_or(record.answer.answered_at, |withdrawal| withdrawal.withdrawn_at);
    if latest > now.plus_ms(MAX_SKEW_MS) {
        return Err(RecordError::Future);
    }
    let (service, member) = (request.service(), answerer.member);
    if trusted.iter().any(|party| *party != service && *party != member) {
        return Err(RecordError::OtherParty);
    }
    Ok(AuthorisationReport { request_hash: request.hash(), record, service, member, compared: trusted.len() })
}

impl AuthorisationReport {
    /// Whether the member said yes. A consent may have been taken back since.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.record.answer.decision == Decision::Approve
    }
}
