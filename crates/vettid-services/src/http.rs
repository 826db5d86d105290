//! The HTTP API: routes, tokens, bodies and bounds. TLS 1.3 only; bodies are VJSON of at most 64 KiB; every error has
//! one form. Must never log a header or a body, nor take a token from anywhere but the `Authorization` header.

pub(crate) mod body;
mod credential;
pub(crate) mod error;
pub(crate) mod limit;
pub(crate) mod listener;

use crate::control_plane::ControlPlane;
use crate::vault::VaultView;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use body::Vjson;
use error::ApiError;
use limit::RateLimit;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::enrolment::BearerToken;
use vettid_wire::action::ActionGranted;
use vettid_wire::category::{AskComparison, ComparisonBasis, ListService, Listed};
use vettid_wire::directory::{
    AskDomainChallenge, AskStandings, CertifyService, ClaimDomain, DirectoryEntry, DomainChallenge, DomainClaimed,
    ServiceStanding, Standings,
};
use vettid_wire::enrolment::{
    AccountCreated, Authenticated, CreateAccount, EnrolmentStarted, Finalized, HostJoined, JoinHost, NatsBootstrap,
    NatsBootstrapped, RegisterService, Scan, Scanned, ServiceRegistered, SigningKeysRotated,
};
use vettid_wire::id::ServiceId;
use vettid_wire::json;
use vettid_wire::profile::SignedProfile;
use vettid_wire::service_keys::RotateServiceKeys;

/// A request that takes longer is given up; whatever it did may be repeated.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

type Plane = State<Arc<ControlPlane>>;
type From = ConnectInfo<SocketAddr>;
type Answer<T> = Result<Json<T>, ApiError>;

/// Every endpoint.
pub(crate) fn router(plane: Arc<ControlPlane>) -> Router {
    Router::new()
        .route("/v1/accounts", post(create_account))
        .route("/v1/vault/state", get(vault_state))
        .route("/v1/vault/enroll/start", post(enroll_start))
        .route("/v1/vault/enroll/scan", post(enroll_scan))
        .route("/v1/vault/enroll/authenticate", post(enroll_authenticate))
        .route("/v1/vault/enroll/nats-bootstrap", post(enroll_nats_bootstrap))
        .route("/v1/vault/enroll/finalize", post(enroll_finalize))
        .route("/v1/vault/bootstrap", post(renew_bootstrap))
        .route("/v1/actions", post(grant_action))
        .merge(credential::router())
        .route("/v1/hosts", post(join_host))
        .route("/v1/services", post(register_service))
        .route("/v1/services/keys", post(rotate_service_keys))
        .route("/v1/services/domain/challenge", post(domain_challenge))
        .route("/v1/services/domain", post(claim_domain))
        .route("/v1/registry/certifications", post(certify))
        .route("/v1/services/listing", post(list_service))
        .route("/v1/registry/comparison", post(comparison))
        .route("/v1/registry/standings", post(standings))
        .route("/v1/registry/profile", get(registry_profile))
        .route("/v1/registry/services/{service_id}", get(registry_service))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(json::MAX_BYTES))
        .layer(middleware::from_fn(bounds))
        .with_state(plane)
}

/// Bounds the time of a request, and keeps answers, which may carry tokens, out of caches.
async fn bounds(request: Request, next: Next) -> Response {
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut response = outcome.unwrap_or_else(|_| ApiError::Unavailable.into_response());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn bearer(headers: &HeaderMap) -> Result<BearerToken, ApiError> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.strip_prefix("Bearer ")).map(BearerToken::presented).ok_or(ApiError::Unauthorized)
}

fn require(headers: &HeaderMap, expected: &BearerToken) -> Result<(), ApiError> {
    // Hashes of 32 random bytes are compared, so their comparison tells nothing about the token.
    if bearer(headers)?.hash() == expected.hash() { Ok(()) } else { Err(ApiError::Unauthorized) }
}

impl ControlPlane {
    fn take(&self, limit: &RateLimit, from: &SocketAddr) -> Result<(), ApiError> {
        limit.take(from.ip(), self.now()).map_err(ApiError::RateLimited)
    }
}

async fn create_account(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(request): Vjson<CreateAccount>,
) -> Answer<AccountCreated> {
    plane.take(&plane.open, &from)?;
    plane.open_account(request).await.map(Json)
}

async fn vault_state(State(plane): Plane, headers: HeaderMap) -> Answer<VaultView> {
    let account = plane.member(&bearer(&headers)?).await?;
    plane.vault_view(&account).await.map(Json)
}

async fn enroll_start(State(plane): Plane, ConnectInfo(from): From, headers: HeaderMap) -> Answer<EnrolmentStarted> {
    let account = plane.member(&bearer(&headers)?).await?;
    plane.take(&plane.enrolments, &from)?;
    plane.start_enrolment(&account).await.map(Json)
}

async fn enroll_scan(State(plane): Plane, ConnectInfo(from): From, Vjson(request): Vjson<Scan>) -> Answer<Scanned> {
    plane.take(&plane.open, &from)?;
    plane.scan(&request).await.map(Json)
}

async fn enroll_authenticate(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<Authenticated> {
    plane.take(&plane.open, &from)?;
    plane.authenticate(received).await.map(Json)
}

async fn enroll_nats_bootstrap(
    State(plane): Plane,
    headers: HeaderMap,
    Vjson(request): Vjson<NatsBootstrap>,
) -> Answer<NatsBootstrapped> {
    plane.bootstrap(&bearer(&headers)?, &request).await.map(Json)
}

async fn enroll_finalize(State(plane): Plane, headers: HeaderMap) -> Answer<Finalized> {
    plane.finalize(&bearer(&headers)?).await.map(Json)
}

async fn renew_bootstrap(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<NatsBootstrapped> {
    plane.take(&plane.open, &from)?;
    plane.renew_bootstrap(received).await.map(Json)
}

async fn grant_action(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(received): Vjson<Value>,
) -> Answer<ActionGranted> {
    plane.take(&plane.open, &from)?;
    plane.grant_action(received).await.map(Json)
}

async fn join_host(State(plane): Plane, headers: HeaderMap, Vjson(request): Vjson<JoinHost>) -> Answer<HostJoined> {
    require(&headers, &plane.keys.host_token)?;
    plane.join_host(request).await.map(Json)
}

async fn register_service(
    State(plane): Plane,
    headers: HeaderMap,
    Vjson(request): Vjson<RegisterService>,
) -> Answer<ServiceRegistered> {
    require(&headers, &plane.keys.service_token)?;
    plane.register_service(request).await.map(Json)
}

/// The signature of the account takes the place of a token.
async fn rotate_service_keys(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(request): Vjson<RotateServiceKeys>,
) -> Answer<SigningKeysRotated> {
    plane.take(&plane.open, &from)?;
    plane.rotate_service_keys(request).await.map(Json)
}

async fn domain_challenge(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<AskDomainChallenge>,
) -> Answer<DomainChallenge> {
    plane.take(&plane.open, &from)?;
    plane.domain_challenge(asked).map(Json)
}

/// The signatures of identity and account take the place of a token.
async fn claim_domain(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<ClaimDomain>,
) -> Answer<DomainClaimed> {
    plane.take(&plane.open, &from)?;
    plane.claim_domain(asked).await.map(Json)
}

/// The signature of the operator takes the place of a token.
async fn certify(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(command): Vjson<CertifyService>,
) -> Answer<ServiceStanding> {
    plane.take(&plane.open, &from)?;
    plane.certify(command).await.map(Json)
}

async fn standings(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<AskStandings>,
) -> Answer<Standings> {
    plane.take(&plane.directory, &from)?;
    plane.standings(asked).await.map(Json)
}

/// The signatures of identity and account take the place of a token.
async fn list_service(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<ListService>,
) -> Answer<Listed> {
    plane.take(&plane.open, &from)?;
    plane.list_service(asked).await.map(Json)
}

async fn comparison(
    State(plane): Plane,
    ConnectInfo(from): From,
    Vjson(asked): Vjson<AskComparison>,
) -> Answer<ComparisonBasis> {
    plane.take(&plane.directory, &from)?;
    plane.comparison(asked).await.map(Json)
}

async fn registry_profile(State(plane): Plane, ConnectInfo(from): From) -> Answer<SignedProfile> {
    plane.take(&plane.open, &from)?;
    let profile = plane.registry.profile(&plane.keys, &*plane.ledger, plane.now()).await;
    profile.map(Json).map_err(|error| ApiError::internal(&error))
}

async fn registry_service(
    State(plane): Plane,
    ConnectInfo(from): From,
    Path(service_id): Path<String>,
) -> Answer<DirectoryEntry> {
    plane.take(&plane.open, &from)?;
    let service_id: ServiceId = service_id.parse().map_err(|_| ApiError::NotFound)?;
    plane.directory_entry(&service_id).await.map(Json)
}

async fn healthz() -> StatusCode {
    StatusCode::OK
}

async fn readyz(State(plane): Plane) -> Result<StatusCode, ApiError> {
    plane.ledger.ping().await?;
    if plane.broker.is_ready() { Ok(StatusCode::OK) } else { Err(ApiError::Unavailable) }
}
