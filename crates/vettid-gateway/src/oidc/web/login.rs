//! The login page: who is it, wait for the app, go back to the client. Each address belongs to one browser by its cookie;
//! each form carries a key that no other site knows.

use super::authorize::{error_address, go, issue, problem};
use super::page::{Page, button, escape, qr_svg};
use super::{authorize, cookie};
use crate::clock;
use crate::gateway::RequestError;
use crate::oidc::book::Login;
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::handle::{Handle, HandleHash};
use crate::oidc::login::{self, Pending, Progress, Stage};
use crate::oidc::provider::Provider;
use crate::random;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use vettid_wire::base64::encode_url;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, InviteId, RequestId};
use vettid_wire::time::Timestamp;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A page that waits is answered after this long at the latest.
const WAIT: Duration = Duration::from_secs(2);
/// Between two looks at a page that waits, in seconds.
const AGAIN_SECONDS: u32 = 1;

const GONE: &str = "it is over, or was begun with another browser";

/// A login of this browser and its id.
struct Found {
    id: String,
    pending: Pending,
    cookie: HandleHash,
}

fn find(provider: &Provider, id: String, headers: &HeaderMap) -> Option<Found> {
    let cookie = HandleHash::of(cookie::read(provider.issuer(), headers)?);
    let pending = provider.waiting().get(clock::now(), &id, &cookie)?;
    Some(Found { id, pending, cookie })
}

/// Finds the login that a form belongs to. A form of another site has neither the cookie nor the key.
fn find_for_form(provider: &Provider, id: String, headers: &HeaderMap, body: &[u8]) -> Option<Found> {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let own = header(&FETCH_SITE).is_none_or(|site| site == "same-origin")
        && header(&ORIGIN)
            .is_none_or(|origin| origin == provider.issuer().origin() || is_hidden(origin, header(&HOST)));
    let found = find(provider, id, headers)?;
    let form = Parameters::read(body).ok()?;
    let has_key =
        form.get("form_key").is_some_and(|key| HandleHash::of(key) == HandleHash::of(&found.pending.form_key));
    (own && has_key).then_some(found)
}

/// A page without referrer sends the origin `null` with its own forms.
fn is_hidden(origin: &str, host: Option<&str>) -> bool {
    origin == "null" && host.is_some()
}

/// `GET /login/{id}`.
pub(super) async fn show(State(provider): State<Provider>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(found) = find(&provider, id, &headers) else {
        return problem(&provider, GONE);
    };
    match found.pending.stage.clone() {
        Stage::Choose(known) => choose(&provider, &found, known).await,
        Stage::Inviting { invite_id, link } => inviting(&provider, &found, invite_id, &link).await,
        Stage::Asking { connection_id, request_id, number } => {
            asking(&provider, found, (connection_id, request_id), number).await
        }
    }
}

/// `POST /login/{id}/invite`: shows an invitation to whoever is not known here.
pub(super) async fn invite(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(found) = find_for_form(&provider, id, &headers, &body) else {
        return problem(&provider, GONE);
    };
    if found.pending.only.is_some() {
        return problem(&provider, "the site asked for another member");
    }
    match provider.gateway().invite().await {
        Ok(invitation) => {
            let stage = Stage::Inviting { invite_id: invitation.invite_id, link: invitation.link };
            provider.waiting().set(&found.id, stage);
            go(&address(&provider, &found.id, ""))
        }
        Err(error) => {
            tracing::warn!(%error, "no invitation could be made for a login");
            problem(&provider, "no invitation can be made now")
        }
    }
}

/// `POST /login/{id}/ask`: asks the member who is known here.
pub(super) async fn ask(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(found) = find_for_form(&provider, id, &headers, &body) else {
        return problem(&provider, GONE);
    };
    let connection_id = match found.pending.stage {
        Stage::Choose(Some(connection_id)) | Stage::Asking { connection_id, .. } => connection_id,
        _ => return go(&address(&provider, &found.id, "")),
    };
    ask_member(&provider, &found, connection_id).await
}

/// `POST /login/{id}/cancel`: back to the client without a login.
pub(super) async fn cancel(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(found) = find_for_form(&provider, id, &headers, &body) else {
        return problem(&provider, GONE);
    };
    provider.waiting().forget(&found.id);
    // A link and not a redirect: browsers hold a redirect after a form to the form's own site.
    let back = back(&provider, &found.pending);
    page(&provider, &found, format!("<p>Nobody was logged in.</p>{back}"), None).into_response()
}

async fn ask_member(provider: &Provider, found: &Found, connection_id: ConnectionId) -> Response {
    let session = format!("{}\n{}", found.id, found.cookie.as_str());
    match login::ask(provider, connection_id, session.as_bytes(), found.pending.display.clone()).await {
        Ok((request_id, number)) => {
            provider.waiting().set(&found.id, Stage::Asking { connection_id, request_id, number });
            go(&address(provider, &found.id, ""))
        }
        Err(RequestError::UnknownConnection | RequestError::NotConnected) => {
            provider.waiting().set(&found.id, Stage::Choose(None));
            go(&address(provider, &found.id, ""))
        }
        Err(error) => {
            tracing::warn!(%error, "a member could not be asked to log in");
            problem(provider, "the member cannot be asked now")
        }
    }
}

async fn choose(provider: &Provider, found: &Found, known: Option<ConnectionId>) -> Response {
    let known = match known {
        Some(id) => provider.active(id).await,
        None => None,
    };
    let form = |path: &str, label: &str| button(&address(provider, &found.id, path), &found.pending.form_key, label);
    let mut content = format!("<p>{} wants to know that it is you.</p>", escape(client_name(provider, &found.pending)));
    match known {
        // Only the browser itself knows whom it knows; a name out of a hint of the site is not shown.
        Some(_) if found.pending.only.is_some() || found.pending.request.login_hint.is_some() => {
            content.push_str(&form("/ask", "Ask my VettID app"));
        }
        Some(view) => content.push_str(&form("/ask", &format!("Log in as {}", view.display_name))),
        None => {}
    }
    if found.pending.only.is_none() {
        let label = if content.contains("<form") { "Somebody else" } else { "Log in with VettID" };
        content.push_str(&form("/invite", label));
    }
    content.push_str(&form("/cancel", "Cancel"));
    page(provider, found, content, None).into_response()
}

async fn inviting(provider: &Provider, found: &Found, invite_id: InviteId, link: &str) -> Response {
    let connection = provider.gateway().connection_of(invite_id);
    let view = match connection {
        Some(id) => provider.gateway().connection(id).await,
        None => None,
    };
    let cancel = button(&address(provider, &found.id, "/cancel"), &found.pending.form_key, "Cancel");
    let content = match view.map(|view| (view.connection_id, view.state)) {
        Some((connection_id, ConnectionState::Active)) => return ask_member(provider, found, connection_id).await,
        Some((_, ConnectionState::Requested)) => {
            format!("<p role=\"status\">Read what is asked for in your VettID app, and agree to it there.</p>{cancel}")
        }
        Some(_) => {
            provider.waiting().set(&found.id, Stage::Choose(None));
            let again = button(&address(provider, &found.id, "/invite"), &found.pending.form_key, "Try again");
            format!("<p role=\"alert\">The connection was not made.</p>{again}{}", back(provider, &found.pending))
        }
        None => {
            let Some(code) = qr_svg(link) else {
                return problem(provider, "the invitation cannot be shown");
            };
            let link = escape(link);
            format!(
                "<figure role=\"img\" aria-label=\"Invitation as a QR code\">{code}</figure>\
                 <p>Scan the code with your VettID app, or paste the link below into it.</p>\
                 <details><summary>Show the link</summary><code>{link}</code></details>{cancel}"
            )
        }
    };
    page(provider, found, content, Some(AGAIN_SECONDS * 2)).into_response()
}

async fn asking(
    provider: &Provider,
    found: Found,
    (connection_id, request_id): (ConnectionId, RequestId),
    number: u8,
) -> Response {
    let said = match login::progress(provider, request_id, WAIT).await {
        Progress::Open => {
            let display = &found.pending.display;
            let content = format!(
                "<p role=\"status\">Open your VettID app and approve the login with this number: <output>{number}</output></p>\
                 <p>The app shows the site <strong>{}</strong> and a browser at {}. If it shows anything else, deny it.</p>{}",
                escape(&provider.issuer().origin()),
                escape(&display.ip_prefix),
                button(&address(provider, &found.id, "/cancel"), &found.pending.form_key, "Cancel"),
            );
            return page(provider, &found, content, Some(AGAIN_SECONDS)).into_response();
        }
        Progress::Approved { auth_time, amr } => return finish(provider, &found, connection_id, auth_time, amr).await,
        Progress::Denied => "The login was denied in the app.",
        Progress::Refused => "Your vault did not let the request through. The app says why.",
        Progress::Expired => "Nobody answered in time.",
    };
    let again = button(&address(provider, &found.id, "/ask"), &found.pending.form_key, "Try again");
    let content = format!("<p role=\"alert\">{said}</p>{again}{}", back(provider, &found.pending));
    page(provider, &found, content, None).into_response()
}

/// The member approved: a session under a new cookie, a code, back to the client.
async fn finish(
    provider: &Provider,
    found: &Found,
    connection_id: ConnectionId,
    auth_time: Timestamp,
    amr: Vec<String>,
) -> Response {
    let next = Handle::new(random::bytes());
    // Taken before anything else: two tabs that see the same approval make one login.
    let Some(pending) = provider.waiting().take(&found.id, &next.hash()) else {
        return problem(provider, GONE);
    };
    let is_expected = pending.only.is_none_or(|only| only == connection_id);
    if !is_expected || provider.active(connection_id).await.is_none() {
        return problem(provider, "the connection has ended, or it is another member than the site expects");
    }
    let login = Login { connection_id, sid: encode_url(&random::bytes::<16>()), auth_time, amr };
    let (lives, kept, cookie) = (provider.lives(), login.clone(), next.hash());
    let begun = provider.step(|now, book| {
        book.begin_session(now, Some(&found.cookie), &cookie, kept, lives);
        Ok(())
    });
    let address = match begun.await {
        Ok(()) => issue(provider, &pending.request, login).await,
        Err(failure) => Err(failure),
    };
    let address = address.unwrap_or_else(|failure| {
        error_address(provider, &pending.request.redirect_uri, pending.request.state.as_deref(), failure)
    });
    let mut response = go(&address);
    if let Some(line) = cookie::set(provider.issuer(), &next) {
        response.headers_mut().insert(SET_COOKIE, line);
    }
    response
}

fn address(provider: &Provider, id: &str, path: &str) -> String {
    provider.issuer().at(&format!("/login/{id}{path}"))
}

fn client_name<'p>(provider: &'p Provider, pending: &Pending) -> &'p str {
    provider.clients().get(&pending.request.client_id).map_or("A site", |client| client.name.as_str())
}

/// The way back without a login.
fn back(provider: &Provider, pending: &Pending) -> String {
    let failure = Failure::new("access_denied", "nobody was logged in");
    let request = &pending.request;
    let address = authorize::error_address(provider, &request.redirect_uri, request.state.as_deref(), failure);
    format!("<p><a href=\"{}\">Back to {}</a></p>", escape(&address), escape(client_name(provider, pending)))
}

fn page(provider: &Provider, found: &Found, content: String, again_seconds: Option<u32>) -> Page {
    Page {
        title: format!("Log in to {}", client_name(provider, &found.pending)),
        content,
        again_seconds,
        status: StatusCode::OK,
        style: provider.issuer().at("/login.css"),
    }
}
