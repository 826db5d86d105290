//! The calls. Each is one step: read, ask the gateway, answer. What a member's vault refused is a result, not an error.

use super::failure::ApiFailure;
use crate::gateway::{Gateway, InviteError, RequestError};
use crate::question::{Ask, LoginRequest};
use crate::view::{ConnectionView, Invitation, RequestView};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;
use vettid_wire::auth::Display;
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::RevocationReason;
use vettid_wire::id::{ConnectionId, RequestId};

/// A call waits at most this long for a member, in milliseconds.
const MAX_WAIT_MS: u64 = 60_000;
/// A call that does not say how long it waits, waits this long, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataCall {
    field: String,
    purpose: String,
    #[serde(default)]
    wait_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginCall {
    origin: String,
    session_hash: Base64Url,
    display: Display,
    #[serde(default)]
    wait_ms: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Connections {
    connections: Vec<ConnectionView>,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `POST /v1/invitations`.
pub(super) async fn invite(State(gateway): State<Gateway>) -> Result<(StatusCode, Json<Invitation>), ApiFailure> {
    let invitation = gateway.invite().await.map_err(|error| match error {
        InviteError::TooManyOpen => ApiFailure::TooMany,
        _ => unavailable(&error),
    })?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// `GET /v1/connections`.
pub(super) async fn connections(State(gateway): State<Gateway>) -> Json<Connections> {
    Json(Connections { connections: gateway.connections().await })
}

/// `GET /v1/connections/{id}`.
pub(super) async fn connection(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<ConnectionView>, ApiFailure> {
    let id: ConnectionId = id_of(&id)?;
    gateway.connection(id).await.map(Json).ok_or(ApiFailure::NotFound)
}

/// `DELETE /v1/connections/{id}`.
pub(super) async fn revoke(State(gateway): State<Gateway>, Path(id): Path<String>) -> Result<StatusCode, ApiFailure> {
    gateway.revoke(id_of(&id)?, RevocationReason::UserRequested).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/connections/{id}/data-requests`.
pub(super) async fn request_data(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiFailure> {
    let call: DataCall = body_of(body)?;
    let ask = Ask::Data { field: call.field, purpose: call.purpose };
    ask_member(&gateway, id_of(&id)?, ask, call.wait_ms).await
}

/// `POST /v1/connections/{id}/logins`.
pub(super) async fn request_login(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiFailure> {
    let call: LoginCall = body_of(body)?;
    let session_hash = call.session_hash.to_array().map_err(|_| ApiFailure::Invalid)?;
    let ask = Ask::Login(LoginRequest { origin: call.origin, session_hash, display: call.display });
    ask_member(&gateway, id_of(&id)?, ask, call.wait_ms).await
}

/// `GET /v1/requests/{id}?wait_ms=…`.
pub(super) async fn request(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiFailure> {
    let id: RequestId = id_of(&id)?;
    let wait_ms = match query.as_deref() {
        None | Some("") => 0,
        Some(query) => query.strip_prefix("wait_ms=").and_then(|text| text.parse().ok()).ok_or(ApiFailure::Invalid)?,
    };
    let view = gateway.request(id, wait(Some(wait_ms))?).await.ok_or(ApiFailure::NotFound)?;
    Ok(answer(view))
}

/// `GET /healthz`: open to everybody, says nothing but yes or no.
pub(super) async fn health(State(gateway): State<Gateway>) -> Response {
    if gateway.is_healthy() {
        (StatusCode::OK, Json(Health { status: "ok" })).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "unavailable" })).into_response()
    }
}

pub(super) async fn ask_member(
    gateway: &Gateway,
    connection: ConnectionId,
    ask: Ask,
    wait_ms: Option<u64>,
) -> Result<Response, ApiFailure> {
    gateway.ask(connection, ask, wait(wait_ms)?).await.map(answer).map_err(refused)
}

/// 200 when it ended, 202 while it is open.
fn answer(view: RequestView) -> Response {
    let status = if view.status.is_open() { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(view)).into_response()
}

fn wait(wait_ms: Option<u64>) -> Result<Duration, ApiFailure> {
    let wait_ms = wait_ms.unwrap_or(DEFAULT_WAIT_MS);
    if wait_ms <= MAX_WAIT_MS { Ok(Duration::from_millis(wait_ms)) } else { Err(ApiFailure::Invalid) }
}

fn refused(error: RequestError) -> ApiFailure {
    match error {
        RequestError::UnknownConnection => ApiFailure::NotFound,
        RequestError::NotConnected => ApiFailure::NotConnected,
        RequestError::TooManyOpen => ApiFailure::TooMany,
        RequestError::Invalid => ApiFailure::Invalid,
        RequestError::Question(_) | RequestError::State(_) | RequestError::Sign(_) => unavailable(&error),
    }
}

pub(super) fn unavailable(error: &dyn std::error::Error) -> ApiFailure {
    tracing::error!(%error, "a call failed");
    ApiFailure::Unavailable
}

pub(super) fn id_of<T: FromStr>(text: &str) -> Result<T, ApiFailure> {
    text.parse().map_err(|_| ApiFailure::NotFound)
}

pub(super) fn body_of<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, ApiFailure> {
    let body = body.map_err(|_| ApiFailure::TooLarge)?;
    serde_json::from_slice(&body).map_err(|_| ApiFailure::Invalid)
}
