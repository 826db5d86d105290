//! What wants a member's word: asked on a connection, and the records of the answers. What the member denies or the vault
//! refuses is a result, not an error.

use super::body::{Body, Id};
use super::failure::{ApiFailure, unavailable};
use super::requests::ask_member;
use crate::gateway::Gateway;
use crate::question::{Ask, Authorisation};
use crate::random;
use crate::view::{RecordView, RequestView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::authorisation::Wanted;
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(authorise, list)).routes(routes!(record))
}

/// What was asked on a connection.
#[derive(Serialize, ToSchema)]
struct AskedOn {
    /// Requests that are open or ended a short time ago, the oldest first.
    requests: Vec<RequestView>,
    /// Every record, the oldest first.
    records: Vec<RecordView>,
}

/// Wants a member's word: a payment, a transaction, consent, a signature under a document, a proof.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/authorisations", tag = "requests", operation_id = "request_authorisation",
    security(("api_key" = ["requests"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body(content = Object, description = "`kind` (`payment`, `transaction`, `consent`, `document`, `proof`) and the \
        fields of that kind; `expires_in_ms` for a shorter time to answer, `wait_ms` for how long the call waits."),
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn authorise(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(mut call): Body<Map<String, Value>>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let wait_ms = number(&mut call, "wait_ms")?;
    let life_ms = number(&mut call, "expires_in_ms")?.map(i64::try_from).transpose();
    let life_ms = life_ms.map_err(|_| ApiFailure::Invalid)?;
    if call.get("kind").and_then(Value::as_str) == Some("proof") {
        // A program that has no nonce of its own gets a fresh one.
        call.entry("nonce").or_insert_with(fresh_nonce);
    }
    let wanted: Wanted = json::from_value(Value::Object(call)).map_err(|_| ApiFailure::Invalid)?;
    ask_member(&gateway, id, Ask::Authorisation(Authorisation { wanted, life_ms }), wait_ms).await
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

/// The requests of a connection that want the member's word, and the records of the answers.
#[utoipa::path(
    get, path = "/v1/connections/{connection_id}/authorisations", tag = "requests", operation_id = "list_authorisations",
    security(("api_key" = ["requests"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    responses((status = 200, description = "What was asked and answered.", body = AskedOn)),
)]
async fn list(State(gateway): State<Gateway>, Id(id): Id<ConnectionId>) -> Result<Json<AskedOn>, ApiFailure> {
    gateway.connection(id).await.ok_or(ApiFailure::NotFound)?;
    let (requests, records) = gateway.authorisations_on(id);
    Ok(Json(AskedOn { requests, records }))
}

/// The record of an answered request: exactly the bytes that can be checked offline.
#[utoipa::path(
    get, path = "/v1/records/{request_id}", tag = "requests", operation_id = "get_record",
    security(("api_key" = ["requests"])),
    params(("request_id" = String, Path, description = "The request.", format = "uuid")),
    responses((status = 200, description = "The record.", body = Object)),
)]
async fn record(State(gateway): State<Gateway>, Id(id): Id<RequestId>) -> Result<Response, ApiFailure> {
    let bytes = gateway.record(id).ok_or(ApiFailure::NotFound)?.map_err(|error| unavailable(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}
