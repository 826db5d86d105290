//! Logins for programs of the service that show the waiting page themselves. The verifier goes through the program into a
//! cookie of the waiting browser and comes back from there, never from anywhere else.

use super::api::{body_of, id_of, refused, unavailable, wait};
use super::failure::ApiFailure;
use crate::gateway::{Gateway, LoginFailed};
use crate::login::{LoginError, LoginProgress, Verifier, WaitingPage};
use crate::question::BrowserProof;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use vettid_wire::auth::Display;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{ConnectionId, LoginId, RequestId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::LoginLevel;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginCall {
    origin: String,
    return_path: String,
    display: Display,
}

#[derive(Serialize)]
pub(super) struct BegunView {
    login_id: LoginId,
    verifier: String,
    link: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
    to_sign: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowserCall {
    verifier: String,
    browser_key: TypedKey,
    signature: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushCall {
    verifier: String,
    #[serde(default)]
    connection_id: Option<ConnectionId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FinishCall {
    verifier: String,
    #[serde(default)]
    code: Option<Base64Url>,
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// How far a login is, for the program that shows the page.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
enum ProgressView {
    Waiting,
    Asked,
    AwaitsCode,
    LoggedIn {
        connection_id: ConnectionId,
        request_id: RequestId,
        auth_time: Timestamp,
        method: Vec<String>,
        level: LoginLevel,
    },
    Denied,
    Refused {
        code: RefusalCode,
    },
    Expired,
    Over,
}

/// `POST /v1/logins`: a page begins to wait.
pub(super) async fn begin(
    State(gateway): State<Gateway>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<BegunView>), ApiFailure> {
    let call: BeginCall = body_of(body)?;
    let page = WaitingPage { origin: call.origin, return_path: call.return_path, display: call.display };
    let begun = gateway.begin_login(page).map_err(|error| failed(error.into()))?;
    let view = BegunView {
        login_id: begun.login_id,
        verifier: begun.verifier.expose(),
        link: begun.link,
        number: begun.number,
        to_sign: begun.to_sign,
        expires_at: begun.expires_at,
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// `POST /v1/logins/{id}/browser`: the waiting browser shows its key.
pub(super) async fn browser(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiFailure> {
    let call: BrowserCall = body_of(body)?;
    let proof = BrowserProof { key: call.browser_key, signature: call.signature.as_bytes().to_vec() };
    let verifier = verifier(&call.verifier)?;
    gateway.prove_browser(id_of(&id)?, &verifier, proof).map_err(|error| failed(error.into()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/logins/{id}/push`: asks the member whom the browser's key or the connection names.
pub(super) async fn push(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiFailure> {
    let call: PushCall = body_of(body)?;
    let verifier = verifier(&call.verifier)?;
    gateway.push_login(id_of(&id)?, &verifier, call.connection_id).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/logins/{id}`: how far it is; takes the code that the browser brought.
pub(super) async fn progress(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiFailure> {
    let call: FinishCall = body_of(body)?;
    let (verifier, wait) = (verifier(&call.verifier)?, wait(call.wait_ms)?);
    let progress = gateway.login(id_of(&id)?, &verifier, call.code.as_ref(), wait).await.map_err(failed)?;
    let view = view(progress);
    let is_open = matches!(view, ProgressView::Waiting | ProgressView::Asked | ProgressView::AwaitsCode);
    let status = if is_open { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(view)).into_response())
}

fn view(progress: LoginProgress) -> ProgressView {
    match progress {
        LoginProgress::Waiting => ProgressView::Waiting,
        LoginProgress::Asked => ProgressView::Asked,
        LoginProgress::AwaitsCode => ProgressView::AwaitsCode,
        LoginProgress::LoggedIn(done) => ProgressView::LoggedIn {
            connection_id: done.connection_id,
            request_id: done.request_id,
            auth_time: done.auth_time,
            method: done.method,
            level: done.level,
        },
        LoginProgress::Denied => ProgressView::Denied,
        LoginProgress::Refused(code) => ProgressView::Refused { code },
        LoginProgress::Expired => ProgressView::Expired,
        LoginProgress::Over => ProgressView::Over,
    }
}

fn verifier(text: &str) -> Result<Verifier, ApiFailure> {
    Verifier::read(text).ok_or(ApiFailure::Invalid)
}

fn failed(error: LoginFailed) -> ApiFailure {
    match error {
        LoginFailed::Login(LoginError::Unknown) => ApiFailure::NotFound,
        LoginFailed::Login(LoginError::TooMany) => ApiFailure::TooMany,
        LoginFailed::Login(LoginError::NotKnown) => ApiFailure::NotConnected,
        LoginFailed::Login(LoginError::Page | LoginError::Browser | LoginError::Asked) => ApiFailure::Invalid,
        LoginFailed::Request(error) => refused(error),
        LoginFailed::State(_) | LoginFailed::Channel(_) => unavailable(&error),
    }
}
