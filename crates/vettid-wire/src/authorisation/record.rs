//! The signed answer to a request and the record made of both. Everything that is needed to check it stands in it, so that it
//! needs nobody's help later. Holds no check of a signature.

use super::{AuthorisationRequest, ProvenClaim};
use crate::agreement::AnswerMethod;
use crate::auth::Decision;
use crate::base64::Base64;
use crate::digest::Digest;
use crate::id::{ConnectionId, Fingerprint, KeyId, RequestId, ServiceId};
use crate::key::TypedKey;
use crate::key_record::KeyRecord;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The `type` of a certificate.
pub const CERTIFICATE_KIND: &str = "vettid_pairwise_certificate";
/// The `type` of an answer.
pub const ANSWER_KIND: &str = "vettid_authorisation_answer";
/// The `type` of a withdrawal.
pub const WITHDRAWAL_KIND: &str = "vettid_consent_withdrawal";
/// The `type` of a record.
pub const RECORD_KIND: &str = "vettid_authorisation_record";
/// The only version.
pub const VERSION: u64 = 1;

/// The member's vault says which key is its own on one connection with a service (ctx `vettid/pairwise/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairwiseCertificate {
    /// Always [`CERTIFICATE_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The connection.
    pub connection_id: ConnectionId,
    /// The service at its other end.
    pub service_id: ServiceId,
    /// That service's identity.
    pub service_fp: Fingerprint,
    /// The key.
    pub pairwise_key: TypedKey,
    /// When this was said.
    pub certified_at: Timestamp,
    /// The vault's keys.
    pub key_record: KeyRecord,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// The member's answer (ctx `vettid/tx-response/1`), by the connection's pairwise key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorisationAnswer {
    /// Always [`ANSWER_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The request.
    pub request_id: RequestId,
    /// Hash of the signed request.
    pub request_hash: Digest,
    /// Name and version of the template of the text.
    pub template: String,
    /// Hash of the lines that the owner was shown.
    pub displayed_hash: Digest,
    /// Yes or no.
    pub decision: Decision,
    /// Who decided.
    pub method: AnswerMethod,
    /// When, by the vault's clock.
    pub answered_at: Timestamp,
    /// What the vault says about its member: all that was asked for, after a yes to a proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ProvenClaim>,
    /// Whose key it is.
    pub certificate: PairwiseCertificate,
    /// The pairwise key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// The member takes a consent back (ctx `vettid/consent-withdrawal/1`), by the connection's pairwise key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentWithdrawal {
    /// Always [`WITHDRAWAL_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The request that was consented to.
    pub request_id: RequestId,
    /// Its hash.
    pub request_hash: Digest,
    /// From when on it does not hold any more.
    pub withdrawn_at: Timestamp,
    /// The pairwise key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What was asked and what was answered, in one object that anybody can check. Every byte of it is under the signature of the
/// answer, of the withdrawal, or of what they name by hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorisationRecord {
    /// Always [`RECORD_KIND`].
    #[serde(rename = "type")]
    pub kind_of_object: String,
    /// Form, [`VERSION`].
    pub version: u64,
    /// The request, signed by the service.
    pub request: AuthorisationRequest,
    /// The answer, signed by the member's key of this connection.
    pub answer: AuthorisationAnswer,
    /// That the consent was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<ConsentWithdrawal>,
}
