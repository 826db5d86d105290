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
use tracing::Instrument as _;
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
    let span = tracing::info_span!("call", %call_id);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(failure) = response.extensions_mut().remove::<ApiFailure>() {
        span.in_scope(|| tracing::debug!(code = failure.parts().1, "a call was refused"));
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
    match tasks.spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(error) => super::failure::unavailable(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::failure::unavailable;
    use axum::Router;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tower::ServiceExt as _;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_says_which_call_failed() {
        let log = Log::default();
        let written = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(move || log.clone());
        let _kept = tracing::subscriber::set_default(subscriber.finish());
        let broken =
            async || -> Result<(), ApiFailure> { Err(unavailable(&std::io::Error::other("the disk is full"))) };
        let calls = Router::new()
            .route("/", get(broken))
            .route_layer(from_fn_with_state(Tasks::new(tokio_util::sync::CancellationToken::new()), finish));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = calls.layer(from_fn(name)).oneshot(request).await.unwrap();
        let call_id = response.headers()[CALL_ID].to_str().unwrap().to_owned();
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let line = written.lines().find(|line| line.contains("the disk is full")).unwrap();
        assert!(line.contains(&call_id), "{line}");
    }
}
