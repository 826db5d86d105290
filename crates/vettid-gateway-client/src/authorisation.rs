//! What wants a member's word: payments, transactions, consent, signatures under documents, proofs; and the records of the answers.
//! Checks no record: whoever relies on one verifies it.

use crate::{ClientError, GatewayClient, Request, body_of, checked};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::Wanted;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::time::Timestamp;

/// Wants a member's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorisationRequest {
    /// For what. The nonce of a proof is 32 random bytes of the program.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// A shorter time for the answer than the kind has ([`Wanted::max_life_ms`]), in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u32>,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most, 10 000 if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// What was asked on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisations {
    /// Requests that are open or ended a short time ago, the oldest first.
    pub requests: Vec<Request>,
    /// Every record, the oldest first.
    pub records: Vec<Record>,
}

/// A record in a list. The whole is had by its request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The request.
    pub request_id: RequestId,
    /// `payment`, `transaction`, `consent`, `document` or `proof`.
    pub kind: String,
    /// Yes or no.
    pub decision: Decision,
    /// When the member decided.
    pub answered_at: Timestamp,
    /// The end of a consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// From when on a consent does not hold any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

impl GatewayClient {
    /// Wants a member's word. Scope `requests`, as for all calls about it.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member denies or the member's vault refuses is an answer.
    pub async fn request_authorisation(
        &self,
        id: ConnectionId,
        request: &AuthorisationRequest,
    ) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "authorisations"], request).await
    }

    /// What wanted the member's word on a connection, and the records of the answers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn authorisations(&self, id: ConnectionId) -> Result<Authorisations, ClientError> {
        self.get(&["v1", "connections", &id.to_string(), "authorisations"], &[]).await
    }

    /// The record of an answered request: exactly the bytes that can be checked offline
    /// (`vettid_wire::authorisation::AuthorisationRecord` in JSON).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn record(&self, id: RequestId) -> Result<Vec<u8>, ClientError> {
        let answer = self.send::<()>(Method::GET, &["v1", "records", &id.to_string()], &[], None).await?;
        body_of(checked(answer).await?).await
    }
}
