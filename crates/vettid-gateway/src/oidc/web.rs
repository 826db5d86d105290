//! The provider's face: what clients and browsers call. Each handler reads, takes one step, answers; what is decided is
//! decided in the pure parts.

mod authorize;
mod backchannel;
mod client_auth;
mod cookie;
mod cors;
mod discovery;
mod login;
mod logout;
mod page;
mod par;
mod posted;
mod token;
mod userinfo;
mod waiting;

use super::failure::Failure;
use super::login::RETURN;
use super::provider::Provider;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

/// Largest body of a request in bytes.
const MAX_BODY_BYTES: usize = 32 * 1024;

/// What a client is told to wait while the database is away, in seconds.
const AGAIN_SECONDS: &str = "5";
/// What begins something, or answers from what is stored; below the path of the issuer.
const STORED: [&str; 6] = ["/authorize", "/par", "/token", "/revoke", "/backchannel", "/userinfo"];

/// Everything below the path of the issuer.
pub(super) fn router(provider: Provider) -> Router {
    let path = provider.issuer().path();
    let for_scripts = Router::new()
        .route("/.well-known/openid-configuration", get(discovery::metadata))
        .route("/jwks", get(discovery::jwks))
        .route("/par", post(par::serve))
        .route("/token", post(token::serve))
        .route("/revoke", post(token::revoke))
        .route("/userinfo", get(userinfo::serve).post(userinfo::serve_form))
        .layer(from_fn_with_state(provider.clone(), cors::allow));
    let below = Router::new()
        .merge(for_scripts)
        .route("/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/login/{id}", get(login::show))
        .route("/login/{id}/state", get(login::state))
        .route("/login/{id}/{step}", post(login::take))
        .route(RETURN, get(login::come_back))
        .route("/login.css", get(page::style))
        .route("/login.js", get(page::script))
        .route("/backchannel", post(backchannel::serve))
        .route("/logout", get(logout::by_query).post(logout::by_form))
        .route("/logout/confirm", post(logout::confirm))
        .route_layer(from_fn_with_state(provider.clone(), require_database))
        .with_state(provider)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    let router = if path.is_empty() { below } else { Router::new().nest(&path, below) };
    router.fallback(async || StatusCode::NOT_FOUND)
}

/// Nothing is begun while it could not be stored; pages that wait go on waiting.
async fn require_database(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    if STORED.contains(&request.uri().path()) && provider.gateway().is_away() {
        return ([(RETRY_AFTER, AGAIN_SECONDS)], Failure::unavailable()).into_response();
    }
    next.run(request).await
}
