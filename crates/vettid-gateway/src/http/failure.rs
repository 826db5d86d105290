//! The one form of every error: `{"error":{"code","message"}}`. The code is for programs and stable; the message says what
//! to do next. Never carries data of a member or an inner cause.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a call has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiFailure {
    /// The API key is missing or wrong.
    Unauthorized,
    /// No such address, connection or request.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// The body or the query is not what it should be.
    Invalid,
    /// The body is too large.
    TooLarge,
    /// The connection is not active.
    NotConnected,
    /// Too much is open at once.
    TooMany,
    /// The gateway cannot do it now.
    Unavailable,
}

#[derive(Serialize)]
struct Body {
    error: Inner,
}

#[derive(Serialize)]
struct Inner {
    code: &'static str,
    message: &'static str,
}

impl ApiFailure {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send the key from the gateway's API key file as `Authorization: Bearer …`",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes another method")
            }
            Self::Invalid => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the call has a missing, unknown, malformed or too large value",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 32 KiB"),
            Self::NotConnected => {
                (StatusCode::CONFLICT, "not_connected", "the connection is not active: invite the member again")
            }
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many", "too much is open at once: try again later"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the gateway cannot do it now: try again later")
            }
        }
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        (status, Json(Body { error: Inner { code, message } })).into_response()
    }
}
