//! Values that members' vaults hand out unasked.

use super::body::Id;
use super::failure::ApiFailure;
use crate::gateway::{Gateway, ValueView};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::id::ConnectionId;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Values of one member.
#[derive(Serialize, ToSchema)]
struct KeptValues {
    /// By name of the field.
    values: Vec<ValueView>,
}

/// The latest values of the fields that the contract lets out unasked, as long as they may be kept.
#[utoipa::path(
    get, path = "/v1/connections/{connection_id}/values", tag = "connections", operation_id = "list_values",
    security(("api_key" = ["data:read"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    responses((status = 200, description = "The values.", body = KeptValues)),
)]
async fn list(State(gateway): State<Gateway>, Id(id): Id<ConnectionId>) -> Result<Json<KeptValues>, ApiFailure> {
    let values = gateway.values(id).ok_or(ApiFailure::NotFound)?;
    Ok(Json(KeptValues { values }))
}
