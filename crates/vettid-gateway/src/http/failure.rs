//! The one form of every error: `{"error":{"code","message","call_id"}}`. The code is for programs and stable; the message
//! says what to do next, or what of the call is wrong. Never carries data of a member or an inner cause.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiFailure {
    /// The API key is missing, wrong or revoked.
    Unauthorized,
    /// The API key does not have the scope.
    Forbidden,
    /// No such address, connection or request.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// The body or the query is not what it should be.
    Invalid,
    /// The same, and what is wrong: the place in the call and what is expected there, never a value.
    Unsound(Box<str>),
    /// The body did not arrive in time.
    Timeout,
    /// The body is too large.
    TooLarge,
    /// The body is not declared as JSON.
    ContentType,
    /// The connection is not active.
    NotConnected,
    /// The browser is not known, and unknown ones are not let in without a link.
    BrowserNotKnown,
    /// The key made too many calls.
    RateLimited,
    /// The name of the call was given to another call.
    OtherCall,
    /// The same call runs already.
    InProgress,
    /// The call was made, and its secret was shown then.
    AlreadyShown,
    /// The call was made, and its answer may not be kept any longer.
    NotKept,
    /// Events are not sent there.
    BadAddress,
    /// The version of the contract is not above all before.
    NotNewer,
    /// Too much is open at once.
    TooMany,
    /// The gateway cannot do it now.
    Unavailable,
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: Inner,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetail)]
struct Inner {
    /// For programs; stable.
    #[schema(value_type = ErrorCode)]
    code: &'static str,
    /// For people: what to do next.
    message: Cow<'static, str>,
    /// Names the call in the log; also in the header `x-request-id` of every answer.
    call_id: String,
}

/// All codes.
struct ErrorCode;

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let codes = ApiFailure::ALL.iter().map(|failure| failure.parts().1);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)).into()
    }
}

impl ToSchema for ErrorCode {}

impl ApiFailure {
    /// A call that is not sound, in words that hold no value of it.
    pub(super) fn unsound(what: impl ToString) -> Self {
        Self::Unsound(what.to_string().into())
    }

    /// Every failure, in the order of the documents.
    pub(super) const ALL: &[Self] = &[
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::NotConnected,
        Self::BrowserNotKnown,
        Self::InProgress,
        Self::AlreadyShown,
        Self::NotKept,
        Self::NotNewer,
        Self::TooLarge,
        Self::ContentType,
        Self::BadAddress,
        Self::OtherCall,
        Self::RateLimited,
        Self::TooMany,
        Self::Unavailable,
    ];

    /// Status, code and message.
    pub(super) fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send a valid API key as `Authorization: Bearer …`; `vettid gateway api-key create` makes one",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "the API key does not have the scope of this call: use another one, or make one with the scope",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes another method")
            }
            Self::Invalid | Self::Unsound(_) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the call has a missing, unknown, malformed or too large value",
            ),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time: send it again"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 32 KiB"),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
                "send the body as `Content-Type: application/json`",
            ),
            Self::NotConnected => {
                (StatusCode::CONFLICT, "not_connected", "the connection is not active: invite the member again")
            }
            Self::BrowserNotKnown => (
                StatusCode::CONFLICT,
                "browser_not_known",
                "the browser is not known: show the link, which the member opens in the app",
            ),
            Self::RateLimited => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "the API key made too many calls: wait as long as `Retry-After` says",
            ),
            Self::OtherCall => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key was used for another call: take a fresh one for each call",
            ),
            Self::InProgress => (
                StatusCode::CONFLICT,
                "call_in_progress",
                "the call with this Idempotency-Key still runs: repeat it a little later",
            ),
            Self::AlreadyShown => (
                StatusCode::CONFLICT,
                "already_shown",
                "the call was made before and its secret is shown once: revoke or renew it if it got lost",
            ),
            Self::NotKept => (
                StatusCode::GONE,
                "not_kept",
                "the call was made before, and its answer may not be kept any longer: ask under another Idempotency-Key",
            ),
            Self::BadAddress => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_address",
                "events are sent over https to public addresses, and to this machine if the configuration allows it",
            ),
            Self::NotNewer => {
                (StatusCode::CONFLICT, "not_newer", "publish the contract under a contract_version above all before")
            }
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many", "too much is open at once: try again later"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the gateway cannot do it now: try again later")
            }
        }
    }

    /// The whole answer of a call of this name.
    pub(super) fn answer(self, call_id: String) -> Response {
        let (status, code, message) = self.parts();
        let message = match self {
            Self::Unsound(what) => Cow::Owned(what.into()),
            _ => Cow::Borrowed(message),
        };
        (status, Json(ErrorBody { error: Inner { code, message, call_id } })).into_response()
    }
}

/// The answer gets its body where the name of the call is known.
impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let mut response = self.parts().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The gateway cannot do it; why stands in the log.
pub(crate) fn unavailable(error: &dyn std::error::Error) -> ApiFailure {
    tracing::error!(%error, "a call failed");
    ApiFailure::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_is_not_sound_is_told_why_under_the_usual_code() {
        let response = ApiFailure::unsound("`claims` are named once each").answer("call".to_owned());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], "invalid_request");
        assert_eq!(body["error"]["message"], "`claims` are named once each");
    }
}
