//! Whether the gateway works, and what it counts.

use super::failure::{ApiFailure, unavailable};
use crate::clock;
use crate::gateway::Gateway;
use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What Prometheus calls its text form.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a caller is told to wait while the database is away, in seconds.
const AGAIN_SECONDS: &str = "5";

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready)).routes(routes!(metrics))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `unavailable`.
    status: &'static str,
}

/// Whether the gateway can do its work.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// What does not work, in words.
    problems: Vec<String>,
    /// What works but should be looked at.
    warnings: Vec<String>,
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

/// Whether the gateway can do its work, and what keeps it from it. Open to everybody; names no members.
#[utoipa::path(
    get, path = "/readyz", tag = "gateway", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot now.", body = Readiness),
    ),
)]
async fn ready(State(gateway): State<Gateway>) -> (StatusCode, Json<Readiness>) {
    let (problems, warnings) = gateway.problems();
    if problems.is_empty() {
        (StatusCode::OK, Json(Readiness { status: "ready", problems, warnings }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not_ready", problems, warnings }))
    }
}

/// What the gateway counts, as Prometheus reads it.
#[utoipa::path(
    get, path = "/metrics", tag = "gateway", operation_id = "metrics", security(("api_key" = ["metrics"])),
    responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text")),
)]
async fn metrics(State(gateway): State<Gateway>) -> Result<Response, ApiFailure> {
    let text = gateway.metrics_text().await.map_err(|error| unavailable(&error))?;
    Ok(([(CONTENT_TYPE, TEXT)], text).into_response())
}

/// Nothing is begun while it could not be stored; only the probes answer.
pub(super) async fn require_database(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let is_probe = ["/healthz", "/readyz", "/metrics"].contains(&request.uri().path());
    if gateway.is_away() && !is_probe {
        return ([(RETRY_AFTER, AGAIN_SECONDS)], ApiFailure::Unavailable).into_response();
    }
    next.run(request).await
}

/// Counts a call under its described address.
pub(super) async fn count(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let begun_at = clock::now();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    let took_ms = clock::now().since_ms(begun_at);
    gateway.metrics().count(method.as_str(), &path.unwrap_or_default(), response.status().as_u16(), took_ms);
    response
}
