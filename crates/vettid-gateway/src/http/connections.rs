//! Connections with members.

use super::body::{Asked, Id};
use super::failure::ApiFailure;
use super::listing;
use super::requests::refused;
use crate::gateway::Gateway;
use crate::view::ConnectionView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::connection::{ConnectionState, RevocationReason};
use vettid_wire::id::ConnectionId;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, end))
}

/// Connections, the oldest first.
#[derive(Serialize, ToSchema)]
struct Connections {
    /// The connections.
    connections: Vec<ConnectionView>,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which connections are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listed {
    /// Those in this state, such as `active`.
    #[param(value_type = Option<String>)]
    state: Option<ConnectionState>,
    /// How many, at most 200; 50 if it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the connections with members, the oldest first.
#[utoipa::path(
    get, path = "/v1/connections", tag = "connections", operation_id = "list_connections",
    security(("api_key" = ["connections:read"])),
    params(Listed),
    responses((status = 200, description = "The connections.", body = Connections)),
)]
async fn list(State(gateway): State<Gateway>, Asked(query): Asked<Listed>) -> Result<Json<Connections>, ApiFailure> {
    let mut all = gateway.connections().await;
    all.retain(|view| query.state.is_none_or(|state| state == view.state));
    let key = |view: &ConnectionView| view.connection_id.to_string();
    let (connections, next_cursor) = listing::page(all, query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(Connections { connections, next_cursor }))
}

/// One connection.
#[utoipa::path(
    get, path = "/v1/connections/{connection_id}", tag = "connections", operation_id = "get_connection",
    security(("api_key" = ["connections:read"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    responses((status = 200, description = "The connection.", body = ConnectionView)),
)]
async fn show(State(gateway): State<Gateway>, Id(id): Id<ConnectionId>) -> Result<Json<ConnectionView>, ApiFailure> {
    gateway.connection(id).await.map(Json).ok_or(ApiFailure::NotFound)
}

/// Ends a connection at once and tells the member.
#[utoipa::path(
    delete, path = "/v1/connections/{connection_id}", tag = "connections", operation_id = "end_connection",
    security(("api_key" = ["connections:write"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    responses((status = 204, description = "It is over.")),
)]
async fn end(State(gateway): State<Gateway>, Id(id): Id<ConnectionId>) -> Result<StatusCode, ApiFailure> {
    gateway.revoke(id, RevocationReason::UserRequested).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}
