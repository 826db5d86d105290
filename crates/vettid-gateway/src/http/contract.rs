//! The contract on offer: its versions, and publishing a new one.

use super::body::Body;
use super::failure::{ApiFailure, unavailable};
use crate::gateway::{Gateway, PublishError};
use crate::versions::Version;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::contract::Contract;
use vettid_wire::time::Timestamp;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list, publish))
}

/// A published version.
#[derive(Serialize, ToSchema)]
struct ContractVersion {
    /// The contract.
    #[schema(value_type = Object)]
    contract: Contract,
    /// Its hash, base64url; requests quote it.
    contract_hash: String,
    /// When it was published.
    #[schema(value_type = String, format = DateTime)]
    published_at: Timestamp,
}

/// The published versions, the oldest first.
#[derive(Serialize, ToSchema)]
struct ContractVersions {
    /// The versions.
    versions: Vec<ContractVersion>,
}

impl From<Arc<Version>> for ContractVersion {
    fn from(version: Arc<Version>) -> Self {
        Self {
            contract: version.contract.clone(),
            contract_hash: version.contract_hash.to_string(),
            published_at: version.published_at,
        }
    }
}

/// Lists every version of the contract that was published, the oldest first.
#[utoipa::path(
    get, path = "/v1/contract/versions", tag = "contract", operation_id = "list_contract_versions",
    security(("api_key" = ["contract"])),
    responses((status = 200, description = "The versions.", body = ContractVersions)),
)]
async fn list(State(gateway): State<Gateway>) -> Json<ContractVersions> {
    let versions = gateway.versions().into_iter().map(ContractVersion::from).collect();
    Json(ContractVersions { versions })
}

/// Publishes a version of the contract and offers it to every member. Until a member accepts it, the service gets nothing from
/// that member.
#[utoipa::path(
    post, path = "/v1/contract/versions", tag = "contract", operation_id = "publish_contract_version",
    security(("api_key" = ["contract"])),
    request_body(content = Object, description = "The contract, with a contract_version above all before."),
    responses((status = 201, description = "The version; also if it was published before.", body = ContractVersion)),
)]
async fn publish(
    State(gateway): State<Gateway>,
    Body(contract): Body<Contract>,
) -> Result<(StatusCode, Json<ContractVersion>), ApiFailure> {
    let version = gateway.publish(contract).await.map_err(|error| match error {
        PublishError::Offer(unsound) => ApiFailure::unsound(with_cause(&unsound)),
        PublishError::NotNewer(_) => ApiFailure::NotNewer,
        PublishError::State(_) => unavailable(&error),
    })?;
    Ok((StatusCode::CREATED, Json(version.into())))
}

/// An error with what caused it.
fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
