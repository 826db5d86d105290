//! Repeated calls: a POST with an `Idempotency-Key` has one effect and one answer. That it was begun is stored before
//! anything is done, and the answer is stored before it is given.

use super::failure::{ApiFailure, unavailable};
use super::requests;
use crate::api_key::Caller;
use crate::clock;
use crate::gateway::Gateway;
use crate::once::{self, Begun, Call, Effect};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::id::RequestId;

/// The header with the name of a call.
pub(super) const HEADER: &str = "idempotency-key";
/// Longest name in bytes.
pub(super) const MAX_NAME_BYTES: usize = 255;
/// Largest answer that is kept.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long the end of a request is waited for that was asked before a crash.
const WAIT: Duration = Duration::from_secs(10);

/// Runs a call with a name once.
pub(super) async fn once(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    match begin(&gateway, request).await {
        Ok(Named::Plain(request)) => next.run(request).await,
        Ok(Named::Now(call, request)) => run(&gateway, &call, next.run(request)).await,
        Ok(Named::Had(effect)) => again(&gateway, effect).await,
        Err(failure) => failure.into_response(),
    }
}

/// An answer with a secret, put beside it: nothing of it is stored, and a repeated call is answered `already_shown`.
#[derive(Clone, Copy)]
pub(super) struct SaidOnce;

enum Named {
    Plain(Request),
    Now(Arc<Call>, Request),
    Had(Effect),
}

async fn begin(gateway: &Gateway, request: Request) -> Result<Named, ApiFailure> {
    let mut names = request.headers().get_all(HEADER).iter();
    let (name, second) = (names.next().cloned(), names.next().is_some());
    let caller = request.extensions().get::<Caller>().cloned();
    let (Some(name), Some(caller), true) = (name, caller, request.method() == Method::POST) else {
        return Ok(Named::Plain(request));
    };
    let unsound = || ApiFailure::unsound("Idempotency-Key: one, of 1 to 255 visible characters");
    let name = name.to_str().map_err(|_| unsound())?.to_owned();
    if second || !(1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Err(unsound());
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, super::call::MAX_BODY_BYTES).await.map_err(|_| ApiFailure::TooLarge)?;
    let print = once::print_of(parts.method.as_str(), &parts.uri.to_string(), &body);
    let begun = gateway.calls().begin(clock::now(), &caller.key_id, &name, print);
    let call = match begun {
        Begun::Now(call) => call,
        Begun::Had(effect) => return Ok(Named::Had(effect)),
        Begun::Runs => return Err(ApiFailure::InProgress),
        Begun::OtherCall => return Err(ApiFailure::OtherCall),
        Begun::TooMany => return Err(ApiFailure::TooMany),
    };
    if let Err(error) = gateway.store_call(&call, Effect::None).await {
        gateway.calls().end(&call);
        return Err(unavailable(&error));
    }
    Ok(Named::Now(call, Request::from_parts(parts, Body::from(body))))
}

async fn run(gateway: &Gateway, call: &Arc<Call>, running: impl Future<Output = Response>) -> Response {
    let ending = gateway.calls().ending(call);
    let response = call.run(running).await;
    let (parts, body) = response.into_parts();
    let read = to_bytes(body, MAX_ANSWER_BYTES).await;
    let stored = match (&read, call.effect()) {
        // The answer of a request is had from the request, for as long as its value may be kept.
        (Ok(_), Effect::Answer(..) | Effect::Shown | Effect::Request(_)) => Ok(()),
        (Ok(_), _) if parts.extensions.get::<SaidOnce>().is_some() => gateway.store_call(call, Effect::Shown).await,
        // Whoever asks how far something is asks again under the same name.
        (Ok(_), _) if parts.status == StatusCode::ACCEPTED => gateway.forget_call(call).await,
        (Ok(body), _) if parts.status.is_success() => {
            let body = String::from_utf8_lossy(body).into_owned();
            gateway.store_call(call, Effect::Answer(parts.status.as_u16(), body)).await
        }
        (_, Effect::None) => gateway.forget_call(call).await,
        _ => Ok(()),
    };
    drop(ending);
    match (stored, read) {
        (Ok(()), Ok(body)) => Response::from_parts(parts, Body::from(body)),
        (Err(error), _) => unavailable(&error).into_response(),
        (_, Err(error)) => unavailable(&error).into_response(),
    }
}

/// The answer of a call that was made before.
async fn again(gateway: &Gateway, effect: Effect) -> Response {
    match effect {
        Effect::Answer(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = Bytes::from(body).into_response();
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Effect::Request(id) => asked(gateway, id).await,
        Effect::Shown => ApiFailure::AlreadyShown.into_response(),
        Effect::None => ApiFailure::Unavailable.into_response(),
    }
}

/// The request was asked: what came of it, as far as it may be kept.
async fn asked(gateway: &Gateway, id: RequestId) -> Response {
    match gateway.request(id, WAIT).await {
        Some(view) => requests::answer(view).into_response(),
        None => ApiFailure::NotKept.into_response(),
    }
}
