//! Which scripts of other origins may read answers (the Fetch standard): those of public clients, from the origins of their own redirect
//! addresses. Never with cookies, and never for the pages of a login.

use crate::oidc::client::Client;
use crate::oidc::failure::Failure;
use crate::oidc::provider::Provider;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Browsers remember a permission for this long, in seconds.
const REMEMBERED_SECONDS: &str = "600";

/// Whose answer it is.
#[derive(Debug, Clone)]
struct By(String);

/// The answer to a client that has shown who it is: no other client's scripts may read it.
pub(super) fn by(client: &Client, answer: Result<Response, Failure>) -> Response {
    of(&client.client_id, answer.into_response())
}

/// The answer about something of this client.
pub(super) fn of(client_id: &str, mut response: Response) -> Response {
    response.extensions_mut().insert(By(client_id.to_owned()));
    response
}

/// Lets scripts read what they may, and answers the question that browsers ask before a call.
pub(super) async fn allow(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if asks_first && origin.is_some() { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let by = response.extensions().get::<By>().map(|by| by.0.clone());
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin.filter(|origin| may_read(&provider, by.as_deref(), origin)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks_first {
            say_what(headers);
        }
    }
    response
}

fn say_what(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED_SECONDS));
}

/// An answer of nobody in particular (metadata, keys, an error before the client was known) is for the scripts of every public client.
fn may_read(provider: &Provider, by: Option<&str>, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    match by {
        Some(client_id) => provider.clients().get(client_id).is_some_and(|client| client.has_scripts_at(origin)),
        None => provider.clients().all().any(|client| client.has_scripts_at(origin)),
    }
}
