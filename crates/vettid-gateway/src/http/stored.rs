//! What the service stores with its members: stored, read back, listed in pages, deleted. Every call is a request to the member's
//! vault, which may refuse it; nothing of it is kept here.

use super::body::{Asked, Body, Id};
use super::failure::ApiFailure;
use super::requests::ask_member;
use crate::gateway::Gateway;
use crate::question::{Ask, OfStored};
use crate::view::{RequestView, Status};
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::base64::{decode_url, encode_url};
use vettid_wire::data::is_field_name;
use vettid_wire::id::ConnectionId;
use vettid_wire::json;
use vettid_wire::stored::{MAX_LISTED, MAX_VALUE_BYTES, StoredOutcome, StoredPlace, is_stored_name};
use vettid_wire::time::Timestamp;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(store, list)).routes(routes!(read, delete))
}

/// Stores a value with a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StoreCall {
    /// A category of the contract.
    category: String,
    /// Its name in that category: letters, digits, `_`, `-`, `.`, at most 64; what stood there is replaced.
    #[schema(max_length = 64)]
    name: String,
    /// Any JSON value of at most 24 KiB.
    #[schema(value_type = Value)]
    value: Value,
    /// It is gone from then on; absent, it stays until somebody deletes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// What is listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListedStored {
    /// Only this category.
    category: Option<String>,
    /// How many, at most 100, and as many if it is not said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[param(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// How long to wait for the member's vault.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitStored {
    /// How long the call waits for the answer, in milliseconds; 10 000 if it is not said.
    #[param(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// A page of what is stored.
#[derive(Serialize, ToSchema)]
struct StoredPage {
    /// The request; `done` with `result.listed`, by category and name, without values.
    #[serde(flatten)]
    request: RequestView,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The connection and the place in the address. What cannot be one names nothing.
struct Addressed(ConnectionId, StoredPlace);

impl<S: Send + Sync> FromRequestParts<S> for Addressed {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let Path((id, category, name)) = path.map_err(|_| ApiFailure::NotFound)?;
        let id = id.parse().map_err(|_| ApiFailure::NotFound)?;
        place(category, name).map(|place| Self(id, place)).ok_or(ApiFailure::NotFound)
    }
}

fn place(category: String, name: String) -> Option<StoredPlace> {
    (is_field_name(&category) && is_stored_name(&name)).then_some(StoredPlace { category, name })
}

/// Stores a value with a member, in place of what stood under that name.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/stored", tag = "stored", operation_id = "store_data",
    security(("api_key" = ["data:write"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body = StoreCall,
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn store(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<StoreCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let unsound =
        || ApiFailure::unsound("category: as in the contract; name: 1 to 64 letters, digits, and any of . _ -");
    let place = place(call.category, call.name).ok_or_else(unsound)?;
    let bytes = json::canonical(&call.value).map_err(|_| ApiFailure::unsound("value: whole numbers below 2^53"))?.len();
    if bytes > MAX_VALUE_BYTES {
        return Err(ApiFailure::unsound(format!("value: at most {MAX_VALUE_BYTES} bytes")));
    }
    let put = OfStored::Put { place, value: call.value, expires_at: call.expires_at };
    ask_member(&gateway, id, Ask::Stored(put), call.wait_ms).await
}

/// Lists what the service stored with a member, by category and name, without values.
#[utoipa::path(
    get, path = "/v1/connections/{connection_id}/stored", tag = "stored", operation_id = "list_stored",
    security(("api_key" = ["data:write"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid"), ListedStored),
    responses(
        (status = 200, description = "The request ended.", body = StoredPage),
        (status = 202, description = "The request is open.", body = StoredPage),
    ),
)]
async fn list(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Asked(query): Asked<ListedStored>,
) -> Result<(StatusCode, Json<StoredPage>), ApiFailure> {
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let is_within = |place: &StoredPlace| query.category.as_ref().is_none_or(|only| *only == place.category);
    let is_sound = query.category.as_deref().is_none_or(is_field_name)
        && query.limit.is_none_or(|limit| (1..=MAX_LISTED).contains(&limit))
        && after.as_ref().is_none_or(is_within);
    if !is_sound {
        return Err(ApiFailure::unsound(format!(
            "category: as in the contract, limit: 1 to {MAX_LISTED}, cursor: of the same category"
        )));
    }
    let wanted = OfStored::List { category: query.category, after, limit: query.limit };
    let (status, Json(request)) = ask_member(&gateway, id, Ask::Stored(wanted), query.wait_ms).await?;
    let next_cursor = next_cursor(&request);
    Ok((status, Json(StoredPage { request, next_cursor })))
}

/// Reads one thing back.
#[utoipa::path(
    get, path = "/v1/connections/{connection_id}/stored/{category}/{name}", tag = "stored", operation_id = "get_stored",
    security(("api_key" = ["data:write"])),
    params(
        ("connection_id" = String, Path, description = "The connection.", format = "uuid"),
        ("category" = String, Path, description = "Its category."),
        ("name" = String, Path, description = "Its name."),
        WaitStored,
    ),
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn read(
    State(gateway): State<Gateway>,
    Addressed(id, place): Addressed,
    Asked(query): Asked<WaitStored>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    ask_member(&gateway, id, Ask::Stored(OfStored::Get(place)), query.wait_ms).await
}

/// Deletes one thing.
#[utoipa::path(
    delete, path = "/v1/connections/{connection_id}/stored/{category}/{name}", tag = "stored",
    operation_id = "delete_stored",
    security(("api_key" = ["data:write"])),
    params(
        ("connection_id" = String, Path, description = "The connection.", format = "uuid"),
        ("category" = String, Path, description = "Its category."),
        ("name" = String, Path, description = "Its name."),
        WaitStored,
    ),
    responses(
        (status = 200, description = "The request ended.", body = RequestView),
        (status = 202, description = "The request is open.", body = RequestView),
    ),
)]
async fn delete(
    State(gateway): State<Gateway>,
    Addressed(id, place): Addressed,
    Asked(query): Asked<WaitStored>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    ask_member(&gateway, id, Ask::Stored(OfStored::Delete(place)), query.wait_ms).await
}

fn next_cursor(request: &RequestView) -> Option<String> {
    let Status::Done { result } = &request.status else { return None };
    let StoredOutcome::Listed { items, more: true, .. } = &**result else { return None };
    items.last().map(|last| encode_url(format!("{}/{}", last.category, last.name).as_bytes()))
}

fn read_cursor(cursor: &str) -> Result<StoredPlace, ApiFailure> {
    let text = decode_url(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let named = text.as_deref().and_then(|text| text.split_once('/'));
    let last = named.and_then(|(category, name)| place(category.to_owned(), name.to_owned()));
    last.ok_or_else(|| ApiFailure::unsound("cursor: `next_cursor` of the page before"))
}
