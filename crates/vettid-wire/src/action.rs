//! Holder-of-key tokens of the services' HTTP API (spec 2.16): how an enrolled app asks for one, what stands in it, and the
//! proof that goes with each request. Form only: nothing here signs or checks.

use crate::base64::{Base64, Base64Url};
use crate::digest::Digest;
use crate::id::{EventId, KeyId, MemberId, OperationId};
use crate::key::TypedKey;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/actions`: an enrolled app asks for a token that carries out one operation, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// The member.
    pub guid: MemberId,
    /// The app's identity key.
    pub app_key: TypedKey,
    /// What is to be done.
    pub action: String,
    /// The operation; the same over retries.
    pub op_id: OperationId,
    /// SHA-256 of the bytes of the body that will be sent.
    pub req_hash: Digest,
    /// When it was signed; taken within two minutes.
    pub issued_at: Timestamp,
    /// 16 to 64 random bytes; taken once.
    pub nonce: Base64Url,
    /// The signing key.
    pub key_id: KeyId,
    /// By the app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

/// The token, and what its proof needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionGranted {
    /// A JWT of at most 300 seconds, for the header `Authorization: DPoP …`.
    pub token: String,
    /// Path of the endpoint that takes it.
    pub endpoint: String,
    /// For the `nonce` of the proof.
    pub nonce: Base64Url,
    /// When the token dies.
    pub expires_at: Timestamp,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionClaims {
    /// Origin of the services that issued it.
    pub iss: String,
    /// Origin of the endpoint that takes it.
    pub aud: String,
    /// The member.
    pub sub: MemberId,
    /// Names the token; it is taken once.
    pub jti: EventId,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// Not taken before, in seconds since 1970.
    pub nbf: i64,
    /// Not taken from then on, in seconds since 1970.
    pub exp: i64,
    /// What may be done.
    pub action: String,
    /// Path of the endpoint.
    pub endpoint: String,
    /// The operation.
    pub op_id: OperationId,
    /// SHA-256 of the bytes of the one body that is taken.
    pub req_hash: Digest,
    /// Who may use it.
    pub cnf: Confirmation,
}

/// The key that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Thumbprint of the app's identity key as a JWK (RFC 7638).
    pub jkt: Base64Url,
}

/// The claims of a proof: the holder of a key makes this request, now (RFC 9449).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofClaims {
    /// Method of the request.
    pub htm: String,
    /// URL of the request, without query.
    pub htu: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// 16 to 64 random bytes; taken once.
    pub jti: Base64Url,
    /// SHA-256 of the token's text.
    pub ath: Base64Url,
    /// What services gave last.
    pub nonce: Base64Url,
}

/// The header of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofHeader {
    /// `dpop+jwt`.
    pub typ: String,
    /// `EdDSA`.
    pub alg: String,
    /// The public key that signs.
    pub jwk: Jwk,
}

/// A public Ed25519 key as a JWK (RFC 8037); no private part has a place here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The 32 bytes.
    pub x: Base64Url,
}
