//! The signed parts of an agreement and the record made of them. Each part carries the key record of its signer, so that the
//! public keys for checking it stand in it. Holds no check of a signature.

use super::{AgreementKind, AgreementOutcome, Terms};
use crate::auth::Decision;
use crate::base64::Base64;
use crate::digest::Digest;
use crate::id::{AgreementId, Fingerprint, KeyId};
use crate::key_record::KeyRecord;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The `type` of signed terms.
pub const TERMS_KIND: &str = "vettid_agreement_terms";
/// The `type` of a signed answer.
pub const ANSWER_KIND: &str = "vettid_agreement_answer";
/// The `type` of a signed outcome.
pub const OUTCOME_KIND: &str = "vettid_agreement_outcome";
/// The `type` of a record.
pub const RECORD_KIND: &str = "vettid_agreement_record";
/// The only version.
pub const VERSION: u64 = 1;

/// Terms with what is displayed of them, approved by whoever made them (ctx `vettid/agreement-terms/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTerms {
    /// Always [`TERMS_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// Request or transaction.
    pub kind: AgreementKind,
    /// Counts the terms of one agreement, from 1.
    pub round: u32,
    /// Hash of the terms that these replace; absent in the first round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// Identity of who proposed first.
    pub proposer: Fingerprint,
    /// Identity of who was asked.
    pub asked: Fingerprint,
    /// The terms.
    pub terms: Terms,
    /// Name and version of the template of the text.
    pub template: String,
    /// Exactly the lines that both owners are shown.
    pub displayed: Vec<String>,
    /// When they were made.
    pub made_at: Timestamp,
    /// From then on nobody can approve them.
    pub expires_at: Timestamp,
    /// The maker's keys.
    pub key_record: KeyRecord,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMethod {
    /// The owner decided.
    Owner,
    /// The owner decided and gave the password for it.
    Password,
    /// A rule of the owner's decided.
    Rule,
}

/// Yes or no of the other side to terms (ctx `vettid/agreement-answer/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAnswer {
    /// Always [`ANSWER_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The round of the terms.
    pub round: u32,
    /// Hash of the signed terms.
    pub terms_hash: Digest,
    /// Name and version of the template of the text.
    pub template: String,
    /// Hash of the lines that the owner was shown.
    pub displayed_hash: Digest,
    /// Yes or no.
    pub decision: Decision,
    /// Who decided.
    pub method: AnswerMethod,
    /// When.
    pub answered_at: Timestamp,
    /// The keys of who answers.
    pub key_record: KeyRecord,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// The maker of the terms says how they ended (ctx `vettid/agreement-outcome/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOutcome {
    /// Always [`OUTCOME_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The round of the terms.
    pub round: u32,
    /// Hash of the signed terms.
    pub terms_hash: Digest,
    /// Hash of the signed answer that decided it; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_hash: Option<Digest>,
    /// How they ended.
    pub outcome: AgreementOutcome,
    /// When, by the clock of their maker.
    pub ended_at: Timestamp,
    /// The maker's keys.
    pub key_record: KeyRecord,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What was shown and what was agreed on or denied, in one object that anybody can check. Every byte of it is under the
/// signature of the outcome or of what it names by hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementRecord {
    /// Always [`RECORD_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The terms, signed by their maker.
    pub terms: SignedTerms,
    /// The answer, signed by the other side.
    pub answer: SignedAnswer,
    /// The outcome, signed by the maker of the terms.
    pub outcome: SignedOutcome,
}
