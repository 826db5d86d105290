//! A service's signed request for its member's word, the signed answer, and the record that they make up (spec 2.14).
//!
//! Each part is checked with nothing but itself: the service's key record certifies the key of the request, the vault's key
//! record certifies the pairwise key of the answer, both as of the time that the part names. Never takes an answer for
//! another text than the one that the request displays.

use vettid_wire::agreement::AnswerMethod;
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{
    ANSWER_KIND, AuthorisationAnswer, AuthorisationRecord, AuthorisationRequest, CERTIFICATE_KIND, Claim,
    ConsentWithdrawal, InvalidRequest, PairwiseCertificate, ProvenClaim, VERSION, WITHDRAWAL_KIND, Wanted,
};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

use crate::identity::{IdentityError, SigningKey, VerifyingKey};
use crate::kdf::{self, Lp};
use crate::key_record::{self, KeyRecordError, MAX_SKEW_MS, VerifiedKeyRecord};
use crate::signature::{self, Context, SignatureError};

mod record;

pub use record::{AuthorisationReport, RecordError, assemble, verify_record};

/// Why a part is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AuthorisationError {
    /// Another type or version, or a part of another request.
    #[error("not a part of this request")]
    Form,
    /// A request that is not sound.
    #[error("the request is not sound: {0}")]
    Request(#[from] InvalidRequest),
    /// The answer is to another text.
    #[error("the answer is to another text")]
    Displayed,
    /// The claims are not those that were asked for.
    #[error("the claims are not those that were asked for")]
    Claims,
    /// The times contradict each other.
    #[error("the times contradict each other")]
    Time,
    /// The keys of the signer are not certified by its identity at that time.
    #[error("the keys of the signer are not certified")]
    Keys(#[from] KeyRecordError),
    /// Not a key.
    #[error("a key is not valid")]
    Key(#[from] IdentityError),
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

/// A request whose form, certificate and signature were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRequest {
    request: AuthorisationRequest,
    hash: Digest,
    displayed_hash: Digest,
    service: Fingerprint,
}

impl VerifiedRequest {
    /// The request.
    #[must_use]
    pub fn get(&self) -> &AuthorisationRequest {
        &self.request
    }

    /// What answers name it by.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The identity of the service.
    #[must_use]
    pub fn service(&self) -> Fingerprint {
        self.service
    }
}

/// Hash of a signed request: `H256("vettid-authorisation-request-v1" 0x00 ‖ LP(JCS(request)))`.
///
/// # Errors
/// [`AuthorisationError::Json`].
pub fn request_hash(request: &AuthorisationRequest) -> Result<Digest, AuthorisationError> {
    hash("vettid-authorisation-request-v1", &json::canonical(request)?)
}

/// Hash of displayed lines: `H256("vettid-authorisation-displayed-v1" 0x00 ‖ LP(JCS(lines)))`.
fn displayed_hash(lines: &[String]) -> Result<Digest, AuthorisationError> {
    hash("vettid-authorisation-displayed-v1", &json::canonical(&lines)?)
}

fn hash(label: &str, canonical: &[u8]) -> Result<Digest, AuthorisationError> {
    Ok(Digest::from_bytes(kdf::h256(&Lp::labelled(label).lp(canonical).finish())))
}

/// Signs a request by the service; whatever stands for key id and signature is replaced.
///
/// # Errors
/// [`AuthorisationError`], if no vault would take it.
pub fn sign_request(
    key: &SigningKey,
    mut request: AuthorisationRequest,
) -> Result<VerifiedRequest, AuthorisationError> {
    request.key_id = key.key_id();
    request.signature = signature::sign(Context::ServiceRequest, key, &request)?;
    verify_request(request)
}

/// Checks a request by itself: form, certificate and signature. Whether it is in time is for the vault to say.
///
/// # Errors
/// [`AuthorisationError`].
pub fn verify_request(request: AuthorisationRequest) -> Result<VerifiedRequest, AuthorisationError> {
    request.check()?;
    let keys = key_record::verify(request.key_record.clone(), request.issued_at)?;
    if keys.record().role != KeyRole::Service {
        return Err(AuthorisationError::Party);
    }
    signature::verify(Context::ServiceRequest, keys.signing(), &request)?;
    let (hash, displayed_hash) = (request_hash(&request)?, displayed_hash(&request.display())?);
    Ok(VerifiedRequest { request, hash, displayed_hash, service: keys.fingerprint() })
}

/// What the owner, or a rule, said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    /// Yes or no.
    pub decision: Decision,
    /// Who decided.
    pub method: AnswerMethod,
    /// When, by the vault's clock.
    pub answered_at: Timestamp,
    /// What the vault says about its member.
    pub claims: Vec<ProvenClaim>,
}

/// Certifies the pairwise key of a connection by the vault and signs the answer with it.
///
/// # Errors
/// [`AuthorisationError`], if no service would take it.
pub fn sign_answer(
    vault: (&SigningKey, &VerifiedKeyRecord),
    pairwise: &SigningKey,
    request: &VerifiedRequest,
    answering: Answering,
) -> Result<AuthorisationAnswer, AuthorisationError> {
    let Answering { decision, method, answered_at, claims } = answering;
    let mut answer = AuthorisationAnswer {
        kind_of_object: ANSWER_KIND.to_owned(),
        version: VERSION,
        request_id: request.request.request_id,
        request_hash: request.hash,
        template: request.request.wanted.template(),
        displayed_hash: request.displayed_hash,
        decision,
        method,
        answered_at,
        claims,
        certificate: certify(vault, pairwise, request, answered_at)?,
        key_id: pairwise.key_id(),
        signature: Base64::default(),
    };
    answer.signature = signature::sign(Context::TransactionResponse, pairwise, &answer)?;
    verify_answer(request, &answer).map(|_| answer)
}

fn certify(
    (key, record): (&SigningKey, &VerifiedKeyRecord),
    pairwise: &SigningKey,
    request: &VerifiedRequest,
    certified_at: Timestamp,
) -> Result<PairwiseCertificate, AuthorisationError> {
    let mut certificate = PairwiseCertificate {
        kind_of_object: CERTIFICATE_KIND.to_owned(),
        version: VERSION,
        connection_id: request.request.connection_id,
        service_id: request.request.service_id.clone(),
        service_fp: request.service,
        pairwise_key: pairwise.verifying_key().typed(),
        certified_at,
        key_record: record.record().clone(),
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    certificate.signature = signature::sign(Context::Pairwise, key, &certificate)?;
    Ok(certificate)
}

/// Who answered: the member's identity, and the key of this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answerer {
    /// The member's identity.
    pub member: Fingerprint,
    /// The key of the connection.
    pub pairwise: VerifyingKey,
}

/// Checks an answer to this request, with nothing but the two.
///
/// # Errors
/// [`AuthorisationError`].
pub fn verify_answer(request: &VerifiedRequest, answer: &AuthorisationAnswer) -> Result<Answerer, AuthorisationError> {
    let of = &request.request;
    let by_rule = answer.decision == Decision::Approve && answer.method == AnswerMethod::Rule;
    let in_form = answer.kind_of_object == ANSWER_KIND
        && answer.version == VERSION
        && answer.request_id == of.request_id
        && answer.request_hash == request.hash
        && answer.template == of.wanted.template()
        && !by_rule;
    if !in_form {
        return Err(AuthorisationError::Form);
    }
    if answer.displayed_hash != request.displayed_hash {
        return Err(AuthorisationError::Displayed);
    }
    if answer.answered_at < of.issued_at.plus_ms(-MAX_SKEW_MS) || answer.answered_at >= of.expires_at {
        return Err(AuthorisationError::Time);
    }
    check_claims(&of.wanted, answer)?;
    let answerer = verify_certificate(request, answer)?;
    signature::verify(Context::TransactionResponse, &answerer.pairwise, answer)?;
    Ok(answerer)
}

/// A yes to a proof says all that was asked for; nothing else says anything.
fn check_claims(wanted: &Wanted, answer: &AuthorisationAnswer) -> Result<(), AuthorisationError> {
    let asked = match wanted {
        Wanted::Proof(proof) if answer.decision == Decision::Approve => proof.claims.as_slice(),
        _ => &[],
    };
    let fits = |(proven, claim): (&ProvenClaim, &Claim)| {
        proven.claim == *claim && (proven.claim.years().is_none() || proven.value.is_boolean())
    };
    let all = answer.claims.len() == asked.len() && answer.claims.iter().zip(asked).all(fits);
    if all { Ok(()) } else { Err(AuthorisationError::Claims) }
}

fn verify_certificate(request: &VerifiedRequest, answer: &AuthorisationAnswer) -> Result<Answerer, AuthorisationError> {
    let (of, certificate) = (&request.request, &answer.certificate);
    let in_form = certificate.kind_of_object == CERTIFICATE_KIND
        && certificate.version == VERSION
        && certificate.connection_id == of.connection_id
        && certificate.service_id == of.service_id
        && certificate.service_fp == request.service;
    if !in_form {
        return Err(AuthorisationError::Form);
    }
    if certificate.certified_at > answer.answered_at {
        return Err(AuthorisationError::Time);
    }
    let keys = key_record::verify(certificate.key_record.clone(), certificate.certified_at)?;
    if keys.record().role != KeyRole::Vault || keys.fingerprint() == request.service {
        return Err(AuthorisationError::Party);
    }
    signature::verify(Context::Pairwise, keys.signing(), certificate)?;
    let pairwise = VerifyingKey::from_typed(&certificate.pairwise_key)?;
    Ok(Answerer { member: keys.fingerprint(), pairwise })
}

/// Takes a consent back.
///
/// # Errors
/// [`AuthorisationError`], if there is no such consent.
pub fn sign_withdrawal(
    pairwise: &SigningKey,
    request: &VerifiedRequest,
    answer: &AuthorisationAnswer,
    withdrawn_at: Timestamp,
) -> Result<ConsentWithdrawal, AuthorisationError> {
    let mut withdrawal = ConsentWithdrawal {
        kind_of_object: WITHDRAWAL_KIND.to_owned(),
        version: VERSION,
        request_id: request.request.request_id,
        request_hash: request.hash,
        withdrawn_at,
        key_id: pairwise.key_id(),
        signature: Base64::default(),
    };
    withdrawal.signature = signature::sign(Context::ConsentWithdrawal, pairwise, &withdrawal)?;
    verify_withdrawal(request, answer, &withdrawal).map(|()| withdrawal)
}

/// Checks that the consent of this answer was taken back by whoever gave it.
///
/// # Errors
/// [`AuthorisationError`].
pub fn verify_withdrawal(
    request: &VerifiedRequest,
    answer: &AuthorisationAnswer,
    withdrawal: &ConsentWithdrawal,
) -> Result<(), AuthorisationError> {
    let answerer = verify_answer(request, answer)?;
    let in_form = withdrawal.kind_of_object == WITHDRAWAL_KIND
        && withdrawal.version == VERSION
        && withdrawal.request_id == request.request.request_id
        && withdrawal.request_hash == request.hash
        && matches!(request.request.wanted, Wanted::Consent(_))
        && answer.decision == Decision::Approve;
    if !in_form {
        return Err(AuthorisationError::Form);
    }
    if withdrawal.withdrawn_at < answer.answered_at {
        return Err(AuthorisationError::Time);
    }
    Ok(signature::verify(Context::ConsentWithdrawal, &answerer.pairwise, withdrawal)?)
}

/// The parts of a record, checked one after the other.
fn verify_parts(record: &AuthorisationRecord) -> Result<(VerifiedRequest, Answerer), AuthorisationError> {
    let request = verify_request(record.request.clone())?;
    let answerer = verify_answer(&request, &record.answer)?;
    if let Some(withdrawal) = &record.withdrawal {
        verify_withdrawal(&request, &record.answer, withdrawal)?;
    }
    Ok((request, answerer))
}

#[cfg(test)]
mod tests;
