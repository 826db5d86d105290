//! Login with VettID: what the service asks and what the vault answers (spec 2.14).

use crate::base64::{Base64, Base64Url};
use crate::id::{ConnectionId, KeyId, RequestId, ServiceId};
use crate::key::TypedKey;
use crate::login::{LinkPart, LoginProof};
use crate::time::Timestamp;
use crate::webauthn::Assertion;
use serde::{Deserialize, Serialize};

/// A login request lives at most this long, in milliseconds.
pub const MAX_LIFE_MS: i64 = 120_000;

/// What the service says about the browser that waits; shown to the member, believed by nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// Browser and system.
    pub browser: String,
    /// Place, as the service guesses it.
    pub city: String,
    /// First part of the address.
    pub ip_prefix: String,
}

/// A service asks the member to log in. Signed by the service (ctx `vettid/service-request/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthChallenge {
    /// Stays the same over retries.
    pub request_id: RequestId,
    /// The asking service.
    pub service_id: ServiceId,
    /// The connection it asks on.
    pub connection_id: ConnectionId,
    /// The contract it asks under.
    pub contract_hash: Base64Url,
    /// Scheme and host of the site that logs in.
    pub origin: String,
    /// 32 random bytes.
    pub nonce: Base64Url,
    /// SHA-256 of the browser session that waits.
    pub session_hash: Base64Url,
    /// Shown to the member.
    pub display: Display,
    /// The link of the waiting page, if the member's app opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkPart>,
    /// The key that the waiting browser keeps for this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_key: Option<TypedKey>,
    /// By that key over [`browser_text`](crate::login::browser_text), or over what `browser_assertion` names; there if and only if
    /// the key is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_sig: Option<Base64>,
    /// What the signature of a WebAuthn key is over; there if and only if the key is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_assertion: Option<Assertion>,
    /// The number that the waiting page shows, 10 to 99, if the service lets an unknown browser in at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// At most 120 seconds later.
    pub expires_at: Timestamp,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// The member's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// The answer, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthAssertion {
    /// The request.
    pub request_id: RequestId,
    /// The service that asked.
    pub service_id: ServiceId,
    /// The site that logs in.
    pub origin: String,
    /// The nonce of the request.
    pub nonce: Base64Url,
    /// The browser session of the request.
    pub session_hash: Base64Url,
    /// Yes or no.
    pub decision: Decision,
    /// The connection.
    pub connection_id: ConnectionId,
    /// When the member decided.
    pub auth_time: Timestamp,
    /// How the member was recognised (RFC 8176 values).
    pub method: Vec<String>,
    /// When the answer was made.
    pub issued_at: Timestamp,
    /// Not to be taken later.
    pub expires_at: Timestamp,
}

/// The signed answer (ctx `vettid/auth-response/1`), by the connection's pairwise key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthResponse {
    /// The request.
    pub request_id: RequestId,
    /// The service that asked.
    pub service_id: ServiceId,
    /// The site that logs in.
    pub origin: String,
    /// The nonce of the request.
    pub nonce: Base64Url,
    /// The browser session of the request.
    pub session_hash: Base64Url,
    /// Yes or no.
    pub decision: Decision,
    /// The connection.
    pub connection_id: ConnectionId,
    /// When the member decided.
    pub auth_time: Timestamp,
    /// How the member was recognised (RFC 8176 values).
    pub method: Vec<String>,
    /// What ties the answer to the waiting browser; put in by the vault itself. A yes without it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<LoginProof>,
    /// When the answer was made.
    pub issued_at: Timestamp,
    /// Not to be taken later.
    pub expires_at: Timestamp,
    /// The pairwise key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}
