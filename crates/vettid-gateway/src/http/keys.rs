//! The keys of the service's programs.

use super::body::{Asked, Body};
use super::failure::{ApiFailure, unavailable};
use super::listing;
use super::scope::Scope;
use crate::gateway::{Gateway, KeyError, KeyView, NewKey};
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
struct KeyCall {
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
struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    key: KeyView,
    /// What programs send as `Authorization: Bearer`. It cannot be shown again.
    secret: String,
}

/// Keys, by id.
#[derive(Serialize, ToSchema)]
struct KeyList {
    /// The keys, the revoked ones among them.
    keys: Vec<KeyView>,
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
    post, path = "/v1/keys", tag = "keys", operation_id = "create_key", security(("api_key" = ["admin"])),
    request_body = KeyCall,
    responses((status = 201, description = "The key.", body = CreatedKey)),
)]
async fn create(
    State(gateway): State<Gateway>,
    Body(call): Body<KeyCall>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiFailure> {
    let KeyCall { name, scopes, calls_per_minute } = call;
    let made = gateway.create_key(NewKey { name, scopes, calls_per_minute }).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(CreatedKey { key: made.key, secret: made.text.to_string() })))
}

/// Lists the keys.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "list_keys", security(("api_key" = ["admin"])), params(Listed),
    responses((status = 200, description = "The keys.", body = KeyList)),
)]
async fn list(State(gateway): State<Gateway>, Asked(query): Asked<Listed>) -> Result<Json<KeyList>, ApiFailure> {
    let key = |view: &KeyView| view.key_id.clone();
    let (keys, next_cursor) = listing::page(gateway.keys(), query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(KeyList { keys, next_cursor }))
}

/// Takes a key back, at once and for good.
#[utoipa::path(
    delete, path = "/v1/keys/{key_id}", tag = "keys", operation_id = "revoke_key", security(("api_key" = ["admin"])),
    params(("key_id" = String, Path, description = "The key.")),
    responses((status = 204, description = "It is not valid any more.")),
)]
async fn revoke(State(gateway): State<Gateway>, Path(key_id): Path<String>) -> Result<StatusCode, ApiFailure> {
    gateway.revoke_key(&key_id).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(error: KeyError) -> ApiFailure {
    match error {
        KeyError::TooMany => ApiFailure::TooMany,
        KeyError::Invalid => ApiFailure::Invalid,
        KeyError::Unknown => ApiFailure::NotFound,
        KeyError::State(_) => unavailable(&error),
    }
}
