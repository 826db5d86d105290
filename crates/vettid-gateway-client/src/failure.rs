//! Why a call has no answer. Never carries the key.

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the gateway cannot be used.
    #[error("the address of the gateway is not one of http or https")]
    Address,
    /// The gateway cannot be reached, or the call was cut off: it may have had an effect.
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The gateway refused.
    #[error("{message} ({code})")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// For programs; stable.
        code: String,
        /// For people: what to do next.
        message: String,
        /// Names the call in the gateway's log.
        call_id: String,
        /// The call may be made again after this time, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// Something else answered.
    #[error("the answer cannot be read: is this the address of a gateway?")]
    Unreadable(#[source] serde_json::Error),
    /// The answer is larger than any of a gateway.
    #[error("the answer is too long")]
    TooLong,
}

#[derive(Deserialize)]
struct Body {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    code: String,
    message: String,
    call_id: String,
}

/// What an answer that is no success says.
pub(crate) async fn of(answer: Response) -> ClientError {
    let status = answer.status();
    let retry_after_seconds =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let body = match super::body_of(answer).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    match serde_json::from_slice::<Body>(&body) {
        Ok(Body { error: Inner { code, message, call_id } }) => {
            ClientError::Refused { status, code, message, call_id, retry_after_seconds }
        }
        Err(error) => ClientError::Unreadable(error),
    }
}
