//! Routes of members' credentials: the recovery container and recoveries. What an enrolled app does goes through a token with
//! proof; what a new device does goes through codes and is limited like everything that strangers may ask.

use super::body::{JsonBytes, Vjson};
use super::error::ApiError;
use super::{Answer, From, Plane, bearer};
use crate::control_plane::ControlPlane;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use std::sync::Arc;
use vettid_core::action::Action;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::credential::{ConfirmReply, CredentialStatus, LatAnswer};
use vettid_wire::json;
use vettid_wire::recovery::{
    AskRecoverySalt, CredentialBackupStatus, RecoveredCredentials, RecoveryDecided, RecoverySaltAnswer,
    RecoveryStarted, VaultEntrance,
};
use vettid_wire::services_credential::ServicesKeys;

pub(super) fn router() -> Router<Arc<ControlPlane>> {
    let store = post(store_backup).layer(DefaultBodyLimit::max(json::MAX_LARGE_BYTES));
    Router::new()
        .route(Action::StoreBackup.endpoint(), store)
        .route(Action::BackupStatus.endpoint(), get(backup_status).post(backup_status_of_app))
        .route(Action::CredentialStatus.endpoint(), post(credential_status))
        .route(Action::ReplenishKeys.endpoint(), post(replenish_keys))
        .route(Action::CreateCredential.endpoint(), post(create_credential))
        .route(Action::Challenge.endpoint(), post(challenge))
        .route(Action::UseCredential.endpoint(), post(use_credential))
        .route(Action::ConfirmCredential.endpoint(), post(confirm_credential))
        .route("/v1/credentials/recover/start", post(start_recovery))
        .route("/v1/credentials/recover/salt", post(recovery_salt))
        .route("/v1/credentials/recover", post(recover))
        .route("/v1/credentials/recover/enter", post(enter_vault))
        .route("/v1/credentials/recover/decide", post(decide_recovery))
}

async fn store_backup(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Answer<CredentialBackupStatus> {
    let acting = plane.acting(Action::StoreBackup, &headers, &body).await?;
    plane.store_backup(acting).await.map(Json)
}

async fn backup_status(State(plane): Plane, headers: HeaderMap) -> Answer<CredentialBackupStatus> {
    let account = plane.member(&bearer(&headers)?).await?;
    plane.backup_status(account.guid).await.map(Json)
}

async fn backup_status_of_app(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Answer<CredentialBackupStatus> {
    let acting = plane.acting(Action::BackupStatus, &headers, &body).await?;
    plane.backup_status_of(acting).await.map(Json)
}

async fn start_recovery(State(plane): Plane, headers: HeaderMap) -> Answer<RecoveryStarted> {
    let account = plane.member(&bearer(&headers)?).await?;
    plane.start_recovery(&account).await.map(Json)
}

async fn recovery_salt(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<AskRecoverySalt>,
) -> Answer<RecoverySaltAnswer> {
    plane.take(&plane.open, &from)?;
    plane.recovery_salt(&asked).await.map(Json)
}

async fn recover(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<RecoveredCredentials> {
    plane.take(&plane.open, &from)?;
    plane.recover(received).await.map(Json)
}

async fn enter_vault(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<VaultEntrance> {
    plane.take(&plane.open, &from)?;
    plane.enter_vault(received).await.map(Json)
}

async fn decide_recovery(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<RecoveryDecided> {
    plane.take(&plane.open, &from)?;
    plane.decide_recovery(received).await.map(Json)
}

async fn credential_status(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Answer<CredentialStatus> {
    let acting = plane.acting(Action::CredentialStatus, &headers, &body).await?;
    plane.credential_status(acting).await.map(Json)
}

async fn replenish_keys(State(plane): Plane, headers: HeaderMap, JsonBytes(body): JsonBytes) -> Answer<ServicesKeys> {
    let acting = plane.acting(Action::ReplenishKeys, &headers, &body).await?;
    plane.replenish_keys(acting).await.map(Json)
}

async fn create_credential(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let acting = plane.acting(Action::CreateCredential, &headers, &body).await?;
    plane.create_credential(acting).await.map(|answer| written(&answer))
}

async fn challenge(State(plane): Plane, headers: HeaderMap, JsonBytes(body): JsonBytes) -> Answer<LatAnswer> {
    let acting = plane.acting(Action::Challenge, &headers, &body).await?;
    plane.challenge(acting).await.map(Json)
}

async fn use_credential(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let acting = plane.acting(Action::UseCredential, &headers, &body).await?;
    plane.use_credential(acting).await.map(|answer| written(&answer))
}

async fn confirm_credential(
    State(plane): Plane,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Answer<ConfirmReply> {
    let acting = plane.acting(Action::ConfirmCredential, &headers, &body).await?;
    plane.confirm_credential(acting).await.map(Json)
}

/// A stored answer, byte for byte.
fn written(answer: &SecretBytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], answer.expose().to_vec()).into_response()
}
