//! `GET` and `POST /userinfo`: what the contract allows, fresh out of the member's vault. Takes a token in the header and
//! nowhere else.

use super::cors;
use crate::gateway::Gateway;
use crate::oidc::book::Grant;
use crate::oidc::claims::{shaped, wanted};
use crate::oidc::failure::Failure;
use crate::oidc::provider::Provider;
use crate::view::{ConnectionView, Status};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::task::JoinSet;
use vettid_wire::id::ConnectionId;

/// A client waits at most this long for a member's vault.
const WAIT: Duration = Duration::from_secs(10);

/// By `GET`.
pub(super) async fn serve(State(provider): State<Provider>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    answer(&provider, &headers, query.as_deref(), &[]).await
}

/// By `POST`.
pub(super) async fn serve_form(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    answer(&provider, &headers, query.as_deref(), &body).await
}

async fn answer(provider: &Provider, headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Response {
    let grant = match bearer(provider, headers, query, body).await {
        Ok(grant) => grant,
        Err(failure) => return failure.to_bearer(),
    };
    let claims = claims(provider, &grant).await;
    let answer = |claims| ([(CACHE_CONTROL, "no-store")], Json(claims)).into_response();
    cors::of(&grant.client_id, claims.map_or_else(Failure::to_bearer, answer))
}

async fn claims(provider: &Provider, grant: &Grant) -> Result<Map<String, Value>, Failure> {
    let gone = Failure::new("invalid_token", "the member has ended the connection");
    let view = provider.active(grant.login.connection_id).await.ok_or(gone)?;
    let client = provider.clients().get(&grant.client_id).ok_or(gone)?;
    let sector = client.sector().ok_or(gone)?;
    let mut claims = read(provider, grant, &view, &client.name).await;
    claims.insert("sub".to_owned(), provider.subject(&sector, &view.member_fingerprint).into());
    Ok(claims)
}

/// The grant behind the token in the header.
async fn bearer(provider: &Provider, headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Grant, Failure> {
    let elsewhere = query.is_some_and(|query| query.contains("access_token")) || !body.is_empty();
    if elsewhere {
        return Err(Failure::invalid("the token stands in the header: Authorization: Bearer"));
    }
    let shown =
        headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    let token = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")).map(|(_, token)| token.trim());
    let none = Failure::new("invalid_token", "no access token that counts");
    let token = token.ok_or(none)?;
    provider.look(|now, book| book.access(now, token).cloned()).await.ok_or(none)
}

/// Asks the vault for every field at once; what it does not hand out is left out.
async fn read(provider: &Provider, grant: &Grant, view: &ConnectionView, client_name: &str) -> Map<String, Value> {
    let gateway = provider.gateway();
    let fields = wanted(&provider.settings().claims, &grant.scope, &gateway.contract(), &view.optional_fields_accepted);
    let mut asked = JoinSet::new();
    for (claim, field) in fields {
        let purpose = format!("Log in to {client_name}");
        asked.spawn(one(gateway.clone(), view.connection_id, claim.to_owned(), field.to_owned(), purpose));
    }
    let mut claims = Map::new();
    if grant.scope.contains("profile") {
        claims.insert("name".to_owned(), view.display_name.clone().into());
    }
    while let Some(answer) = asked.join_next().await {
        claims.extend(answer.ok().flatten());
    }
    claims
}

async fn one(
    gateway: Gateway,
    connection: ConnectionId,
    claim: String,
    field: String,
    purpose: String,
) -> Option<(String, Value)> {
    let view = gateway.request_data(connection, &field, &purpose, WAIT).await.ok()?;
    match view.status {
        Status::Served { value, .. } => Some((claim.clone(), shaped(&claim, value)?)),
        _ => None,
    }
}
