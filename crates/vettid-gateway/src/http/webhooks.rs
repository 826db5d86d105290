//! Webhooks: where events are sent.

use super::body::{Asked, Body, Id, NoBody};
use super::failure::{ApiFailure, unavailable};
use super::listing;
use crate::gateway::{Gateway, NewWebhook, WebhookError, WebhookSecret};
use crate::webhook::{DeliveryView, EventKind, WebhookView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::id::EventId;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(show, remove))
        .routes(routes!(renew))
        .routes(routes!(try_it))
        .routes(routes!(deliveries))
        .routes(routes!(replay))
}

/// A webhook to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookCall {
    /// Where events are sent: a public https address.
    url: String,
    /// Which events, such as `request.answered`; none named: all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    events: BTreeSet<EventKind>,
    /// Whether events say how requests ended; without it they name ids and states alone. Values are in no event.
    #[serde(default)]
    with_answers: bool,
}

/// A webhook, with the secret that is shown this once.
#[derive(Serialize, ToSchema)]
struct CreatedWebhook {
    /// The webhook.
    #[serde(flatten)]
    webhook: WebhookView,
    /// Verifies events (Standard Webhooks). It cannot be shown again.
    secret: String,
}

/// Webhooks, the oldest first.
#[derive(Serialize, ToSchema)]
struct WebhookList {
    /// The webhooks.
    webhooks: Vec<WebhookView>,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What is on its way to a webhook, in order.
#[derive(Serialize, ToSchema)]
struct DeliveryList {
    /// What is waiting or was set aside.
    deliveries: Vec<DeliveryView>,
    /// There are more: the `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which part of a list.
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

/// Which deliveries are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListedDeliveries {
    /// Those that are `waiting` or `set_aside`.
    status: Option<String>,
    /// How many, at most 200; 50 if it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What is sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayCall {
    /// This event alone; everything that was set aside if it is not said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    event_id: Option<EventId>,
}

/// What is sent again.
#[derive(Serialize, ToSchema)]
struct Replayed {
    /// How many events.
    replayed: usize,
}

/// A trial that is on its way.
#[derive(Serialize, ToSchema)]
struct Trial {
    /// Names the event.
    #[schema(value_type = String, format = "uuid")]
    event_id: EventId,
}

/// Registers a webhook.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "add_webhook", security(("api_key" = ["webhooks"])),
    request_body = WebhookCall,
    responses((status = 201, description = "The webhook.", body = CreatedWebhook)),
)]
async fn add(
    State(gateway): State<Gateway>,
    Body(call): Body<WebhookCall>,
) -> Result<(StatusCode, Json<CreatedWebhook>), ApiFailure> {
    let WebhookCall { url, events, with_answers } = call;
    let made = gateway.add_webhook(NewWebhook { url, events, with_answers }).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(created(made))))
}

/// Lists the webhooks, the oldest first.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    security(("api_key" = ["webhooks"])), params(Listed),
    responses((status = 200, description = "The webhooks.", body = WebhookList)),
)]
async fn list(State(gateway): State<Gateway>, Asked(query): Asked<Listed>) -> Result<Json<WebhookList>, ApiFailure> {
    let key = |view: &WebhookView| view.webhook_id.to_string();
    let (webhooks, next_cursor) = listing::page(gateway.webhooks(), query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(WebhookList { webhooks, next_cursor }))
}

/// One webhook.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "get_webhook",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid")),
    responses((status = 200, description = "The webhook.", body = WebhookView)),
)]
async fn show(State(gateway): State<Gateway>, Id(id): Id<EventId>) -> Result<Json<WebhookView>, ApiFailure> {
    gateway.webhook(id).map(Json).ok_or(ApiFailure::NotFound)
}

/// Forgets a webhook and everything that is on its way to it.
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "remove_webhook",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid")),
    responses((status = 204, description = "It is gone.")),
)]
async fn remove(State(gateway): State<Gateway>, Id(id): Id<EventId>) -> Result<StatusCode, ApiFailure> {
    gateway.remove_webhook(id).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a webhook a new secret; for a day, events are signed with the former one too.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/secret", tag = "webhooks", operation_id = "renew_webhook_secret",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid")),
    responses((status = 201, description = "The webhook with its new secret.", body = CreatedWebhook)),
)]
async fn renew(
    State(gateway): State<Gateway>,
    Id(id): Id<EventId>,
    _: NoBody,
) -> Result<(StatusCode, Json<CreatedWebhook>), ApiFailure> {
    let renewed = gateway.renew_webhook_secret(id).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(created(renewed))))
}

/// Sends an event that says nothing, to see whether it arrives.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/test", tag = "webhooks", operation_id = "test_webhook",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid")),
    responses((status = 202, description = "It is on its way.", body = Trial)),
)]
async fn try_it(
    State(gateway): State<Gateway>,
    Id(id): Id<EventId>,
    _: NoBody,
) -> Result<(StatusCode, Json<Trial>), ApiFailure> {
    let event_id = gateway.test_webhook(id).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(Trial { event_id })))
}

/// Lists what is on its way to a webhook or was set aside.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}/deliveries", tag = "webhooks", operation_id = "list_deliveries",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid"), ListedDeliveries),
    responses((status = 200, description = "The deliveries.", body = DeliveryList)),
)]
async fn deliveries(
    State(gateway): State<Gateway>,
    Id(id): Id<EventId>,
    Asked(query): Asked<ListedDeliveries>,
) -> Result<Json<DeliveryList>, ApiFailure> {
    let mut all = gateway.deliveries(id).ok_or(ApiFailure::NotFound)?;
    all.retain(|(_, view)| query.status.as_deref().is_none_or(|status| status == view.status));
    let key = |one: &(u64, DeliveryView)| format!("{:020}", one.0);
    let (page, next_cursor) = listing::page(all, query.limit, query.cursor.as_deref(), key)?;
    Ok(Json(DeliveryList { deliveries: page.into_iter().map(|(_, view)| view).collect(), next_cursor }))
}

/// Sends again what was set aside; a paused webhook goes on.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/replay", tag = "webhooks", operation_id = "replay_webhook",
    security(("api_key" = ["webhooks"])),
    params(("webhook_id" = String, Path, description = "The webhook.", format = "uuid")),
    request_body = ReplayCall,
    responses((status = 202, description = "They are on their way.", body = Replayed)),
)]
async fn replay(
    State(gateway): State<Gateway>,
    Id(id): Id<EventId>,
    Body(call): Body<ReplayCall>,
) -> Result<(StatusCode, Json<Replayed>), ApiFailure> {
    let replayed = gateway.replay_webhook(id, call.event_id).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(Replayed { replayed })))
}

fn created(made: WebhookSecret) -> CreatedWebhook {
    CreatedWebhook { webhook: made.webhook, secret: made.secret.to_string() }
}

fn refused(error: WebhookError) -> ApiFailure {
    match error {
        WebhookError::Address(_) => ApiFailure::BadAddress,
        WebhookError::TooMany => ApiFailure::TooMany,
        WebhookError::Unknown => ApiFailure::NotFound,
        WebhookError::State(_) => unavailable(&error),
    }
}
