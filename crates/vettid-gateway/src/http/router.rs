//! The table of the resources, and what every call goes through on its way to them.

use super::access::{self, Access};
use super::failure::ApiFailure;
use super::{
    api_keys, authorisations, batches, call, connections, contract, document, idempotency, invitations, keys, logins,
    messages, page, probes, requests, stored, values, verification, webhooks,
};
use crate::gateway::Gateway;
use crate::tasks::Tasks;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

/// The resources: one file and one row each.
const RESOURCES: &[fn() -> OpenApiRouter<Gateway>] = &[
    invitations::routes,
    connections::routes,
    contract::routes,
    requests::routes,
    logins::routes,
    authorisations::routes,
    batches::routes,
    messages::routes,
    stored::routes,
    keys::routes,
    verification::routes,
    probes::routes,
    document::routes,
    values::routes,
    webhooks::routes,
    api_keys::routes,
];

/// All calls, and their description.
pub(super) fn calls() -> OpenApiRouter<Gateway> {
    let first = OpenApiRouter::with_openapi(document::head());
    RESOURCES.iter().fold(first, |all, routes| all.merge(routes()))
}

/// Everything that is served.
pub(super) fn router(gateway: Gateway, demo_page: bool, tasks: &Tasks) -> Router {
    let (calls, document) = calls().split_for_parts();
    let access = Access::new(&document, gateway.clone());
    let calls = calls
        .route_layer(from_fn_with_state(gateway.clone(), idempotency::once))
        .route_layer(from_fn_with_state(tasks.clone(), call::finish))
        .route_layer(from_fn(call::take_body))
        .route_layer(from_fn_with_state(gateway.clone(), probes::require_database))
        .route_layer(from_fn_with_state(access, access::require_scope))
        .route_layer(from_fn_with_state(gateway.clone(), probes::count));
    let open = if demo_page { Router::new().route("/", get(page::show)) } else { Router::new() };
    calls
        .merge(open)
        .fallback(async || ApiFailure::NotFound)
        .method_not_allowed_fallback(async || ApiFailure::MethodNotAllowed)
        .layer(from_fn(access::require_own_host))
        .layer(from_fn(call::name))
        .with_state(gateway)
}
