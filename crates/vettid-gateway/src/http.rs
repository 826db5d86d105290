//! The face for the service's own programs: JSON over HTTP on a loopback address, under one API key. Every error has the
//! same form; nothing is told to whoever does not show the key.

mod api;
mod authorisations;
mod failure;
mod page;

use crate::config::Http;
use crate::gateway::Gateway;
use crate::key_file::{ApiKey, KeyFileError};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use failure::ApiFailure;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Largest body of a call in bytes.
const MAX_BODY_BYTES: usize = 32 * 1024;

/// Why the face is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The API key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The address is taken or not allowed.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Listens and serves until the token is cancelled; gives the address with its port.
pub(crate) async fn serve(
    gateway: Gateway,
    http: &Http,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<SocketAddr, HttpError> {
    let key = ApiKey::read_or_make(&http.api_key_file)?;
    let failed = |source| HttpError::Listen { address: http.listen, source };
    let listener = TcpListener::bind(http.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = router(gateway, key, http.demo_page);
    tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the http face ended");
        }
    });
    Ok(address)
}

fn router(gateway: Gateway, key: ApiKey, demo_page: bool) -> Router {
    let calls = Router::new()
        .route("/v1/invitations", post(api::invite))
        .route("/v1/connections", get(api::connections))
        .route("/v1/connections/{id}", get(api::connection).delete(api::revoke))
        .route("/v1/connections/{id}/data-requests", post(api::request_data))
        .route("/v1/connections/{id}/logins", post(api::request_login))
        .route("/v1/requests/{id}", get(api::request))
        .route("/v1/connections/{id}/authorisations", post(authorisations::authorise).get(authorisations::requests))
        .route("/v1/records/{id}", get(authorisations::record))
        .layer(middleware::from_fn_with_state(key, require_key));
    let open = Router::new().route("/healthz", get(api::health));
    let open = if demo_page { open.route("/", get(page::show)) } else { open };
    calls
        .merge(open)
        .fallback(async || ApiFailure::NotFound)
        .method_not_allowed_fallback(async || ApiFailure::MethodNotAllowed)
        .layer(middleware::from_fn(require_own_host))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(gateway)
}

async fn require_key(State(key): State<ApiKey>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    if shown.is_some_and(|shown| key.is(shown)) {
        next.run(request).await
    } else {
        ApiFailure::Unauthorized.into_response()
    }
}

/// Refuses pages of other sites that reach this machine under a name of their own (DNS rebinding).
async fn require_own_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    if host.is_some_and(is_own_host) { next.run(request).await } else { ApiFailure::NotFound.into_response() }
}

fn is_own_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => host.split(':').next(),
    };
    matches!(name, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served() {
        for right in ["localhost", "localhost:8090", "127.0.0.1:8090", "[::1]:8090", "[::1]"] {
            assert!(is_own_host(right), "{right}");
        }
        for wrong in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8090", "[::2]", "10.0.0.1"]
        {
            assert!(!is_own_host(wrong), "{wrong}");
        }
    }
}
