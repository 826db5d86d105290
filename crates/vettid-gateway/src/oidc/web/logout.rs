//! `GET` and `POST /logout` (OpenID Connect RP-Initiated Logout): ends a session and everything that came from it, tells its
//! clients, and sends the browser only where a client registered. What no genuine ID token speaks of, the person is asked.

use super::authorize::{go, problem};
use super::page::{Page, Script, escape};
use super::{cookie, posted};
use crate::oidc::book::Login;
use crate::oidc::client::Client;
use crate::oidc::failure::Failure;
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
use std::collections::BTreeSet;

/// Longest `state` in bytes.
const MAX_STATE_BYTES: usize = 2048;

/// By query.
pub(super) async fn by_query(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match posted::of_query(&provider, query.as_deref()).and_then(|parameters| wanted(&provider, &parameters)) {
        Ok((hint, next)) => serve(&provider, &headers, hint, next).await,
        Err(reason) => problem(&provider, reason),
    }
}

/// By form: checked, kept, and served when the browser comes again by a GET, because the cookie does not come along with a form of
/// another site.
pub(super) async fn by_form(State(provider): State<Provider>, body: Bytes) -> Response {
    let Ok(parameters) = Parameters::read(&body) else {
        return problem(&provider, posted::REPEATED);
    };
    let checked = wanted(&provider, &parameters).map(drop);
    let kept = checked.and_then(|()| posted::again(&provider, "/logout", parameters));
    kept.unwrap_or_else(|reason| problem(&provider, reason))
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
    let next = match next(&provider, &form, form.get("client_id")) {
        Ok(next) => next,
        Err(reason) => return problem(&provider, reason),
    };
    if let Some(login) = current(&provider, Some(cookie)).await
        && let Err(failure) = provider.end_session(&login.sid).await
    {
        return failure.into_response();
    }
    done(&provider, next.as_ref())
}

/// Known to the browser's own pages alone, as the cookie is.
fn form_key(cookie: &str) -> String {
    HandleHash::of(&format!("logout\n{cookie}")).as_str().to_owned()
}

/// The session that an ID token speaks of.
struct Hint {
    client_id: String,
    subject: String,
    sid: String,
}

/// Where the browser goes on to: an address that its client registered.
struct Next {
    client_id: String,
    address: String,
    state: Option<String>,
}

impl Next {
    fn to_address(&self) -> String {
        match &self.state {
            Some(state) => redirect::with(&self.address, &[("state", state)]),
            None => self.address.clone(),
        }
    }
}

/// What a client wants: whose session ends, and where the browser goes on to.
fn wanted(provider: &Provider, parameters: &Parameters) -> Result<(Option<Hint>, Option<Next>), &'static str> {
    let hint = hint(provider, parameters)?;
    let client_id = parameters.get("client_id").or(hint.as_ref().map(|hint| hint.client_id.as_str()));
    // Nobody knows whose address it would be: the person is asked, and stays here.
    let is_nobodys = client_id.is_none() && parameters.has("id_token_hint");
    let next = if is_nobodys { None } else { next(provider, parameters, client_id)? };
    Ok((hint, next))
}

async fn serve(provider: &Provider, headers: &HeaderMap, hint: Option<Hint>, next: Option<Next>) -> Response {
    let cookie = cookie::read(provider.issuer(), headers);
    if let Some(hint) = hint
        && let Err(failure) = end(provider, &hint, current(provider, cookie).await).await
    {
        return failure.into_response();
    }
    // Whoever is logged in here now was not named by a client: nobody but the person may say so.
    let stands = current(provider, cookie).await;
    match (cookie, stands, next) {
        (Some(cookie), Some(_), next) => ask(provider, cookie, next.as_ref()),
        (_, _, Some(next)) => go(&next.to_address()),
        (_, _, None) => done(provider, None),
    }
}

/// The login that stands in a browser.
async fn current(provider: &Provider, cookie: Option<&str>) -> Option<Login> {
    let cookie = HandleHash::of(cookie?);
    provider.look(|now, book| book.session(now, &cookie).map(|session| session.login.clone())).await
}

/// Ends the session of a hint, and that of the browser if it is the same member's.
async fn end(provider: &Provider, hint: &Hint, current: Option<Login>) -> Result<(), Failure> {
    let current = match current {
        Some(login) if provider.is_of(login.connection_id, &hint.client_id, &hint.subject).await => Some(login.sid),
        _ => None,
    };
    let named = provider.session_of(&hint.client_id, &hint.sid).await;
    let sids: BTreeSet<String> = named.into_iter().chain(current).collect();
    for sid in sids {
        provider.end_session(&sid).await?;
    }
    Ok(())
}

/// Where the client wants the browser to go on to.
fn next(provider: &Provider, parameters: &Parameters, client_id: Option<&str>) -> Result<Option<Next>, &'static str> {
    let Some(address) = parameters.get("post_logout_redirect_uri") else {
        return Ok(None);
    };
    let client = client_id.and_then(|client_id| provider.clients().get(client_id));
    let is_registered = |client: &&Client| client.post_logout_redirect_uris.iter().any(|known| known == address);
    let client =
        client.filter(is_registered).ok_or("post_logout_redirect_uri is not one that the client registered")?;
    let state = parameters.get("state").map(str::to_owned);
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
        return Err("state has at most 2048 bytes");
    }
    Ok(Some(Next { client_id: client.client_id.clone(), address: address.to_owned(), state }))
}

/// The session that an ID token speaks of. It may be over; it must be of the client that is named. A token that cannot be read is
/// none: the person in front of the browser wants to be logged out and is asked.
fn hint(provider: &Provider, parameters: &Parameters) -> Result<Option<Hint>, &'static str> {
    let claims = parameters.get("id_token_hint").and_then(|token| provider.ring().open_hint(token).ok());
    let text = |name: &str| claims.as_ref()?.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(client_id), Some(subject), Some(sid)) = (text("aud"), text("sub"), text("sid")) else {
        return Ok(None);
    };
    let same = parameters.get("client_id").is_none_or(|named| named == client_id);
    if same { Ok(Some(Hint { client_id, subject, sid })) } else { Err("the ID token is not one of this client") }
}

fn ask(provider: &Provider, cookie: &str, next: Option<&Next>) -> Response {
    let key = form_key(cookie);
    let mut fields = vec![("form_key", key.as_str())];
    if let Some(next) = next {
        fields.extend([("client_id", next.client_id.as_str()), ("post_logout_redirect_uri", next.address.as_str())]);
        fields.extend(next.state.as_deref().map(|state| ("state", state)));
    }
    let fields: String = fields
        .into_iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)))
        .collect();
    let action = escape(&provider.issuer().at("/logout/confirm"));
    let content = format!(
        "<p>This ends your login at every site that uses it.</p><form method=\"post\" action=\"{action}\">\
         {fields}<button>Log out</button></form>"
    );
    page(provider, "Log out?", content)
}

/// With a link and not a redirect: browsers hold a redirect after a form to the form's own site.
fn done(provider: &Provider, next: Option<&Next>) -> Response {
    let back = next.map(|next| {
        let name = provider.clients().get(&next.client_id).map_or("the site", |client| client.name.as_str());
        format!("<p><a href=\"{}\">Back to {}</a></p>", escape(&next.to_address()), escape(name))
    });
    page(provider, "Logged out", format!("<p>You are logged out.</p>{}", back.unwrap_or_default()))
}

fn page(provider: &Provider, title: &str, content: String) -> Response {
    let style = provider.issuer().at("/login.css");
    let (title, script) = (title.to_owned(), Script::default());
    Page { title, content, script, again_seconds: None, status: StatusCode::OK, style }.into_response()
}
