//! `GET` and `POST /logout` (OpenID Connect RP-Initiated Logout): ends a session and everything that came from it, tells its
//! clients, and sends the browser only where a client registered. Without a genuine ID token the person is asked first.

use super::authorize::{go, problem};
use super::cookie;
use super::page::{Page, Script, escape};
use crate::oidc::form::Parameters;
use crate::oidc::handle::HandleHash;
use crate::oidc::provider::Provider;
use crate::oidc::redirect;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// By query.
pub(super) async fn by_query(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    serve(&provider, &headers, query.unwrap_or_default().as_bytes()).await
}

/// By form.
pub(super) async fn by_form(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Response {
    serve(&provider, &headers, &body).await
}

/// `POST /logout/confirm`: the person said yes.
pub(super) async fn confirm(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Response {
    let cookie = cookie::read(provider.issuer(), &headers);
    let form = Parameters::read(&body).unwrap_or_default();
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    let own = origin.is_none_or(|origin| origin == "null" || origin == provider.issuer().origin());
    let Some(cookie) = cookie.filter(|cookie| own && form.get("form_key") == Some(form_key(cookie).as_str())) else {
        return problem(&provider, "it was not asked for on this page");
    };
    let cookie = HandleHash::of(cookie);
    let sid = provider.look(|now, book| book.session(now, &cookie).map(|session| session.login.sid.clone())).await;
    if let Some(sid) = sid
        && let Err(failure) = provider.end_session(&sid).await
    {
        return failure.into_response();
    }
    done(&provider)
}

/// Known to the browser's own pages alone, as the cookie is.
fn form_key(cookie: &str) -> String {
    HandleHash::of(&format!("logout\n{cookie}")).as_str().to_owned()
}

async fn serve(provider: &Provider, headers: &HeaderMap, bytes: &[u8]) -> Response {
    let Ok(parameters) = Parameters::read(bytes) else {
        return problem(provider, "a parameter is repeated, or there are too many");
    };
    let Ok(hint) = hint(provider, &parameters) else {
        return problem(provider, "the ID token is not one of this client");
    };
    let client_id = parameters.get("client_id").or(hint.as_ref().map(|hint| hint.client_id.as_str()));
    let client = client_id.and_then(|client_id| provider.clients().get(client_id));
    let next = match parameters.get("post_logout_redirect_uri") {
        None => None,
        Some(next) => match client {
            Some(client) if client.post_logout_redirect_uris.iter().any(|known| known == next) => Some(next),
            _ => return problem(provider, "post_logout_redirect_uri is not one that the client registered"),
        },
    };
    let cookie = cookie::read(provider.issuer(), headers);
    let hashed = cookie.map(HandleHash::of);
    let session = provider.look(|now, book| hashed.and_then(|cookie| book.session(now, &cookie).cloned())).await;
    match (hint, cookie, session) {
        (Some(hint), ..) => {
            if let Some(sid) = provider.session_of(&hint.client_id, &hint.sid).await
                && let Err(failure) = provider.end_session(&sid).await
            {
                return failure.into_response();
            }
        }
        (None, Some(cookie), Some(_)) => return ask(provider, cookie),
        _ => {}
    }
    match next {
        Some(next) => {
            let state: Vec<(&str, &str)> = parameters.get("state").map(|state| ("state", state)).into_iter().collect();
            go(&if state.is_empty() { next.to_owned() } else { redirect::with(next, &state) })
        }
        None => done(provider),
    }
}

struct Hint {
    client_id: String,
    sid: String,
}

/// The session that an ID token speaks of. It may be over; it must be genuine, and of the client that is named.
fn hint(provider: &Provider, parameters: &Parameters) -> Result<Option<Hint>, ()> {
    let Some(token) = parameters.get("id_token_hint") else {
        return Ok(None);
    };
    let claims = provider.ring().open("JWT", token).map_err(|_| ())?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(());
    let hint = Hint { client_id: text("aud")?, sid: text("sid")? };
    let same = parameters.get("client_id").is_none_or(|client_id| client_id == hint.client_id);
    if same { Ok(Some(hint)) } else { Err(()) }
}

fn ask(provider: &Provider, cookie: &str) -> Response {
    let (action, key) = (provider.issuer().at("/logout/confirm"), form_key(cookie));
    let content = format!(
        "<p>This ends your login at every site that uses it.</p><form method=\"post\" action=\"{}\">\
         <input type=\"hidden\" name=\"form_key\" value=\"{}\"><button>Log out</button></form>",
        escape(&action),
        escape(&key),
    );
    page(provider, "Log out?", content)
}

fn done(provider: &Provider) -> Response {
    page(provider, "Logged out", "<p>You are logged out.</p>".to_owned())
}

fn page(provider: &Provider, title: &str, content: String) -> Response {
    let style = provider.issuer().at("/login.css");
    let (title, script) = (title.to_owned(), Script::default());
    Page { title, content, script, again_seconds: None, status: StatusCode::OK, style }.into_response()
}
