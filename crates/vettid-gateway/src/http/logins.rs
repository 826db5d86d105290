//! Logins for programs of the service that show the waiting page themselves. The verifier goes through the program into a
//! cookie of the waiting browser and comes back from there, never from anywhere else.

use super::body::{Body, Id};
use super::failure::{ApiFailure, unavailable};
use super::idempotency::SaidOnce;
use super::requests::{LoginDisplay, refused, wait};
use crate::gateway::{Gateway, LoginFailed};
use crate::login::{LoginError, LoginProgress, Verifier, WaitingPage};
use crate::question::BrowserProof;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::auth::Display;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{ConnectionId, LoginId, RequestId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{BrowserKeyKind, LoginLevel};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;
use vettid_wire::webauthn::Assertion;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(progress)).routes(routes!(browser)).routes(routes!(push))
}

/// A page that begins to wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginCall {
    /// The site, one of the service's own, such as `https://shop.example`.
    origin: String,
    /// Where on it the browser comes back with the code, such as `/login/return`.
    return_path: String,
    /// Where the login was started, shown to the member.
    #[schema(value_type = LoginDisplay)]
    display: Display,
}

/// A page that waits.
#[derive(Serialize, ToSchema)]
struct BegunView {
    /// Names the login.
    #[schema(value_type = String)]
    login_id: LoginId,
    /// For a cookie of the waiting browser (`Secure`, `HttpOnly`, `SameSite=Lax`) and for nothing else.
    verifier: String,
    /// For the page to show as a link and as a QR code.
    link: String,
    /// For the page to show, where unknown browsers are let in by a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
    /// What the browser's key signs, if it has one; its SHA-256 is the challenge of a WebAuthn key.
    to_sign: String,
    /// What has to keep that key: `webcrypto` or `webauthn`, as the gateway is configured.
    #[schema(value_type = String)]
    key_kind: BrowserKeyKind,
    /// The page stops waiting then.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The waiting browser shows its key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BrowserCall {
    /// From the cookie.
    verifier: String,
    /// `p256:`, or `webauthn-p256:` for a WebAuthn key, and the uncompressed point in base64.
    #[schema(value_type = String)]
    browser_key: TypedKey,
    /// ECDSA with SHA-256 over the UTF-8 of `to_sign`: `r` and `s`, 64 bytes, in base64. Of a WebAuthn key the `signature` of its
    /// assertion, as it came.
    #[schema(value_type = String)]
    signature: Base64,
    /// Of a WebAuthn key alone: what it signed.
    #[serde(default)]
    #[schema(value_type = Option<AssertionCall>)]
    assertion: Option<Assertion>,
}

/// What `navigator.credentials.get` gave beside the signature, each part in base64.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the description of a type of the wire")]
struct AssertionCall {
    /// `rawId`.
    credential_id: String,
    /// `response.authenticatorData`.
    authenticator_data: String,
    /// `response.clientDataJSON`.
    client_data_json: String,
}

/// Whom to ask without a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushCall {
    /// From the cookie.
    verifier: String,
    /// The member's connection, if the browser's key does not say it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    connection_id: Option<ConnectionId>,
}

/// The waiting browser asks how far it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FinishCall {
    /// From the cookie.
    verifier: String,
    /// What the browser brought back; a wrong one ends the login.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Base64Url>,
    /// How long the call waits for the member, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// How far a login is, for the program that shows the page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "status")]
enum ProgressView {
    /// Nobody was asked yet.
    Waiting,
    /// The member is being asked.
    Asked,
    /// The member said yes: the browser has to bring the code.
    AwaitsCode,
    /// The browser is logged in; told once.
    LoggedIn {
        /// The member's connection.
        #[schema(value_type = String, format = "uuid")]
        connection_id: ConnectionId,
        /// The request that the member answered.
        #[schema(value_type = String, format = "uuid")]
        request_id: RequestId,
        /// When the member decided.
        #[schema(value_type = String, format = DateTime)]
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// `same_device`, `known_browser` or `number`.
        #[schema(value_type = String)]
        level: LoginLevel,
    },
    /// The member said no.
    Denied,
    /// The member's vault refused.
    Refused {
        /// Why.
        #[schema(value_type = String)]
        code: RefusalCode,
    },
    /// Nobody answered in time.
    Expired,
    /// A wrong code came.
    Over,
}

/// Begins a login: a page waits for a member.
#[utoipa::path(
    post, path = "/v1/logins", tag = "logins", operation_id = "begin_login",
    security(("api_key" = ["login"])),
    request_body = BeginCall,
    responses((status = 201, description = "The page waits.", body = BegunView)),
)]
async fn begin(
    State(gateway): State<Gateway>,
    Body(call): Body<BeginCall>,
) -> Result<(StatusCode, Extension<SaidOnce>, Json<BegunView>), ApiFailure> {
    let page = WaitingPage { origin: call.origin, return_path: call.return_path, display: call.display };
    let begun = gateway.begin_login(page).map_err(|error| failed(error.into()))?;
    let view = BegunView {
        login_id: begun.login_id,
        verifier: begun.verifier.expose(),
        link: begun.link,
        number: begun.number,
        to_sign: begun.to_sign,
        key_kind: begun.key_kind,
        expires_at: begun.expires_at,
    };
    // The verifier is a secret of the page.
    Ok((StatusCode::CREATED, Extension(SaidOnce), Json(view)))
}

/// Shows the key of the waiting browser, before anybody is asked.
#[utoipa::path(
    post, path = "/v1/logins/{login_id}/browser", tag = "logins", operation_id = "prove_browser",
    security(("api_key" = ["login"])),
    params(("login_id" = String, Path, description = "The login.")),
    request_body = BrowserCall,
    responses((status = 204, description = "The browser holds the key.")),
)]
async fn browser(
    State(gateway): State<Gateway>,
    Id(id): Id<LoginId>,
    Body(call): Body<BrowserCall>,
) -> Result<StatusCode, ApiFailure> {
    let (key, signature) = (call.browser_key, call.signature.as_bytes().to_vec());
    let proof = BrowserProof { key, signature, assertion: call.assertion };
    let verifier = verifier(&call.verifier)?;
    gateway.prove_browser(id, &verifier, proof).map_err(|error| failed(error.into()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the member whom the browser's key or the connection names, without a link.
#[utoipa::path(
    post, path = "/v1/logins/{login_id}/push", tag = "logins", operation_id = "push_login",
    security(("api_key" = ["login"])),
    params(("login_id" = String, Path, description = "The login.")),
    request_body = PushCall,
    responses((status = 204, description = "The member is being asked.")),
)]
async fn push(
    State(gateway): State<Gateway>,
    Id(id): Id<LoginId>,
    Body(call): Body<PushCall>,
) -> Result<StatusCode, ApiFailure> {
    let verifier = verifier(&call.verifier)?;
    gateway.push_login(id, &verifier, call.connection_id).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says how far a login is, and takes the code that the browser brought.
#[utoipa::path(
    post, path = "/v1/logins/{login_id}", tag = "logins", operation_id = "finish_login",
    security(("api_key" = ["login"])),
    params(("login_id" = String, Path, description = "The login.")),
    request_body = FinishCall,
    responses(
        (status = 200, description = "The login ended.", body = ProgressView),
        (status = 202, description = "The page still waits.", body = ProgressView),
    ),
)]
async fn progress(
    State(gateway): State<Gateway>,
    Id(id): Id<LoginId>,
    Body(call): Body<FinishCall>,
) -> Result<(StatusCode, Json<ProgressView>), ApiFailure> {
    let (verifier, wait) = (verifier(&call.verifier)?, wait(call.wait_ms)?);
    let progress = gateway.login(id, &verifier, call.code.as_ref(), wait).await.map_err(failed)?;
    let view = view(progress);
    let is_open = matches!(view, ProgressView::Waiting | ProgressView::Asked | ProgressView::AwaitsCode);
    let status = if is_open { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(view)))
}

fn view(progress: LoginProgress) -> ProgressView {
    match progress {
        LoginProgress::Waiting => ProgressView::Waiting,
        LoginProgress::Asked => ProgressView::Asked,
        LoginProgress::AwaitsCode => ProgressView::AwaitsCode,
        LoginProgress::LoggedIn(done) => ProgressView::LoggedIn {
            connection_id: done.connection_id,
            request_id: done.request_id,
            auth_time: done.auth_time,
            method: done.method,
            level: done.level,
        },
        LoginProgress::Denied => ProgressView::Denied,
        LoginProgress::Refused(code) => ProgressView::Refused { code },
        LoginProgress::Expired => ProgressView::Expired,
        LoginProgress::Over => ProgressView::Over,
    }
}

fn verifier(text: &str) -> Result<Verifier, ApiFailure> {
    Verifier::read(text).ok_or_else(|| ApiFailure::unsound("verifier: the one that `POST /v1/logins` gave"))
}

fn failed(error: LoginFailed) -> ApiFailure {
    match error {
        LoginFailed::Login(LoginError::Unknown) => ApiFailure::NotFound,
        LoginFailed::Login(LoginError::TooMany) => ApiFailure::TooMany,
        LoginFailed::Login(LoginError::NotKnown) => ApiFailure::BrowserNotKnown,
        LoginFailed::Login(error @ (LoginError::Page | LoginError::Browser | LoginError::Asked)) => {
            ApiFailure::unsound(error)
        }
        LoginFailed::Request(error) => refused(error),
        LoginFailed::State(_) | LoginFailed::Channel(_) => unavailable(&error),
    }
}
