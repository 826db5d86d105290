//! Requests to members: asked on a connection, looked up by their id. What a member's vault refused is a result, not an
//! error.

use super::body::{Asked, Body, Id};
use super::failure::{ApiFailure, unavailable};
use super::listing;
use super::scope::Scope;
use crate::api_key::Caller;
use crate::gateway::{Gateway, RequestError};
use crate::question::{Ask, LoginRequest};
use crate::view::RequestView;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::auth::Display;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Retention;
use vettid_wire::id::{ConnectionId, RequestId};

/// A call waits at most this long for a member, in milliseconds.
pub(super) const MAX_WAIT_MS: u64 = 60_000;
/// A call that does not say how long it waits, waits this long, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(request_data))
        .routes(routes!(request_login))
        .routes(routes!(list))
        .routes(routes!(show))
}

/// Asks for a field of personal data.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DataCall {
    /// Name of the field in the contract.
    field: String,
    /// What for, shown to the member.
    purpose: String,
    /// How long the value is to be kept, at most as long as the contract says: `session`, `{"time_limited":{"days":7}}` or
    /// `until_revoked`. As long as the contract allows if it is not said.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    retention: Option<Retention>,
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// Asks a member to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginCall {
    /// The site, one of the service's own, such as `https://shop.example`.
    origin: String,
    /// SHA-256 of the browser session that waits, in base64url.
    #[schema(value_type = String)]
    session_hash: Base64Url,
    /// Where the login was started, shown to the member.
    #[schema(value_type = LoginDisplay)]
    display: Display,
    /// The number that the page shows, 10 to 99, where numbers are on; a member's vault refuses a login that nothing ties to
    /// its browser.
    #[serde(default)]
    #[schema(minimum = 10, maximum = 99)]
    number: Option<u8>,
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// Where a login was started.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the description of a type of the wire")]
pub(super) struct LoginDisplay {
    /// The browser, such as `Firefox on Linux`.
    browser: String,
    /// The town of the browser's address.
    city: String,
    /// The first numbers of that address, such as `192.0.2`.
    ip_prefix: String,
}

/// How long to wait for the end of a request.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// How long the call waits for the end, in milliseconds; 0 if it is not said.
    #[param(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// Asks a member for a field of personal data.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/data-requests", tag = "requests", operation_id = "request_data",
    security(("api_key" = ["data:read"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body = DataCall,
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn request_data(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<DataCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let ask = Ask::Data { field: call.field, purpose: call.purpose, retention: call.retention };
    ask_member(&gateway, id, ask, call.wait_ms).await
}

/// Asks a member to log in.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/logins", tag = "requests", operation_id = "request_login",
    security(("api_key" = ["login"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body = LoginCall,
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn request_login(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<LoginCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let unsound = |_| ApiFailure::unsound("session_hash: 32 bytes in base64url");
    let session_hash = call.session_hash.to_array().map_err(unsound)?;
    let login = LoginRequest::new(&call.origin, session_hash, call.display);
    let ask = Ask::Login(LoginRequest { number: call.number, ..login });
    ask_member(&gateway, id, ask, call.wait_ms).await
}

/// Which requests are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listed {
    /// Those of this connection.
    #[param(value_type = Option<String>, format = "uuid")]
    connection_id: Option<ConnectionId>,
    /// Those of this kind, such as `data`.
    kind: Option<String>,
    /// Those that are this far, such as `pending`.
    status: Option<String>,
    /// How many, at most 200; 50 if it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Requests, the oldest first.
#[derive(Serialize, ToSchema)]
struct Requests {
    /// The requests.
    requests: Vec<RequestView>,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the requests that are open or ended a short time ago, the oldest first, as far as the key may see them.
#[utoipa::path(
    get, path = "/v1/requests", tag = "requests", operation_id = "list_requests",
    security(("api_key" = ["requests"]), ("api_key" = ["data:read"]), ("api_key" = ["login"]), ("api_key" = ["data:write"]),
        ("api_key" = ["messages"])),
    params(Listed),
    responses((status = 200, description = "The requests.", body = Requests)),
)]
async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<Listed>,
) -> Result<Json<Requests>, ApiFailure> {
    let mut all = gateway.requests();
    all.retain(|view| {
        caller.may(scope_of(view.kind))
            && query.connection_id.is_none_or(|id| id == view.connection_id)
            && query.kind.as_deref().is_none_or(|kind| kind == view.kind)
            && query.status.as_deref().is_none_or(|status| status == view.status.name())
    });
    let key = |view: &RequestView| view.request_id.to_string();
    let (requests, next_cursor) = listing::page(all, query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(Requests { requests, next_cursor }))
}

/// A request, by the id that its call was answered with; waits for its end if asked to.
#[utoipa::path(
    get, path = "/v1/requests/{request_id}", tag = "requests", operation_id = "get_request",
    security(("api_key" = ["requests"]), ("api_key" = ["data:read"]), ("api_key" = ["login"]), ("api_key" = ["data:write"]),
        ("api_key" = ["messages"])),
    params(("request_id" = String, Path, description = "The request.", format = "uuid"), Wait),
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<RequestId>,
    Asked(query): Asked<Wait>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let wait = wait(Some(query.wait_ms.unwrap_or(0)))?;
    let seen = gateway.request(id, Duration::ZERO).await.ok_or(ApiFailure::NotFound)?;
    if !caller.may(scope_of(seen.kind)) {
        return Err(ApiFailure::Forbidden);
    }
    gateway.request(id, wait).await.map(answer).ok_or(ApiFailure::NotFound)
}

/// The scope of those who may see the answers to a kind of request.
fn scope_of(kind: &str) -> Scope {
    match kind {
        "data" | "data_batch" => Scope::DataRead,
        "login" => Scope::Login,
        "message" => Scope::Messages,
        "store" | "stored_get" | "stored_list" | "stored_delete" => Scope::DataWrite,
        _ => Scope::Requests,
    }
}

/// Asks, and waits for the answer as long as the call says.
pub(super) async fn ask_member(
    gateway: &Gateway,
    connection: ConnectionId,
    ask: Ask,
    wait_ms: Option<u64>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    gateway.ask(connection, ask, wait(wait_ms)?).await.map(answer).map_err(refused)
}

/// 200 when it ended, 202 while it is open.
pub(super) fn answer(view: RequestView) -> (StatusCode, Json<RequestView>) {
    let status = if view.status.is_open() { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(view))
}

pub(super) fn wait(wait_ms: Option<u64>) -> Result<Duration, ApiFailure> {
    let wait_ms = wait_ms.unwrap_or(DEFAULT_WAIT_MS);
    if wait_ms <= MAX_WAIT_MS {
        Ok(Duration::from_millis(wait_ms))
    } else {
        Err(ApiFailure::unsound("wait_ms: at most 60000"))
    }
}

/// The failure behind what kept a question from being asked.
pub(super) fn refused(error: RequestError) -> ApiFailure {
    match error {
        RequestError::UnknownConnection => ApiFailure::NotFound,
        RequestError::NotConnected => ApiFailure::NotConnected,
        RequestError::TooManyOpen => ApiFailure::TooMany,
        RequestError::NoNumbers | RequestError::Unsound(_) => ApiFailure::unsound(error),
        RequestError::Question(_) | RequestError::State(_) | RequestError::Sign(_) => unavailable(&error),
    }
}
