//! The keys of the service's programs.

use super::body::{Asked, Body};
use super::failure::{ApiFailure, unavailable};
use super::listing;
use super::scope::Scope;
use crate::gateway::{ApiKeyError, ApiKeyView, Gateway, NewApiKey};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApiKeyCall {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do, such as `data:read`.
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    /// Calls a minute; as the configuration says if it is not said.
    #[schema(minimum = 1)]
    calls_per_minute: Option<u32>,
}

/// A key, with the text that is shown this once.
#[derive(Serialize, ToSchema)]
struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    key: ApiKeyView,
    /// What programs send as `Authorization: Bearer`. It cannot be shown again.
    secret: String,
}

/// Keys, by id.
#[derive(Serialize, ToSchema)]
struct ApiKeyList {
    /// The keys, the revoked ones among them.
    api_keys: Vec<ApiKeyView>,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which keys are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listed {
    /// How many, at most 200; 50 if it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Makes a key with scopes of its own.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api keys", operation_id = "create_api_key", security(("api_key" = ["admin"])),
    request_body = ApiKeyCall,
    responses((status = 201, description = "The key.", body = CreatedApiKey)),
)]
async fn create(
    State(gateway): State<Gateway>,
    Body(call): Body<ApiKeyCall>,
) -> Result<(StatusCode, Json<CreatedApiKey>), ApiFailure> {
    let ApiKeyCall { name, scopes, calls_per_minute } = call;
    let made = gateway.create_api_key(NewApiKey { name, scopes, calls_per_minute }).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(CreatedApiKey { key: made.key, secret: made.text.to_string() })))
}

/// Lists the keys.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "api keys", operation_id = "list_api_keys", security(("api_key" = ["admin"])), params(Listed),
    responses((status = 200, description = "The keys.", body = ApiKeyList)),
)]
async fn list(State(gateway): State<Gateway>, Asked(query): Asked<Listed>) -> Result<Json<ApiKeyList>, ApiFailure> {
    let key = |view: &ApiKeyView| format!("{} {}", view.created_at, view.key_id);
    let (api_keys, next_cursor) = listing::page(gateway.api_keys(), query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(ApiKeyList { api_keys, next_cursor }))
}

/// Takes a key back, at once and for good.
#[utoipa::path(
    delete, path = "/v1/api-keys/{key_id}", tag = "api keys", operation_id = "revoke_api_key", security(("api_key" = ["admin"])),
    params(("key_id" = String, Path, description = "The key.")),
    responses((status = 204, description = "It is not valid any more.")),
)]
async fn revoke(State(gateway): State<Gateway>, Path(key_id): Path<String>) -> Result<StatusCode, ApiFailure> {
    gateway.revoke_api_key(&key_id).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(error: ApiKeyError) -> ApiFailure {
    match error {
        ApiKeyError::TooMany => ApiFailure::TooMany,
        ApiKeyError::Invalid => ApiFailure::unsound(error),
        ApiKeyError::Unknown => ApiFailure::NotFound,
        ApiKeyError::State(_) => unavailable(&error),
    }
}
