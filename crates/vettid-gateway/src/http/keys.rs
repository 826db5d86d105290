//! The gateway's own keys. Nothing secret is told.

use super::body::Body;
use super::failure::ApiFailure;
use crate::gateway::Gateway;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::id::ConnectionId;
use vettid_wire::inventory::{KeyHolder, KeyKind, KeyPolicy, KeyUse, KeyView};
use vettid_wire::time::Timestamp;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(rotate))
}

/// Every key of the gateway, without anything that is secret.
#[derive(Serialize, ToSchema)]
struct Keys {
    /// The gateway's own ones, then those of the connections.
    keys: Vec<Key>,
}

/// One key pair, or one symmetric key.
#[derive(Serialize, ToSchema)]
struct Key {
    /// Key id, public NKey, or what a symmetric key is called.
    id: String,
    /// What it is for.
    #[schema(value_type = String)]
    role: KeyUse,
    /// Who has the secret half.
    #[schema(value_type = String)]
    holder: KeyHolder,
    /// `pair` or `symmetric`.
    #[schema(value_type = String)]
    kind: KeyKind,
    /// Its algorithm or suite.
    suite: String,
    /// Of this connection; absent: of no single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    connection_id: Option<ConnectionId>,
    /// When it was made; absent if that is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    since: Option<Timestamp>,
    /// When another one takes its place.
    #[schema(value_type = String)]
    policy: KeyPolicy,
    /// The time of that at the latest; absent if no time brings it about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    next_rotation: Option<Timestamp>,
}

impl From<KeyView> for Key {
    fn from(view: KeyView) -> Self {
        let KeyView { id, role, holder, kind, suite, connection_id, since, policy, next_rotation } = view;
        Self { id, role, holder, kind, suite, connection_id, since, policy, next_rotation }
    }
}

/// How the signing keys are to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// Somebody may know the present ones: what they signed ends at once, instead of with the next change.
    cuts_off: bool,
}

/// New signing keys are made; they sign as soon as the broker knows them.
#[derive(Serialize, ToSchema)]
struct Made {
    /// When they were made.
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
}

/// Lists the keys of the gateway, without anything that is secret.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "list_keys",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "The keys.", body = Keys)),
)]
async fn list(State(gateway): State<Gateway>) -> Result<Json<Keys>, ApiFailure> {
    let inventory = gateway.keys().await.map_err(|error| unavailable(&error))?;
    Ok(Json(Keys { keys: inventory.keys.into_iter().map(Key::from).collect() }))
}

/// Makes new keys for signing what lets the gateway, members and holders of invitations in.
#[utoipa::path(
    post, path = "/v1/keys/rotate", tag = "keys", operation_id = "rotate_keys",
    security(("api_key" = ["admin"])),
    request_body = Rotate,
    responses((status = 200, description = "The keys are made.", body = Made)),
)]
async fn rotate(State(gateway): State<Gateway>, Body(asked): Body<Rotate>) -> Result<Json<Made>, ApiFailure> {
    let made = gateway.rotate_keys(asked.cuts_off).await.map_err(|error| unavailable(&error))?;
    Ok(Json(Made { since: made.since }))
}

fn unavailable(error: &dyn std::error::Error) -> ApiFailure {
    tracing::error!(%error, "a call about keys failed");
    ApiFailure::Unavailable
}
