//! Invitations: how a member comes to a service.

use super::body::NoBody;
use super::failure::{ApiFailure, unavailable};
use crate::gateway::{Gateway, InviteError};
use crate::view::Invitation;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(invite))
}

/// Makes an invitation for one member.
#[utoipa::path(
    post, path = "/v1/invitations", tag = "invitations", operation_id = "invite",
    security(("api_key" = ["connections:write"])),
    responses((status = 201, description = "The invitation.", body = Invitation)),
)]
async fn invite(State(gateway): State<Gateway>, _: NoBody) -> Result<(StatusCode, Json<Invitation>), ApiFailure> {
    let invitation = gateway.invite().await.map_err(|error| match error {
        InviteError::TooManyOpen => ApiFailure::TooMany,
        _ => unavailable(&error),
    })?;
    Ok((StatusCode::CREATED, Json(invitation)))
}
