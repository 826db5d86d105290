//! What every call has: a name in the log, a bounded body that must arrive in time, and an end even if the caller goes
//! away in the middle.

use super::failure::ApiFailure;
use crate::tasks::Tasks;
use crate::{clock, random};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::time::Duration;
use vettid_wire::id::EventId;

/// Largest body of a call in bytes.
pub(super) const MAX_BODY_BYTES: usize = 32 * 1024;
/// A body arrives within this time.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Names the call in its answer.
pub(super) const CALL_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the call, and gives errors their body.
pub(super) async fn name(request: Request, next: Next) -> Response {
    let call_id = EventId::v7(clock::now(), random::bytes()).to_string();
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<ApiFailure>() {
        tracing::debug!(%call_id, code = failure.parts().1, "a call was refused");
        let kept = std::mem::take(response.headers_mut());
        response = failure.answer(call_id.clone());
        for (header, value) in kept {
            if let Some(header) = header
                && !response.headers().contains_key(&header)
            {
                response.headers_mut().insert(header, value);
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&call_id) {
        response.headers_mut().insert(CALL_ID, value);
    }
    response
}

/// Reads the whole body before anything is done with it.
pub(super) async fn take_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => ApiFailure::TooLarge.into_response(),
        Err(_) => ApiFailure::Timeout.into_response(),
    }
}

/// Runs the call as a task of the gateway: what was begun is finished although nobody waits for it any more.
pub(super) async fn finish(State(tasks): State<Tasks>, request: Request, next: Next) -> Response {
    match tasks.spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => super::failure::unavailable(&error).into_response(),
    }
}
