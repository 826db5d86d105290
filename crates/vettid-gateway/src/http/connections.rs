//! Connections with members.

use super::body::Id;
use super::failure::ApiFailure;
use super::requests::refused;
use crate::gateway::Gateway;
use crate::view::ConnectionView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::connection::RevocationReason;
use vettid_wire::id::ConnectionId;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, end))
}

/// Connections, the oldest first.
#[derive(Serialize, ToSchema)]
struct Connections {
    /// The connections.
    connections: Vec<ConnectionView>,
}

/// Lists the connections with members, the oldest first.
#[utoipa::path(
    get, path = "/v1/connections", tag = "connections", operation_id = "list_connections",
    security(("api_key" = ["connections:read"])),
    responses((status = 200, description = "The connections.", body = Connections)),
)]
async fn list(State(gateway): State<Gateway>) -> Json<Connections> {
    Json(Connections { connections: gateway.connections().await })
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
