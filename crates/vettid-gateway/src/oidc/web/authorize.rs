//! `GET` and `POST /authorize`: a browser arrives with the request of a client. Goes back at once with a code if the browser
//! is logged in and that is enough; otherwise the login page is next. No form of another site changes the browser's cookie.

use super::page::{Page, Script};
use super::{cookie, posted};
use crate::clock;
use crate::oidc::authorize::{self, AuthorizationRequest, Rejected};
use crate::oidc::book::{CODE_LIFE_MS, Code, Login};
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::handle::{Handle, HandleHash};
use crate::oidc::login::{LIFE_MS, Pending, Stage};
use crate::oidc::provider::Provider;
use crate::oidc::redirect;
use crate::oidc::subject::{Hint, Subject};
use crate::random;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use vettid_wire::auth::Display;
use vettid_wire::base64::encode_url;
use vettid_wire::id::ConnectionId;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Longest line about a browser, in bytes.
const MAX_BROWSER_BYTES: usize = 100;

/// By query.
pub(super) async fn by_query(
    State(provider): State<Provider>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match posted::of_query(&provider, query.as_deref()) {
        Ok(parameters) => serve(&provider, from, &headers, &parameters).await,
        Err(reason) => problem(&provider, reason),
    }
}

/// By form: checked, kept, and served when the browser comes again by a GET, because the cookie does not come along with a form of
/// another site.
pub(super) async fn by_form(State(provider): State<Provider>, body: Bytes) -> Response {
    let Ok(parameters) = Parameters::read(&body) else {
        return problem(&provider, posted::REPEATED);
    };
    let checked = match authorize::reference(&parameters) {
        Some(reference) => reference.map(drop).map_err(Rejected::Here),
        None => authorize::read(&parameters, provider.clients()).map(drop),
    };
    if let Err(rejected) = checked {
        return refuse(&provider, rejected);
    }
    posted::again(&provider, "/authorize", parameters).unwrap_or_else(|reason| problem(&provider, reason))
}

async fn serve(provider: &Provider, from: SocketAddr, headers: &HeaderMap, parameters: &Parameters) -> Response {
    let read = match authorize::reference(parameters) {
        Some(reference) => pushed(provider, reference),
        None => authorize::read(parameters, provider.clients()),
    };
    let request = match read {
        Ok(request) => request,
        Err(rejected) => return refuse(provider, rejected),
    };
    let only = match expected(provider, &request).await {
        Ok(only) => only,
        Err(failure) => return back_with(provider, &request.redirect_uri, request.state.as_deref(), failure),
    };
    let cookie = cookie::read(provider.issuer(), headers).map(HandleHash::of);
    if let Some(cookie) = &cookie
        && let Some(login) = standing(provider, &request, cookie, only).await
    {
        return match issue(provider, &request, login).await {
            Ok(address) => go(&address),
            Err(failure) => back_with(provider, &request.redirect_uri, request.state.as_deref(), failure),
        };
    }
    if request.prompt.none {
        let failure = Failure::new("login_required", "nobody is logged in with this browser, or not recently enough");
        return back_with(provider, &request.redirect_uri, request.state.as_deref(), failure);
    }
    begin(provider, from, headers, request, only, cookie).await
}

/// Says why a request is not served, to whom that may be said.
fn refuse(provider: &Provider, rejected: Rejected) -> Response {
    match rejected {
        Rejected::Here(failure) => problem(provider, failure.description),
        Rejected::ToClient { redirect_uri, state, failure } => {
            back_with(provider, &redirect_uri, state.as_deref(), failure)
        }
    }
}

/// The request that a client pushed, once. Nobody knows where to send whoever brings a reference that counts no more.
fn pushed(provider: &Provider, reference: Result<(&str, &str), Failure>) -> Result<AuthorizationRequest, Rejected> {
    let (client_id, request_uri) = reference.map_err(Rejected::Here)?;
    let found = provider.pushed().take(clock::now(), client_id, request_uri);
    found.ok_or(Rejected::Here(Failure::invalid(
        "the request_uri is unknown, used, older than a minute, or another client's",
    )))
}

/// Whom the client insists on, by an ID token that it got earlier. It may be over; it must be genuine.
async fn expected(provider: &Provider, request: &AuthorizationRequest) -> Result<Option<ConnectionId>, Failure> {
    let Some(hint) = &request.id_token_hint else {
        return Ok(None);
    };
    let wrong = Failure::invalid("id_token_hint is not an ID token of this client");
    let claims = provider.ring().open_hint(hint).map_err(|_| wrong)?;
    if claims.get("aud").and_then(Value::as_str) != Some(&request.client_id) {
        return Err(wrong);
    }
    let subject = claims.get("sub").and_then(Value::as_str).and_then(Subject::read).ok_or(wrong)?;
    let found = provider.connection_of(&request.client_id, &subject).await;
    found.map(Some).ok_or(Failure::new("login_required", "the member of id_token_hint is not connected any more"))
}

/// The login that the browser brings along, if it is enough for this request.
async fn standing(
    provider: &Provider,
    request: &AuthorizationRequest,
    cookie: &HandleHash,
    only: Option<ConnectionId>,
) -> Option<Login> {
    if request.prompt.login || request.prompt.select_account {
        return None;
    }
    let (now, login) =
        provider.look(|now, book| (now, book.session(now, cookie).map(|session| session.login.clone()))).await;
    let login = login?;
    let is_fresh = request.max_age_seconds.is_none_or(|age| now.since_ms(login.auth_time) < age.saturating_mul(1000));
    let is_expected = only.is_none_or(|only| only == login.connection_id);
    if is_fresh && is_expected { provider.active(login.connection_id).await.map(|_| login) } else { None }
}

/// Makes a code and gives the address that takes it to the client.
pub(super) async fn issue(
    provider: &Provider,
    request: &AuthorizationRequest,
    login: Login,
) -> Result<String, Failure> {
    let handle = Handle::new(random::bytes());
    let hash = handle.hash();
    provider
        .step(|now, book| {
            let code = Code {
                client_id: request.client_id.clone(),
                redirect_uri: request.redirect_uri.clone(),
                challenge: request.challenge.clone(),
                nonce: request.nonce.clone(),
                scope: request.scope.clone(),
                login,
                expires_at: now.plus_ms(CODE_LIFE_MS),
                shown: None,
            };
            book.add_code(now, &hash, code)
        })
        .await?;
    let mut parameters = vec![("code", handle.expose()), ("iss", provider.issuer().as_str())];
    parameters.extend(request.state.as_deref().map(|state| ("state", state)));
    Ok(redirect::with(&request.redirect_uri, &parameters))
}

/// Keeps the request and sends the browser to the login page.
async fn begin(
    provider: &Provider,
    from: SocketAddr,
    headers: &HeaderMap,
    request: AuthorizationRequest,
    only: Option<ConnectionId>,
    cookie: Option<HandleHash>,
) -> Response {
    let known = match (&only, request.prompt.select_account) {
        (Some(only), _) => Some(*only),
        (None, true) => None,
        (None, false) => whom(provider, &request, cookie.as_ref()).await,
    };
    let fresh = cookie.is_none().then(|| Handle::new(random::bytes()));
    let browser = match (cookie, &fresh) {
        (Some(cookie), _) => cookie,
        (None, Some(fresh)) => fresh.hash(),
        (None, None) => return problem(provider, "the browser cannot be told from others"),
    };
    let id = encode_url(&random::bytes::<16>());
    let address = if provider.settings().behind_proxy { forwarded(headers) } else { Some(from.ip()) };
    let pending = Pending {
        // It has said whom the client insists on, and would only take room.
        request: AuthorizationRequest { id_token_hint: None, ..request },
        only,
        browser,
        form_key: encode_url(&random::bytes::<16>()),
        display: display(headers, address),
        network: address.filter(|address| !address.to_canonical().is_loopback()).map(prefix),
        has_script: false,
        stage: Stage::Choose(known),
        ends_at: clock::now().plus_ms(LIFE_MS),
    };
    if !provider.waiting().add(&id, pending) {
        return problem(provider, "too many logins are under way: try again in a few minutes");
    }
    let mut response = go(&provider.issuer().at(&format!("/login/{id}")));
    if let Some(line) = fresh.and_then(|fresh| cookie::set(provider.issuer(), &fresh)) {
        response.headers_mut().insert(SET_COOKIE, line);
    }
    response
}

/// Who is offered: whom the client names, else who used this browser last.
async fn whom(
    provider: &Provider,
    request: &AuthorizationRequest,
    cookie: Option<&HandleHash>,
) -> Option<ConnectionId> {
    if let Some(Hint::Subject(subject)) = &request.login_hint
        && let Some(found) = provider.connection_of(&request.client_id, subject).await
    {
        return Some(found);
    }
    let known = provider.look(|now, book| cookie.and_then(|cookie| book.known(now, cookie))).await?;
    provider.active(known).await.map(|_| known)
}

/// What the member is shown about the browser. It says so itself, so nothing hangs on it.
fn display(headers: &HeaderMap, address: Option<IpAddr>) -> Display {
    let said = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let said: String = said.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_BROWSER_BYTES).collect();
    let browser = if said.trim().is_empty() { "unknown browser".to_owned() } else { said };
    let ip_prefix = address.map_or_else(|| "unknown address".to_owned(), prefix);
    Display { browser, city: "unknown place".to_owned(), ip_prefix }
}

/// The address that the proxy itself saw: the last entry of the last line. What stands before is as the browser sent it, and
/// some proxies add a line of their own.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next()?.trim().parse().ok()
}

/// The first part of an address, as much as tells a place.
fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}")
        }
    }
}

/// Sends the browser on with a GET, whatever brought it here (RFC 9700 section 4.12).
pub(super) fn go(address: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let quiet = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    (StatusCode::SEE_OTHER, [(LOCATION, location)], quiet).into_response()
}

/// The address that takes an error to the client.
pub(super) fn error_address(provider: &Provider, redirect_uri: &str, state: Option<&str>, failure: Failure) -> String {
    let mut parameters =
        vec![("error", failure.code), ("error_description", failure.description), ("iss", provider.issuer().as_str())];
    parameters.extend(state.map(|state| ("state", state)));
    redirect::with(redirect_uri, &parameters)
}

fn back_with(provider: &Provider, redirect_uri: &str, state: Option<&str>, failure: Failure) -> Response {
    go(&error_address(provider, redirect_uri, state, failure))
}

/// A page that says in words what is wrong; nobody is sent anywhere.
pub(super) fn problem(provider: &Provider, reason: &str) -> Response {
    let content = format!(
        "<p role=\"alert\">This login cannot go on: {}.</p><p>Go back to the site that you came from and try again.</p>",
        super::page::escape(reason)
    );
    Page {
        title: "Log in with VettID".to_owned(),
        content,
        script: Script::default(),
        again_seconds: None,
        status: StatusCode::BAD_REQUEST,
        style: provider.issuer().at("/login.css"),
    }
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_by_its_first_part() {
        assert_eq!(prefix("192.0.2.77".parse().unwrap()), "192.0.2");
        assert_eq!(prefix("2001:db8:1:2::3".parse().unwrap()), "2001:db8:1");
        assert_eq!(prefix("::ffff:192.0.2.77".parse().unwrap()), "192.0.2");
    }

    #[test]
    fn what_the_proxy_added_counts_and_nothing_that_the_browser_sent() {
        let cases: [(&[&'static str], Option<&str>); 8] = [
            (&["192.0.2.7"], Some("192.0.2.7")),
            (&["198.51.100.9, 192.0.2.7"], Some("192.0.2.7")),
            (&["198.51.100.9", "192.0.2.7"], Some("192.0.2.7")),
            (&["198.51.100.9", "203.0.113.5 ,2001:db8::1"], Some("2001:db8::1")),
            (&["198.51.100.9", "unknown"], None),
            (&["198.51.100.9,"], None),
            (&["198.51.100.9", ""], None),
            (&[], None),
        ];
        for (lines, wanted) in cases {
            let lines = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
            let wanted = wanted.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(forwarded(&lines.collect()), wanted);
        }
    }
}
