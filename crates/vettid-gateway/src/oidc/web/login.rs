//! The login page: who is it, wait for the app, go back to the client. Each address belongs to one browser by its cookie;
//! each step carries a key that no other site knows. What is shown is in [`super::waiting`].

use super::authorize::{error_address, go, issue, problem};
use super::{cookie, waiting};
use crate::clock;
use crate::gateway::{LoginFailed, RequestError};
use crate::login::{LoggedIn, LoginError};
use crate::oidc::book::Login;
use crate::oidc::form::Parameters;
use crate::oidc::handle::{Handle, HandleHash};
use crate::oidc::login::{self, Attempt, Ended, Pending, Stage, Step};
use crate::oidc::provider::Provider;
use crate::question::BrowserProof;
use crate::random;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;
use vettid_wire::base64::{Base64, encode_url};
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, InviteId};
use vettid_wire::login::LoginLevel;
use vettid_wire::webauthn::Assertion;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A look at a login is answered after this long at the latest.
const WAIT: Duration = Duration::from_secs(2);

const GONE: &str = "it is over, or was begun with another browser";

/// How far a login is, in the words of the page and its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Who is it?
    Choose,
    /// An invitation, which nobody has opened yet.
    Invited,
    /// The member reads the contract.
    Review,
    /// Nobody is asked yet.
    Waiting,
    /// The member is asked.
    Asked,
    /// The code has to come.
    AwaitsCode,
    /// The browser is let in.
    Approved,
    /// Nothing came of it.
    Ended,
}

impl Shown {
    /// The word for the script.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Choose => "choose",
            Self::Invited => "invited",
            Self::Review => "review",
            Self::Waiting => "waiting",
            Self::Asked => "asked",
            Self::AwaitsCode => "awaits_code",
            Self::Approved => "approved",
            Self::Ended => "ended",
        }
    }

    /// Whether the page changes by itself.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Self::Choose | Self::Ended)
    }
}

/// A login of this browser and its id.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) pending: Pending,
    cookie: HandleHash,
}

fn find(provider: &Provider, id: String, headers: &HeaderMap) -> Option<Found> {
    let cookie = HandleHash::of(cookie::read(provider.issuer(), headers)?);
    let pending = provider.waiting().get(clock::now(), &id, &cookie)?;
    Some(Found { id, pending, cookie })
}

/// Finds the login that a form belongs to. A form of another site has neither the cookie nor the key.
fn find_for_form(provider: &Provider, id: String, headers: &HeaderMap, body: &[u8]) -> Option<(Found, Parameters)> {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let own = header(&FETCH_SITE).is_none_or(|site| site == "same-origin")
        && header(&ORIGIN)
            .is_none_or(|origin| origin == provider.issuer().origin() || is_hidden(origin, header(&HOST)));
    let found = find(provider, id, headers)?;
    let form = Parameters::read(body).ok()?;
    let has_key =
        form.get("form_key").is_some_and(|key| HandleHash::of(key) == HandleHash::of(&found.pending.form_key));
    (own && has_key).then_some((found, form))
}

/// A page without referrer sends the origin `null` with its own forms.
fn is_hidden(origin: &str, host: Option<&str>) -> bool {
    origin == "null" && host.is_some()
}

/// `GET /login/{id}`.
pub(super) async fn show(State(provider): State<Provider>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(mut found) = find(&provider, id, &headers) else {
        return problem(&provider, GONE);
    };
    // A page with a script looks by itself.
    let wait = if found.pending.has_script { Duration::ZERO } else { WAIT };
    let Some(shown) = look(&provider, &mut found, wait).await else {
        return problem(&provider, GONE);
    };
    if let Stage::Approved { whom, by } = found.pending.stage.clone() {
        return finish(&provider, &found, whom, by).await;
    }
    waiting::page(&provider, &found, shown).await.into_response()
}

/// `GET /login/{id}/state`: how far it is, for the script of the page.
pub(super) async fn state(State(provider): State<Provider>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(mut found) = find(&provider, id, &headers) else {
        return (StatusCode::NOT_FOUND, told("gone")).into_response();
    };
    let shown = look(&provider, &mut found, WAIT).await;
    // Whoever brought the code goes on, and not whoever looks on.
    let by_code = matches!(&found.pending.stage, Stage::Approved { by, .. } if by.level == LoginLevel::SameDevice);
    told(if by_code { "elsewhere" } else { shown.map_or("gone", Shown::word) }).into_response()
}

fn told(word: &str) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(json!({ "state": word })))
}

/// `GET /login/return`: a code comes back in the fragment, which only the script of the page sees. It finds the login that
/// the code is for among those that wait in this browser.
pub(super) async fn come_back(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let cookie = cookie::read(provider.issuer(), &headers).map(HandleHash::of);
    let own = cookie.map(|cookie| provider.waiting().of(clock::now(), &cookie)).unwrap_or_default();
    waiting::coming_back(&provider, &own).into_response()
}

/// `POST /login/{id}/{step}`: a step of the browser that the login belongs to.
pub(super) async fn take(
    State(provider): State<Provider>,
    Path((id, step)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((mut found, form)) = find_for_form(&provider, id, &headers, &body) else {
        return problem(&provider, GONE);
    };
    if form.has("script") {
        provider.waiting().has_script(&found.id);
        found.pending.has_script = true;
    }
    match (step.as_str(), &found.pending.stage) {
        ("cancel", _) => return cancel(&provider, &found).await,
        ("browser", Stage::Waiting(attempt)) => return prove(&provider, &found, attempt, &form).await,
        ("code", Stage::Waiting(attempt)) => return bring(&provider, &found, attempt.clone(), &form).await,
        ("browser" | "code", _) => return problem(&provider, GONE),
        ("number", Stage::Waiting(attempt)) => push(&provider, &found, attempt).await,
        ("invite", _) if found.pending.only.is_some() => {
            return problem(&provider, "the site asked for another member");
        }
        ("invite", _) => {
            if let Err(refused) = invite(&provider, &found).await {
                return refused;
            }
        }
        ("ask", Stage::Choose(Some(whom))) => begin(&provider, &found, Some(*whom)).await,
        ("ask", Stage::Ended { whom, .. }) => begin(&provider, &found, *whom).await,
        ("link", _) => begin(&provider, &found, None).await,
        _ => {}
    }
    go(&waiting::address(&provider, &found.id))
}

/// Takes what has become of a login since the last look.
async fn look(provider: &Provider, found: &mut Found, wait: Duration) -> Option<Shown> {
    let was_invited = matches!(found.pending.stage, Stage::Inviting { .. });
    let invited = match &found.pending.stage {
        Stage::Inviting { invite_id, .. } => invited(provider, found, *invite_id).await,
        _ => None,
    };
    let renew = |found: &mut Found| {
        found.pending = provider.waiting().get(clock::now(), &found.id, &found.cookie)?;
        Some(found.pending.stage.clone())
    };
    let step = match renew(found)? {
        // What has just begun is shown at once.
        Stage::Waiting(attempt) => {
            let wait = if was_invited { Duration::ZERO } else { wait };
            Some(login::advance(provider, &found.id, attempt, None, wait).await)
        }
        _ => None,
    };
    Some(match (renew(found)?, step) {
        (Stage::Choose(_), _) => Shown::Choose,
        (Stage::Inviting { .. }, _) => invited.unwrap_or(Shown::Invited),
        (Stage::Waiting(_), Some(Step::Asked)) => Shown::Asked,
        (Stage::Waiting(_), Some(Step::AwaitsCode)) => Shown::AwaitsCode,
        (Stage::Waiting(_), _) => Shown::Waiting,
        (Stage::Approved { .. }, _) => Shown::Approved,
        (Stage::Ended { .. }, _) => Shown::Ended,
    })
}

/// How far an invitation is. Whoever connects by it is the one to log in.
async fn invited(provider: &Provider, found: &Found, invite_id: InviteId) -> Option<Shown> {
    let view = provider.gateway().connection(provider.gateway().connection_of(invite_id)?).await?;
    match view.state {
        ConnectionState::Active => {
            // Taken before anything else: two looks at the same connection ask its member once.
            let whom = provider.waiting().connected(&found.id, invite_id, view.connection_id);
            if let Some(whom) = whom {
                begin(provider, found, Some(whom)).await;
            }
            None
        }
        ConnectionState::Requested => Some(Shown::Review),
        _ => {
            provider.waiting().set(&found.id, Stage::Ended { whom: None, why: Ended::NotConnected });
            None
        }
    }
}

/// Shows an invitation to whoever is not known here: the one that is shown already, as long as nobody has answered it.
async fn invite(provider: &Provider, found: &Found) -> Result<(), Response> {
    if let Stage::Inviting { invite_id, .. } = &found.pending.stage
        && provider.gateway().is_open(*invite_id)
    {
        return Ok(());
    }
    let beside = provider.waiting().beside(&found.id, &found.pending, |stage| matches!(stage, Stage::Inviting { .. }));
    if beside >= provider.gateway().share_of_one_network().0 {
        return Err(problem(provider, "too many invitations are shown where you are: try again in a few minutes"));
    }
    let invitation = provider.gateway().invite_anybody().await.map_err(|error| {
        tracing::warn!(%error, "no invitation could be made for a login");
        problem(provider, "no invitation can be made now: try again in a few minutes")
    })?;
    set(provider, found, Stage::Inviting { invite_id: invitation.invite_id, link: invitation.link }).await;
    Ok(())
}

/// Waits for a member, by a new login. A browser without script cannot be tied by anything but a number, so its member is asked
/// that way at once.
async fn begin(provider: &Provider, found: &Found, whom: Option<ConnectionId>) {
    let has_script = found.pending.has_script;
    if !has_script && !provider.gateway().lets_in_by_number() {
        return set(provider, found, Stage::Ended { whom, why: Ended::NeedsScript }).await;
    }
    let beside = provider.waiting().beside(&found.id, &found.pending, |stage| matches!(stage, Stage::Waiting(_)));
    if beside >= provider.gateway().share_of_one_network().1 {
        return set(provider, found, Stage::Ended { whom, why: Ended::Crowded }).await;
    }
    match login::begin(provider, found.pending.display.clone(), whom) {
        Ok(attempt) => {
            set(provider, found, Stage::Waiting(attempt.clone())).await;
            if !has_script {
                push(provider, found, &attempt).await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "a login could not begin");
            let why = if error == LoginError::TooMany { Ended::Crowded } else { Ended::Failed };
            set(provider, found, Stage::Ended { whom, why }).await;
        }
    }
}

/// Says how far a login is; what it waited for until then is given up.
async fn set(provider: &Provider, found: &Found, stage: Stage) {
    let former = provider.waiting().set(&found.id, stage);
    login::give_up(provider, vec![former]).await;
}

/// Asks the member who was chosen, without a link.
async fn push(provider: &Provider, found: &Found, attempt: &Attempt) {
    let (begun, Some(whom)) = (&attempt.begun, attempt.whom) else { return };
    match provider.gateway().push_login(begun.login_id, &begun.verifier, Some(whom)).await {
        Ok(()) => {}
        Err(LoginFailed::Request(RequestError::UnknownConnection | RequestError::NotConnected)) => {
            set(provider, found, Stage::Choose(None)).await;
        }
        Err(LoginFailed::Login(LoginError::Asked)) => {}
        Err(error) => {
            let stage = Stage::Ended { whom: attempt.whom, why: login::why(Err(error)) };
            provider.waiting().end(&found.id, begun.login_id, stage);
        }
    }
}

/// The browser shows its key. If the member who was chosen knows it, that is enough to be asked.
async fn prove(provider: &Provider, found: &Found, attempt: &Attempt, form: &Parameters) -> Response {
    let begun = &attempt.begun;
    let proven = shown(form).map(|proof| provider.gateway().prove_browser(begun.login_id, &begun.verifier, proof));
    if !matches!(proven, Some(Ok(()))) {
        return problem(provider, "the key of the browser does not hold");
    }
    let is_known = |whom: &ConnectionId| provider.gateway().is_known_browser(begun.login_id, &begun.verifier, *whom);
    if attempt.whom.as_ref().is_some_and(is_known) {
        push(provider, found, attempt).await;
        return told(Shown::Asked.word()).into_response();
    }
    told(Shown::Waiting.word()).into_response()
}

/// What the script of the page sends to show a key.
fn shown(form: &Parameters) -> Option<BrowserProof> {
    let bytes = |name: &str| form.get(name)?.parse::<Base64>().ok();
    let assertion = match form.get("credential_id") {
        None => None,
        Some(_) => Some(Assertion {
            credential_id: bytes("credential_id")?,
            authenticator_data: bytes("authenticator_data")?,
            client_data_json: bytes("client_data_json")?,
        }),
    };
    let key = form.get("browser_key")?.parse().ok()?;
    Some(BrowserProof { key, signature: bytes("signature")?.into_bytes(), assertion })
}

/// The browser brings the code of this very login; that of another one changes nothing.
async fn bring(provider: &Provider, found: &Found, attempt: Attempt, form: &Parameters) -> Response {
    let is_it = form.get("login") == Some(attempt.begun.login_id.to_string().as_str());
    let Some(code) = form.get("code").filter(|_| is_it).and_then(|code| code.parse().ok()) else {
        return problem(provider, "the code is not for this login");
    };
    let step = login::advance(provider, &found.id, attempt, Some(code), WAIT).await;
    let shown = match step {
        Step::Waiting => Shown::Waiting,
        Step::Asked => Shown::Asked,
        Step::AwaitsCode => Shown::AwaitsCode,
        Step::Over => Shown::Ended,
    };
    told(shown.word()).into_response()
}

/// Back to the client without a login.
async fn cancel(provider: &Provider, found: &Found) -> Response {
    set(provider, found, Stage::Choose(None)).await;
    provider.waiting().forget(&found.id);
    waiting::cancelled(provider, &found.pending).into_response()
}

/// The member approved: a session under a new cookie, a code, back to the client.
async fn finish(provider: &Provider, found: &Found, whom: Option<ConnectionId>, by: LoggedIn) -> Response {
    let connection_id = by.connection_id;
    let next = Handle::new(random::bytes());
    // Taken before anything else: two tabs that see the same approval make one login.
    let Some(pending) = provider.waiting().take(&found.id, &next.hash()) else {
        return problem(provider, GONE);
    };
    let is_expected = [pending.only, whom].iter().flatten().all(|expected| *expected == connection_id);
    if !is_expected || provider.active(connection_id).await.is_none() {
        return problem(provider, "the connection has ended, or it is another member than the one that was chosen");
    }
    let login =
        Login { connection_id, sid: encode_url(&random::bytes::<16>()), auth_time: by.auth_time, amr: by.method };
    // The cookie may be younger than this look: another login of the browser has just come to its end.
    let begun = provider.begin_session(&pending.browser, &next.hash(), login).await;
    let address = match begun {
        Ok(login) => issue(provider, &pending.request, login).await,
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
