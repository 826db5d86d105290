//! The provider's face: what clients and browsers call. Each handler reads, takes one step, answers; what is decided is
//! decided in the pure parts.

mod authorize;
mod backchannel;
mod client_auth;
mod cookie;
mod discovery;
mod login;
mod logout;
mod page;
mod token;
mod userinfo;
mod waiting;

use super::login::RETURN;
use super::provider::Provider;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};

/// Largest body of a request in bytes.
const MAX_BODY_BYTES: usize = 32 * 1024;

/// Everything below the path of the issuer.
pub(super) fn router(provider: Provider) -> Router {
    let path = provider.issuer().path();
    let below = Router::new()
        .route("/.well-known/openid-configuration", get(discovery::metadata))
        .route("/jwks", get(discovery::jwks))
        .route("/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/login/{id}", get(login::show))
        .route("/login/{id}/state", get(login::state))
        .route("/login/{id}/{step}", post(login::take))
        .route(RETURN, get(login::come_back))
        .route("/login.css", get(page::style))
        .route("/login.js", get(page::script))
        .route("/token", post(token::serve))
        .route("/revoke", post(token::revoke))
        .route("/backchannel", post(backchannel::serve))
        .route("/logout", get(logout::by_query).post(logout::by_form))
        .route("/logout/confirm", post(logout::confirm))
        .route("/userinfo", get(userinfo::serve).post(userinfo::serve_form))
        .with_state(provider)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    let router = if path.is_empty() { below } else { Router::new().nest(&path, below) };
    router.fallback(async || StatusCode::NOT_FOUND)
}
