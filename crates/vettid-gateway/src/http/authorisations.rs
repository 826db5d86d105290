//! What wants a member's word: asked on a connection, and the records of the answers. What the member denies or the vault
//! refuses is a result, not an error.

use super::body::{Body, Id};
use super::failure::{ApiFailure, unavailable};
use super::requests::ask_member;
use super::wanted::AuthorisationCall;
use crate::gateway::Gateway;
use crate::question::{Ask, Authorisation};
use crate::view::{RecordView, RequestView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::id::{ConnectionId, RequestId};

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
    request_body = AuthorisationCall,
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn authorise(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<AuthorisationCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let (wait_ms, life_ms) = (call.wait_ms(), call.life_ms());
    let wanted = call.wanted()?;
    ask_member(&gateway, id, Ask::Authorisation(Authorisation { wanted, life_ms }), wait_ms).await
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
