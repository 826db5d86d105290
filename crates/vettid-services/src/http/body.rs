//! Bodies of requests: VJSON, the same profile and the same parser as everywhere else on the wire.

use super::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use serde::de::DeserializeOwned;
use vettid_wire::json;

/// A body that was read as `T`.
#[derive(Debug)]
pub(crate) struct Vjson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Vjson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        json::read(&bytes).map(Self).map_err(|_| ApiError::InvalidRequest)
    }
}

/// The bytes of a JSON body as they came: a token names their hash. Not parsed yet.
#[derive(Debug)]
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        if kind.is_none_or(|kind| !kind.starts_with(b"application/json")) {
            return Err(ApiError::InvalidRequest);
        }
        Bytes::from_request(request, state).await.map(Self).map_err(unread)
    }
}

fn unread(rejection: BytesRejection) -> ApiError {
    match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
        _ => ApiError::InvalidRequest,
    }
}
