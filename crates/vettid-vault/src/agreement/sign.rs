//! The parts that this vault signs. Each is checked like one of somebody else's before it is kept.

use super::Stored;
use crate::failure::Failure;
use crate::identity::VaultIdentity;
use crate::step::Step;
use vettid_core::agreement::Agreement;
use vettid_crypto::agreement::{VerifiedTerms, answer_hash, displayed_hash, sign_answer, sign_outcome, sign_terms};
use vettid_wire::agreement::{
    ANSWER_KIND, AgreementKind, AgreementOutcome, AnswerMethod, OUTCOME_KIND, SignedAnswer, SignedOutcome, SignedTerms,
    TERMS_KIND, Terms, VERSION,
};
use vettid_wire::auth::Decision;
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::id::{AgreementId, Fingerprint, KeyId};
use vettid_wire::key_record::KeyRecord;
use vettid_wire::time::Timestamp;

/// New terms of this side.
pub(super) struct NewTerms {
    pub(super) agreement_id: AgreementId,
    pub(super) kind: AgreementKind,
    pub(super) round: u32,
    pub(super) replaces: Option<Digest>,
    pub(super) proposer: Fingerprint,
    pub(super) asked: Fingerprint,
    pub(super) terms: Terms,
    pub(super) expires_at: Timestamp,
}

/// The signer of a part: its key record, and what the signature puts in.
fn signer(identity: &VaultIdentity) -> (KeyRecord, KeyId, Base64) {
    (identity.key_record.record().clone(), identity.signing_key().key_id(), Base64::default())
}

pub(super) fn terms(step: &Step<'_>, new: NewTerms) -> Result<VerifiedTerms, Failure> {
    let (key_record, key_id, signature) = signer(step.identity);
    let terms = SignedTerms {
        kind_of_object: TERMS_KIND.to_owned(),
        version: VERSION,
        agreement_id: new.agreement_id,
        kind: new.kind,
        round: new.round,
        replaces: new.replaces,
        proposer: new.proposer,
        asked: new.asked,
        template: new.terms.template(),
        displayed: new.terms.display(new.kind, new.expires_at),
        terms: new.terms,
        made_at: step.now,
        expires_at: new.expires_at,
        key_record,
        key_id,
        signature,
    };
    Ok(sign_terms(step.identity.signing_key(), terms)?)
}

pub(super) fn answer(
    step: &Step<'_>,
    stored: &Stored,
    decision: Decision,
    method: AnswerMethod,
) -> Result<SignedAnswer, Failure> {
    let terms = stored.verified()?;
    let (key_record, key_id, signature) = signer(step.identity);
    let answer = SignedAnswer {
        kind_of_object: ANSWER_KIND.to_owned(),
        version: VERSION,
        agreement_id: stored.agreement_id,
        round: terms.get().round,
        terms_hash: terms.hash(),
        template: terms.get().template.clone(),
        displayed_hash: displayed_hash(&terms.get().displayed)?,
        decision,
        method,
        answered_at: step.now,
        key_record,
        key_id,
        signature,
    };
    Ok(sign_answer(step.identity.signing_key(), &terms, answer)?)
}

/// How the latest terms, which are this side's, ended. What was once said is said again as it was.
pub(super) fn outcome(
    step: &Step<'_>,
    stored: &mut Stored,
    machine: Agreement,
    outcome: AgreementOutcome,
) -> Result<SignedOutcome, Failure> {
    if let Some(said) = stored.own_outcome.as_ref().filter(|said| said.round == machine.terms().round) {
        return Ok(said.clone());
    }
    let terms = stored.verified()?;
    let decided = matches!(outcome, AgreementOutcome::Approved | AgreementOutcome::Denied);
    let answer = stored.answer.as_ref().filter(|_| decided);
    let (key_record, key_id, signature) = signer(step.identity);
    let said = SignedOutcome {
        kind_of_object: OUTCOME_KIND.to_owned(),
        version: VERSION,
        agreement_id: stored.agreement_id,
        round: terms.get().round,
        terms_hash: terms.hash(),
        answer_hash: answer.map(answer_hash).transpose()?,
        outcome,
        ended_at: step.now.max(terms.get().made_at),
        key_record,
        key_id,
        signature,
    };
    let said = sign_outcome(step.identity.signing_key(), &terms, answer, said)?;
    stored.own_outcome = Some(said.clone());
    Ok(said)
}
