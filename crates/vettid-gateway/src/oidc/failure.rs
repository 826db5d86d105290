//! What goes wrong towards a client: the codes of OAuth and OpenID Connect, each with one sentence that says what to do.
//! Never carries data of a member, nor what a client does not know already.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One failure: a code of a standard, and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub(super) struct Failure {
    /// The code (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750, OpenID Connect Core and CIBA).
    pub code: &'static str,
    /// What to do about it; ASCII without quotes, as the standards want it.
    pub description: &'static str,
}

/// The body of an error.
#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: &'static str,
}

impl Failure {
    /// A failure with this code.
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    /// The request is not what it should be.
    pub(super) const fn invalid(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    /// A code, token or request id that counts no more, or never did. One sentence for all, so that nothing is learnt.
    pub(super) const fn invalid_grant() -> Self {
        Self::new("invalid_grant", "unknown, used, expired, or made for another client, address or verifier")
    }

    /// The client did not prove who it is.
    pub(super) const fn invalid_client() -> Self {
        Self::new("invalid_client", "the client is not known or did not authenticate as it registered")
    }

    /// The gateway cannot do it now.
    pub(super) const fn unavailable() -> Self {
        Self::new("temporarily_unavailable", "the provider cannot do it now: try again later")
    }

    fn status(self) -> StatusCode {
        match self.code {
            "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// As the answer to a request with a bearer token (RFC 6750 section 3).
    pub(super) fn to_bearer(self) -> Response {
        let challenge = format!("Bearer error=\"{}\", error_description=\"{}\"", self.code, self.description);
        let mut response = self.into_response();
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Body { error: self.code, error_description: self.description };
        let mut response = (self.status(), [(CACHE_CONTROL, "no-store")], Json(body)).into_response();
        if self.code == "invalid_client" {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
        }
        response
    }
}
