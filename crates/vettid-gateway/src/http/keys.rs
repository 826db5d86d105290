//! The calls about the gateway's own keys. Nothing secret is told.

use super::failure::ApiFailure;
use crate::gateway::Gateway;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use vettid_wire::inventory::{KeyInventory, RotateSigning, SigningKeysMade};

/// `GET /v1/keys`.
pub(super) async fn list(State(gateway): State<Gateway>) -> Result<Json<KeyInventory>, ApiFailure> {
    gateway.keys().await.map(Json).map_err(|error| unavailable(&error))
}

/// `POST /v1/keys/rotate`.
pub(super) async fn rotate(State(gateway): State<Gateway>, body: Bytes) -> Result<Json<SigningKeysMade>, ApiFailure> {
    let asked: RotateSigning = serde_json::from_slice(&body).map_err(|_| ApiFailure::Invalid)?;
    gateway.rotate_keys(asked.cuts_off).await.map(Json).map_err(|error| unavailable(&error))
}

fn unavailable(error: &dyn std::error::Error) -> ApiFailure {
    tracing::error!(%error, "a call about keys failed");
    ApiFailure::Unavailable
}
