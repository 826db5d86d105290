//! Signed terms, answers and outcomes of requests and transactions between members, and the record that they make up.
//!
//! Each part is checked with nothing but itself: its key record certifies the signing key by the identity key, as of the time
//! that the part names, so a key that is replaced later takes nothing from it. Never takes a text that is not what the terms
//! display.

use vettid_wire::agreement::{
    ANSWER_KIND, AgreementOutcome, AgreementRecord, AgreementSide, InvalidTerms, MAX_LIFE_MS, OUTCOME_KIND,
    SignedAnswer, SignedOutcome, SignedTerms, TERMS_KIND, VERSION,
};
use vettid_wire::auth::Decision;
use vettid_wire::digest::Digest;
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::time::Timestamp;

use crate::identity::SigningKey;
use crate::kdf::{self, Lp};
use crate::key_record::{self, KeyRecordError, MAX_SKEW_MS};
use crate::signature::{self, Context, SignatureError};

mod record;

pub use record::{RecordError, RecordReport, TrustedParties, assemble, verify_record};

/// Why a part of an agreement is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// Another type, version, round, or a part of another agreement.
    #[error("not a part of this agreement")]
    Form,
    /// Terms that are not sound.
    #[error("the terms are not sound: {0}")]
    Terms(#[from] InvalidTerms),
    /// The displayed text is not that of the terms.
    #[error("the displayed text is not that of the terms")]
    Displayed,
    /// The times contradict each other.
    #[error("the times contradict each other")]
    Time,
    /// The keys of the signer are not certified by its identity at that time.
    #[error("the keys of the signer are not certified")]
    Keys(#[from] KeyRecordError),
    /// Signed by somebody else than the party whose part it is.
    #[error("signed by another party")]
    Party,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature(#[from] SignatureError),
    /// A part that has no canonical form.
    #[error("a part has no canonical form")]
    Json(#[from] JsonError),
}

/// Terms whose form, text, certificate and signature were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTerms {
    terms: SignedTerms,
    hash: Digest,
}

impl VerifiedTerms {
    /// The terms.
    #[must_use]
    pub fn get(&self) -> &SignedTerms {
        &self.terms
    }

    /// What answers and outcomes name them by.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The identity of a side.
    #[must_use]
    pub fn identity(&self, side: AgreementSide) -> Fingerprint {
        match side {
            AgreementSide::Proposer => self.terms.proposer,
            AgreementSide::Asked => self.terms.asked,
        }
    }

    fn maker(&self) -> Fingerprint {
        self.identity(AgreementSide::maker(self.terms.round))
    }

    fn answerer(&self) -> Fingerprint {
        self.identity(AgreementSide::maker(self.terms.round.saturating_add(1)))
    }
}

/// Hash of signed terms: `H256("vettid-agreement-terms-v1" 0x00 ‖ LP(JCS(terms)))`.
///
/// # Errors
/// [`AgreementError::Json`].
pub fn terms_hash(terms: &SignedTerms) -> Result<Digest, AgreementError> {
    hash("vettid-agreement-terms-v1", &json::canonical(terms)?)
}

/// Hash of a signed answer: `H256("vettid-agreement-answer-v1" 0x00 ‖ LP(JCS(answer)))`.
///
/// # Errors
/// [`AgreementError::Json`].
pub fn answer_hash(answer: &SignedAnswer) -> Result<Digest, AgreementError> {
    hash("vettid-agreement-answer-v1", &json::canonical(answer)?)
}

/// Hash of displayed lines: `H256("vettid-agreement-displayed-v1" 0x00 ‖ LP(JCS(lines)))`.
///
/// # Errors
/// [`AgreementError::Json`].
pub fn displayed_hash(lines: &[String]) -> Result<Digest, AgreementError> {
    hash("vettid-agreement-displayed-v1", &json::canonical(&lines)?)
}

fn hash(label: &str, canonical: &[u8]) -> Result<Digest, AgreementError> {
    Ok(Digest::from_bytes(kdf::h256(&Lp::labelled(label).lp(canonical).finish())))
}

/// Signs terms; whatever stands for key id and signature is replaced.
///
/// # Errors
/// [`AgreementError`], if nobody would take them.
pub fn sign_terms(key: &SigningKey, mut terms: SignedTerms) -> Result<VerifiedTerms, AgreementError> {
    terms.key_id = key.key_id();
    terms.signature = signature::sign(Context::AgreementTerms, key, &terms)?;
    verify_terms(terms)
}

/// Signs an answer.
///
/// # Errors
/// [`AgreementError`], if nobody would take it.
pub fn sign_answer(
    key: &SigningKey,
    terms: &VerifiedTerms,
    mut answer: SignedAnswer,
) -> Result<SignedAnswer, AgreementError> {
    answer.key_id = key.key_id();
    answer.signature = signature::sign(Context::AgreementAnswer, key, &answer)?;
    verify_answer(terms, &answer).map(|()| answer)
}

/// Signs an outcome.
///
/// # Errors
/// [`AgreementError`], if nobody would take it.
pub fn sign_outcome(
    key: &SigningKey,
    terms: &VerifiedTerms,
    answer: Option<&SignedAnswer>,
    mut outcome: SignedOutcome,
) -> Result<SignedOutcome, AgreementError> {
    outcome.key_id = key.key_id();
    outcome.signature = signature::sign(Context::AgreementOutcome, key, &outcome)?;
    verify_outcome(terms, answer, &outcome).map(|()| outcome)
}

/// Checks terms by themselves: form, text, time, certificate and signature.
///
/// # Errors
/// [`AgreementError`].
pub fn verify_terms(terms: SignedTerms) -> Result<VerifiedTerms, AgreementError> {
    let first = terms.round == 1;
    let in_form = terms.kind_of_object == TERMS_KIND
        && terms.version == VERSION
        && terms.round > 0
        && first == terms.replaces.is_none()
        && terms.proposer != terms.asked
        && terms.template == terms.terms.template();
    if !in_form {
        return Err(AgreementError::Form);
    }
    terms.terms.check()?;
    if terms.displayed != terms.terms.display(terms.kind, terms.expires_at) {
        return Err(AgreementError::Displayed);
    }
    if terms.made_at >= terms.expires_at || terms.expires_at.since_ms(terms.made_at) > MAX_LIFE_MS {
        return Err(AgreementError::Time);
    }
    let verified = VerifiedTerms { hash: terms_hash(&terms)?, terms };
    let (terms, maker) = (&verified.terms, verified.maker());
    check_signer(Context::AgreementTerms, (&terms.key_record, terms.made_at), maker, terms)?;
    Ok(verified)
}

/// Checks an answer to these terms. Whether it came in time is for the maker of the terms to say.
///
/// # Errors
/// [`AgreementError`].
pub fn verify_answer(terms: &VerifiedTerms, answer: &SignedAnswer) -> Result<(), AgreementError> {
    let of = &terms.terms;
    let in_form = answer.kind_of_object == ANSWER_KIND
        && answer.version == VERSION
        && answer.agreement_id == of.agreement_id
        && answer.round == of.round
        && answer.terms_hash == terms.hash
        && answer.template == of.template;
    if !in_form {
        return Err(AgreementError::Form);
    }
    if answer.displayed_hash != displayed_hash(&of.displayed)? {
        return Err(AgreementError::Displayed);
    }
    let in_time = answer.answered_at >= of.made_at.plus_ms(-MAX_SKEW_MS)
        && answer.answered_at < of.expires_at.plus_ms(MAX_SKEW_MS);
    if !in_time {
        return Err(AgreementError::Time);
    }
    let signed_by = (&answer.key_record, answer.answered_at);
    check_signer(Context::AgreementAnswer, signed_by, terms.answerer(), answer)
}

/// Checks an outcome of these terms: an approval or a denial names the answer that says so.
///
/// # Errors
/// [`AgreementError`].
pub fn verify_outcome(
    terms: &VerifiedTerms,
    answer: Option<&SignedAnswer>,
    outcome: &SignedOutcome,
) -> Result<(), AgreementError> {
    let of = &terms.terms;
    let decision = match outcome.outcome {
        AgreementOutcome::Approved => Some(Decision::Approve),
        AgreementOutcome::Denied => Some(Decision::Deny),
        AgreementOutcome::Expired | AgreementOutcome::Withdrawn => None,
    };
    let decided_by = answer.filter(|_| decision.is_some());
    let in_form = outcome.kind_of_object == OUTCOME_KIND
        && outcome.version == VERSION
        && outcome.agreement_id == of.agreement_id
        && outcome.round == of.round
        && outcome.terms_hash == terms.hash
        && decided_by.map(|answer| answer.decision) == decision
        && outcome.answer_hash == decided_by.map(answer_hash).transpose()?;
    if !in_form {
        return Err(AgreementError::Form);
    }
    let before_the_end = decision.is_none() || outcome.ended_at < of.expires_at;
    let after_the_answer = decided_by.is_none_or(|answer| outcome.ended_at >= answer.answered_at.plus_ms(-MAX_SKEW_MS));
    if outcome.ended_at < of.made_at || !before_the_end || !after_the_answer {
        return Err(AgreementError::Time);
    }
    let signed_by = (&outcome.key_record, outcome.ended_at);
    check_signer(Context::AgreementOutcome, signed_by, terms.maker(), outcome)
}

/// The key record was in force when the part was made, is that of the party, and its signing key signed the part.
fn check_signer(
    context: Context,
    (record, at): (&KeyRecord, Timestamp),
    party: Fingerprint,
    part: &impl serde::Serialize,
) -> Result<(), AgreementError> {
    let keys = key_record::verify(record.clone(), at)?;
    if keys.fingerprint() != party || keys.record().role != KeyRole::Vault {
        return Err(AgreementError::Party);
    }
    Ok(signature::verify(context, keys.signing(), part)?)
}

/// The parts of a record, checked one after the other.
fn verify_parts(record: &AgreementRecord) -> Result<VerifiedTerms, AgreementError> {
    let terms = verify_terms(record.terms.clone())?;
    verify_answer(&terms, &record.answer)?;
    verify_outcome(&terms, Some(&record.answer), &record.outcome)?;
    if record.outcome.answer_hash.is_none() {
        return Err(AgreementError::Form);
    }
    Ok(terms)
}

#[cfg(test)]
mod tests;
