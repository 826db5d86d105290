//! `POST /backchannel`: a client asks a member without a browser (CIBA), and fetches the answer at the token endpoint.

use super::client_auth;
use super::token::form;
use crate::clock;
use crate::gateway::RequestError;
use crate::oidc::book::{Issued, Login};
use crate::oidc::client::{CibaMode, Client};
use crate::oidc::decoupled::{self, BackchannelAsk, BackchannelRequest, Tell, Whom, unknown_user};
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::handle::{Handle, HandleHash};
use crate::oidc::login::{self, Progress};
use crate::oidc::provider::{Provider, fresh, unavailable};
use crate::oidc::subject::Subject;
use crate::random;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::time::Duration;
use vettid_wire::auth::{Display, MAX_LIFE_MS};
use vettid_wire::base64::encode_url;
use vettid_wire::id::ConnectionId;

/// Longest line that a member is shown, in bytes.
const MAX_LINE_BYTES: usize = 120;

/// `POST /backchannel`.
pub(super) async fn serve(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Failure> {
    let form = form(&headers, query.as_deref(), &body)?;
    let client = client_auth::check(&provider, &headers, &form).await?;
    // No browser waits, so nothing but a number can tie the member's yes to whoever asked.
    if !provider.gateway().lets_in_by_number() {
        return Err(Failure::new("unauthorized_client", "nobody is asked without a browser here: numbers are off"));
    }
    let request = decoupled::read(&form, client)?;
    let connection_id = whom(&provider, client, &request.whom).await?;
    let handle = Handle::new(random::bytes());
    let display = display(client, &request);
    let asked = login::ask(&provider, connection_id, handle.expose().as_bytes(), display).await;
    let (request_id, number) = asked.map_err(|error| match error {
        RequestError::UnknownConnection | RequestError::NotConnected => unknown_user(),
        other => unavailable(&other),
    })?;
    let tell = request.notification_token.filter(|_| client.ciba == Some(CibaMode::Ping)).map(|token| Tell {
        address: client.notification_endpoint.clone().unwrap_or_default(),
        token,
        auth_req_id: handle.expose().to_owned(),
    });
    let (now, interval_seconds) = (clock::now(), i64::from(provider.settings().look_every_seconds));
    let ask = BackchannelAsk {
        client_id: client.client_id.clone(),
        scope: request.scope,
        connection_id,
        request_id,
        ends_at: now.plus_ms(MAX_LIFE_MS),
        look_from: now.plus_ms(interval_seconds * 1000),
        interval_seconds,
        tell,
    };
    let name = handle.hash();
    provider
        .step(|_, book| {
            book.asks.put(name.as_str(), ask);
            Ok(())
        })
        .await?;
    provider.watch(name.as_str().to_owned());
    let answer = json!({
        "auth_req_id": handle.expose(),
        "expires_in": MAX_LIFE_MS / 1000,
        "interval": interval_seconds,
        "number": number,
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

async fn whom(provider: &Provider, client: &Client, whom: &Whom) -> Result<ConnectionId, Failure> {
    let subject = match whom {
        Whom::Subject(subject) => *subject,
        Whom::IdToken(token) => {
            let claims = provider.ring().open_hint(token).map_err(|_| unknown_user())?;
            let text = |name: &str| claims.get(name).and_then(Value::as_str);
            let subject = text("sub").filter(|_| text("aud") == Some(&client.client_id));
            subject.and_then(Subject::read).ok_or(unknown_user())?
        }
    };
    provider.connection_of(&client.client_id, &subject).await.ok_or(unknown_user())
}

/// What the member is shown: who asks, and the message that also stands where the member is.
fn display(client: &Client, request: &BackchannelRequest) -> Display {
    let line = match &request.message {
        Some(message) => format!("{message} ({})", client.name),
        None => format!("no browser ({})", client.name),
    };
    let mut browser = String::new();
    for character in line.chars() {
        if browser.len() + character.len_utf8() > MAX_LINE_BYTES {
            break;
        }
        browser.push(character);
    }
    Display { browser, city: "unknown place".to_owned(), ip_prefix: "no address".to_owned() }
}

/// The grant `urn:openid:params:grant-type:ciba` of the token endpoint.
pub(super) async fn fetch(provider: &Provider, client: &Client, form: &Parameters) -> Result<Issued, Failure> {
    let id = form.get("auth_req_id").ok_or(Failure::invalid("auth_req_id is needed"))?;
    let name = HandleHash::of(id);
    let found = provider.look(|now, book| {
        let is_own = |ask: &&BackchannelAsk| ask.client_id == client.client_id && now <= ask.kept_until();
        book.asks.get(name.as_str()).filter(is_own).cloned()
    });
    let ask = found.await.ok_or(Failure::invalid_grant())?;
    // What the member decided is told whatever the pace of the client: slow_down is another word for "not yet".
    let over = match login::progress(provider, ask.request_id, Duration::ZERO).await {
        Progress::Open => return look(provider, &name).await,
        Progress::Approved { auth_time, amr } => {
            provider.active(ask.connection_id).await.ok_or(Failure::invalid_grant())?;
            let sid = encode_url(&random::bytes::<16>());
            let login = Login { connection_id: ask.connection_id, sid, auth_time, amr };
            return take(provider, client, &name, login).await;
        }
        Progress::Denied | Progress::Refused => Failure::new("access_denied", "the member said no"),
        Progress::Expired => Failure::new("expired_token", "nobody answered in time"),
    };
    provider
        .step(|_, book| {
            book.asks.remove(name.as_str());
            Err(over)
        })
        .await
}

/// The member has not decided yet.
async fn look(provider: &Provider, name: &HandleHash) -> Result<Issued, Failure> {
    provider.step(|now, book| Err(book.asks.change(name.as_str()).ok_or(Failure::invalid_grant())?.look(now))).await
}

/// Makes the grant, once.
async fn take(provider: &Provider, client: &Client, name: &HandleHash, login: Login) -> Result<Issued, Failure> {
    provider
        .step(|now, book| {
            let ask = book.asks.remove(name.as_str()).ok_or(Failure::invalid_grant())?;
            Ok(book.grant(now, &client.client_id, ask.scope, login, None, provider.lives(), fresh()))
        })
        .await
}
