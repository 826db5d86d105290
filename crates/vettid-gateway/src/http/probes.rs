//! Whether the gateway works.

use crate::gateway::Gateway;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(health))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `unavailable`.
    status: &'static str,
}

/// Whether the gateway lives: open to everybody, says nothing but yes or no.
#[utoipa::path(
    get, path = "/healthz", tag = "gateway", operation_id = "health", security(()),
    responses(
        (status = 200, description = "It works.", body = Health),
        (status = 503, description = "It does not work now.", body = Health),
    ),
)]
async fn health(State(gateway): State<Gateway>) -> (StatusCode, Json<Health>) {
    if gateway.is_healthy() {
        (StatusCode::OK, Json(Health { status: "ok" }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "unavailable" }))
    }
}
