//! `POST /par`: a client pushes what it asks before it sends a browser (RFC 9126), and gets a reference for the browser to carry. What is
//! wrong is told to the client, and no browser is sent anywhere.

use super::token::form;
use super::{client_auth, cors};
use crate::clock;
use crate::oidc::authorize;
use crate::oidc::client::Client;
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::handle::Handle;
use crate::oidc::provider::Provider;
use crate::oidc::pushed::{LIFE_MS, PREFIX};
use crate::random;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `POST /par`.
pub(super) async fn serve(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Failure> {
    let form = form(&headers, query.as_deref(), &body)?;
    let client = client_auth::check(&provider, &headers, &form).await?;
    Ok(cors::by(client, push(&provider, client, &form)))
}

fn push(provider: &Provider, client: &Client, form: &Parameters) -> Result<Response, Failure> {
    if form.has("request_uri") {
        return Err(Failure::invalid("a request_uri is what this call gives: send the parameters themselves"));
    }
    let request = authorize::read_of(form, client)?;
    let reference = Handle::new(random::bytes());
    if !provider.pushed().add(clock::now(), reference.hash(), request) {
        return Err(Failure::unavailable());
    }
    let answer = json!({"request_uri": format!("{PREFIX}{}", reference.expose()), "expires_in": LIFE_MS / 1000});
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
