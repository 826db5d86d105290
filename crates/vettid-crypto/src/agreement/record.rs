//! The record of an agreement as a file: exactly the canonical bytes of one object, so that there is one file for one record
//! and no byte of it can be changed.

use vettid_wire::agreement::{
    AgreementOutcome, AgreementRecord, AgreementSide, RECORD_KIND, SignedAnswer, SignedOutcome, SignedTerms, VERSION,
};
use vettid_wire::digest::Digest;
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use super::{AgreementError, verify_parts};
use crate::key_record::MAX_SKEW_MS;

/// The parties that the reader of a record knows from elsewhere; each must be one of the two.
pub type TrustedParties<'p> = &'p [Fingerprint];

/// What a verified record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordReport {
    /// The record.
    pub record: AgreementRecord,
    /// Names the terms.
    pub terms_hash: Digest,
    /// The identity of who made the latest terms, and approved them by that.
    pub maker: Fingerprint,
    /// The identity of who answered them.
    pub answerer: Fingerprint,
    /// How many parties were compared with what the reader knows.
    pub compared: usize,
}

/// Why a record does not verify.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the expected shape.
    #[error("not the record of an agreement")]
    Shape(#[source] JsonError),
    /// Another type or version, or not written in its one form.
    #[error("not the record of an agreement in the form of version {VERSION}")]
    Form,
    /// A part of it does not hold.
    #[error(transparent)]
    Part(#[from] AgreementError),
    /// It is from the future.
    #[error("the record is from the future")]
    Future,
    /// A party that the reader named is none of its two.
    #[error("the record is between other parties")]
    OtherParty,
}

/// Makes the record of terms that were approved or denied.
///
/// # Errors
/// [`AgreementError`], if it would not verify.
pub fn assemble(
    terms: SignedTerms,
    answer: SignedAnswer,
    outcome: SignedOutcome,
) -> Result<AgreementRecord, AgreementError> {
    let record = AgreementRecord { kind_of_object: RECORD_KIND.to_owned(), version: VERSION, terms, answer, outcome };
    verify_parts(&record).map(|_| record)
}

/// Checks a record with nothing but its bytes. That the two identities are those of certain people is only proved against
/// fingerprints that the reader brings along.
///
/// # Errors
/// [`RecordError`].
pub fn verify_record(bytes: &[u8], now: Timestamp, trusted: TrustedParties<'_>) -> Result<RecordReport, RecordError> {
    let record: AgreementRecord = json::read(bytes).map_err(RecordError::Shape)?;
    let canonical = json::canonical(&record).map_err(RecordError::Shape)?;
    if record.kind_of_object != RECORD_KIND || record.version != VERSION || canonical != bytes {
        return Err(RecordError::Form);
    }
    let terms = verify_parts(&record)?;
    if record.outcome.ended_at > now.plus_ms(MAX_SKEW_MS) {
        return Err(RecordError::Future);
    }
    let (maker, answerer) = (terms.maker(), terms.answerer());
    if trusted.iter().any(|party| *party != maker && *party != answerer) {
        return Err(RecordError::OtherParty);
    }
    Ok(RecordReport { terms_hash: terms.hash(), record, maker, answerer, compared: trusted.len() })
}

impl RecordReport {
    /// Whether both sides approved.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.record.outcome.outcome == AgreementOutcome::Approved
    }

    /// Which side made the latest terms.
    #[must_use]
    pub fn maker_side(&self) -> AgreementSide {
        AgreementSide::maker(self.record.terms.round)
    }
}
