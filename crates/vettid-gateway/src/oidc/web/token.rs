//! `POST /token` and `POST /revoke`: codes and refresh tokens become tokens, tokens end.

use super::{backchannel, client_auth, cors};
use crate::clock;
use crate::oidc::book::{Issued, Redeemer};
use crate::oidc::client::Client;
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::handle::challenge_of;
use crate::oidc::provider::{ID_TOKEN_LIFE_MS, Provider, fresh};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vettid_crypto::kdf::h256;
use vettid_wire::base64::encode_url;
use vettid_wire::id::Fingerprint;
use vettid_wire::time::Timestamp;

/// Shortest and longest verifier (RFC 7636 section 4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// The grant of CIBA.
const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// What is handed out.
#[derive(Serialize)]
struct Tokens<'t> {
    access_token: &'t str,
    token_type: &'static str,
    expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'t str>,
    id_token: String,
    scope: String,
}

/// The claims of an ID token.
#[derive(Serialize)]
struct IdToken<'t> {
    iss: &'t str,
    sub: String,
    aud: &'t str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'t str>,
    at_hash: String,
    amr: &'t [String],
    sid: String,
}

/// `POST /token`.
pub(super) async fn serve(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Failure> {
    let form = form(&headers, query.as_deref(), &body)?;
    let client = client_auth::check(&provider, &headers, &form).await?;
    Ok(cors::by(client, issue(&provider, client, &form).await))
}

async fn issue(provider: &Provider, client: &Client, form: &Parameters) -> Result<Response, Failure> {
    let issued = match form.get("grant_type") {
        Some("authorization_code") => by_code(provider, client, form).await?,
        Some("refresh_token") => by_refresh(provider, client, form).await?,
        Some(CIBA) => backchannel::fetch(provider, client, form).await?,
        Some(_) => return Err(Failure::new("unsupported_grant_type", "no such grant_type is offered here")),
        None => return Err(Failure::invalid("grant_type is missing")),
    };
    answer(provider, client, &issued).await
}

/// `POST /revoke` (RFC 7009).
pub(super) async fn revoke(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Failure> {
    let form = form(&headers, query.as_deref(), &body)?;
    let client = client_auth::check(&provider, &headers, &form).await?;
    Ok(cors::by(client, end(&provider, client, &form).await))
}

async fn end(provider: &Provider, client: &Client, form: &Parameters) -> Result<Response, Failure> {
    let token = form.get("token").ok_or(Failure::invalid("token is missing"))?;
    provider
        .step(|_, book| {
            book.revoke_token(token, &client.client_id);
            Ok(())
        })
        .await?;
    Ok(StatusCode::OK.into_response())
}

/// The form in the body. What belongs there is refused in the address, where it would be logged.
pub(super) fn form(headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Parameters, Failure> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") || query.is_some_and(|query| !query.is_empty()) {
        return Err(Failure::invalid("the body is a form, and nothing stands in the query"));
    }
    Parameters::read(body).map_err(|_| Failure::invalid("a parameter is repeated, or there are too many"))
}

async fn by_code(provider: &Provider, client: &Client, form: &Parameters) -> Result<Issued, Failure> {
    let needed = |name| form.get(name).ok_or(Failure::invalid("code, redirect_uri and code_verifier are needed"));
    let (code, redirect_uri, verifier) = (needed("code")?, needed("redirect_uri")?, needed("code_verifier")?);
    let challenge = if VERIFIER_BYTES.contains(&verifier.len()) { challenge_of(verifier) } else { String::new() };
    let by = Redeemer { client_id: &client.client_id, redirect_uri, challenge: &challenge };
    provider.step(|now, book| book.redeem(now, code, by, provider.lives(), fresh())).await
}

async fn by_refresh(provider: &Provider, client: &Client, form: &Parameters) -> Result<Issued, Failure> {
    let token = form.get("refresh_token").ok_or(Failure::invalid("refresh_token is needed"))?;
    let grant = provider.look(|_, book| book.grant_of_refresh(token).cloned()).await.ok_or(Failure::invalid_grant())?;
    if let Some(asked) = form.get("scope")
        && !asked.split(' ').all(|scope| grant.scope.contains(scope))
    {
        return Err(Failure::new("invalid_scope", "a refresh cannot ask for more than the login did"));
    }
    // A member who has ended the connection is not logged in any more, anywhere.
    provider.active(grant.login.connection_id).await.ok_or(Failure::invalid_grant())?;
    provider.step(|now, book| book.rotate(now, token, &client.client_id, provider.lives(), fresh())).await
}

pub(super) async fn answer(provider: &Provider, client: &Client, issued: &Issued) -> Result<Response, Failure> {
    let grant = &issued.grant;
    let view = provider.active(grant.login.connection_id).await.ok_or(Failure::invalid_grant())?;
    let now = clock::now();
    let id_token = id_token(provider, client, issued, &view.member_fingerprint, now)?;
    let tokens = Tokens {
        access_token: issued.access.expose(),
        token_type: "Bearer",
        expires_in: provider.settings().access_token_seconds,
        refresh_token: issued.refresh.as_ref().map(|refresh| refresh.expose()),
        id_token,
        scope: grant.scope.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

fn id_token(
    provider: &Provider,
    client: &Client,
    issued: &Issued,
    member: &Fingerprint,
    now: Timestamp,
) -> Result<String, Failure> {
    let login = &issued.grant.login;
    let sector = client.sector().ok_or(Failure::invalid_client())?;
    let digest = h256(issued.access.expose().as_bytes());
    let claims = IdToken {
        iss: provider.issuer().as_str(),
        sub: provider.subject(&sector, member),
        aud: &client.client_id,
        exp: now.plus_ms(ID_TOKEN_LIFE_MS).unix_seconds(),
        iat: now.unix_seconds(),
        auth_time: login.auth_time.unix_seconds(),
        nonce: issued.nonce.as_deref(),
        at_hash: digest.get(..16).map(encode_url).unwrap_or_default(),
        amr: &login.amr,
        sid: provider.sid_of(&sector, &login.sid),
    };
    provider.sign(now, "JWT", &claims)
}
