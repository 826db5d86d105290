//! The JetStream API as far as it is used: one request, one typed answer, errors by their number.
//! Subjects come from `vettid_core::grants::broker`, so that what is asked is what is granted.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// Why a request to JetStream had no success.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request did not get through.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server refuses it.
    #[error("jetstream refuses: {description} ({number})")]
    Refused {
        /// The server's number for the reason.
        number: u64,
        /// The server's words.
        description: String,
    },
    /// The answer cannot be read.
    #[error("jetstream answers in a form that is not known")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The stream does not exist.
pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
/// The consumer does not exist.
pub(crate) const CONSUMER_NOT_FOUND: u64 = 10014;
/// The consumer could not be made.
pub(crate) const CONSUMER_NOT_MADE: u64 = 10012;
/// Another message has the subject's last place (compare and set failed).
pub(crate) const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The same, when the server found it out later.
pub(crate) const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
/// There is no such message.
pub(crate) const MESSAGE_NOT_FOUND: u64 = 10037;
/// The stream did not take the message: it is full, or full for this subject, or the account or the disk is.
pub(crate) const NO_ROOM: [u64; 3] = [STORE_FAILED, 10002, 10023];
const STORE_FAILED: u64 = 10077;

impl ApiError {
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Refused { number, .. } => Some(*number),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Outcome {
    error: Option<Problem>,
}

/// Reads an answer: the error in it, or the value.
pub(crate) fn answer<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    let malformed = |error: serde_json::Error| ApiError::Malformed(error.into());
    let outcome: Outcome = serde_json::from_slice(payload).map_err(malformed)?;
    match outcome.error {
        Some(Problem { err_code, description }) => Err(ApiError::Refused { number: err_code, description }),
        None => serde_json::from_slice(payload).map_err(malformed),
    }
}

/// Nothing of an answer is needed but that it is no error.
#[derive(Deserialize)]
pub(crate) struct Done {}

impl Connection {
    /// One request to the JetStream API.
    pub(crate) async fn api<T: DeserializeOwned>(&self, subject: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::Malformed(error.into()))?;
        match self.exchange(subject, HeaderMap::new(), body.into(), REQUEST_TIMEOUT).await {
            Ok(message) => answer(&message.payload),
            Err(error) => {
                // Callers see only that something failed; which request it was is worth knowing.
                tracing::warn!(%error, subject, "a request to jetstream failed");
                Err(error.into())
            }
        }
    }
}

/// What the server says when it has stored a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Stored {
    /// Place in the stream.
    #[serde(rename = "seq")]
    pub(crate) sequence: u64,
    /// The message was there already.
    #[serde(default)]
    pub(crate) duplicate: bool,
}

impl Connection {
    /// Publishes into a stream and waits until it is stored.
    pub(crate) async fn store(&self, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<Stored, ApiError> {
        let message = self.exchange(subject, headers, payload, REQUEST_TIMEOUT).await?;
        answer(&message.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_before_values() {
        let full = br#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"seq":0}"#;
        assert_eq!(answer::<Stored>(full).unwrap_err().number(), Some(STORE_FAILED));
        let stored = br#"{"stream":"INBOX","seq":7}"#;
        assert_eq!(answer::<Stored>(stored).unwrap(), Stored { sequence: 7, duplicate: false });
        let twice = br#"{"stream":"INBOX","seq":7,"duplicate":true}"#;
        assert!(answer::<Stored>(twice).unwrap().duplicate);
        for wrong in [&b""[..], b"{", b"[]", b"{}"] {
            assert!(matches!(answer::<Stored>(wrong), Err(ApiError::Malformed(_))));
        }
    }
}
