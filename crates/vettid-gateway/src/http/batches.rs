//! Requests to members for several fields at once. What the member's vault refuses of them is a result, field by field.

use super::body::{Body, Id};
use super::failure::ApiFailure;
use super::requests::ask_member;
use crate::gateway::Gateway;
use crate::question::{Ask, Batch};
use crate::view::RequestView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::contract::Retention;
use vettid_wire::data::batch::BatchField;
use vettid_wire::id::ConnectionId;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(request_batch))
}

/// Asks for several fields of personal data.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchCall {
    /// The fields, 1 to 16, none twice; each is decided by itself, in this order.
    fields: Vec<FieldCall>,
    /// What for, shown to the member.
    purpose: String,
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// One of several fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FieldCall {
    /// Name of the field in the contract.
    field: String,
    /// How long the value is to be kept, at most as long as the contract says: `session`, `{"time_limited":{"days":7}}` or
    /// `until_revoked`. As long as the contract allows if it is not said.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    retention: Option<Retention>,
}

/// Asks a member for several fields of personal data; the answer has a value or a refusal for each. Each field counts against the
/// rates of the contract as if it was asked for alone; the member is asked once about all that need a yes.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/data-batches", tag = "requests", operation_id = "request_data_batch",
    security(("api_key" = ["data:read"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body = BatchCall,
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn request_batch(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<BatchCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let fields = call.fields.into_iter().map(|FieldCall { field, retention }| BatchField { field, retention });
    let batch = Batch { fields: fields.collect(), purpose: call.purpose };
    ask_member(&gateway, id, Ask::Batch(batch), call.wait_ms).await
}
