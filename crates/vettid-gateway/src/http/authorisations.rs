//! The calls that want a member's word, and the records of the answers. Each is one step: read, ask the gateway, answer.

use super::api::{ask_member, body_of, id_of, unavailable};
use super::failure::ApiFailure;
use crate::gateway::Gateway;
use crate::question::{Ask, Authorisation};
use crate::random;
use crate::view::{RecordView, RequestView};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use vettid_wire::authorisation::Wanted;
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json;

#[derive(Serialize)]
pub(super) struct Asked {
    requests: Vec<RequestView>,
    records: Vec<RecordView>,
}

/// `POST /v1/connections/{id}/authorisations`: what is wanted, as the standard writes it, and `expires_in_ms`, `wait_ms`.
pub(super) async fn authorise(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiFailure> {
    let mut call: Map<String, Value> = body_of(body)?;
    let wait_ms = number(&mut call, "wait_ms")?;
    let life_ms = number(&mut call, "expires_in_ms")?.map(i64::try_from).transpose();
    let life_ms = life_ms.map_err(|_| ApiFailure::Invalid)?;
    if call.get("kind").and_then(Value::as_str) == Some("proof") {
        // A program that has no nonce of its own gets a fresh one.
        call.entry("nonce").or_insert_with(fresh_nonce);
    }
    let wanted: Wanted = json::from_value(Value::Object(call)).map_err(|_| ApiFailure::Invalid)?;
    let ask = Ask::Authorisation(Authorisation { wanted, life_ms });
    ask_member(&gateway, id_of(&id)?, ask, wait_ms).await
}

fn fresh_nonce() -> Value {
    let mut nonce = [0; 32];
    rand_core::Rng::fill_bytes(&mut random::system(), &mut nonce);
    Base64Url::new(nonce).to_string().into()
}

fn number(call: &mut Map<String, Value>, name: &str) -> Result<Option<u64>, ApiFailure> {
    match call.remove(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(ApiFailure::Invalid),
    }
}

/// `GET /v1/connections/{id}/requests`.
pub(super) async fn requests(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Asked>, ApiFailure> {
    let id: ConnectionId = id_of(&id)?;
    gateway.connection(id).await.ok_or(ApiFailure::NotFound)?;
    let (requests, records) = gateway.authorisations_on(id);
    Ok(Json(Asked { requests, records }))
}

/// `GET /v1/records/{id}`: exactly the bytes that `vettid verify` checks.
pub(super) async fn record(State(gateway): State<Gateway>, Path(id): Path<String>) -> Result<Response, ApiFailure> {
    let id: RequestId = id_of(&id)?;
    let bytes = gateway.record(id).ok_or(ApiFailure::NotFound)?.map_err(|error| unavailable(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}
