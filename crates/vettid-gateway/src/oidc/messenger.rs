//! Tells clients what they are to be told: one at a time, again and again with growing pauses, over restarts. A client may
//! get a notice twice, with the same id; it never loses one that is still of use.

use super::handle::HandleHash;
use super::notice::{Notice, Told};
use super::provider::{Provider, unavailable};
use crate::clock;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a client may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest pause between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A logout token lives this long, in milliseconds.
const LOGOUT_TOKEN_LIFE_MS: i64 = 120_000;
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What came of an attempt.
enum Attempt {
    Taken,
    Useless,
    Failed,
}

/// Sends what is due until told to stop.
pub(super) async fn run(provider: Provider, stop: CancellationToken) {
    // Without a provider of cryptography there is no TLS; a second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(ANSWER_WITHIN).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "clients cannot be told anything"),
    };
    loop {
        let all = send_due(&provider, &client);
        tokio::select! {
            () = stop.cancelled() => return,
            () = all => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = provider.news().notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn send_due(provider: &Provider, client: &Client) {
    let due = |now, notice: &Notice| notice.next_at <= now;
    let due = provider.look(|now, book| {
        let found = book.notices.iter().filter(|(_, notice)| due(now, notice));
        found.map(|(id, notice)| (id.clone(), notice.clone())).collect::<Vec<_>>()
    });
    for (id, notice) in due.await {
        let attempt = send(provider, client, &id, &notice).await;
        let stored = provider.step(|now, book| {
            let is_over = match attempt {
                Attempt::Taken | Attempt::Useless => true,
                Attempt::Failed => book.notices.change(&id).is_some_and(|notice| !notice.in_vain(now)),
            };
            if is_over {
                book.notices.remove(&id);
            }
            Ok(())
        });
        if let Err(error) = stored.await {
            tracing::error!(%error, "what a client was told could not be stored");
        }
    }
}

async fn send(provider: &Provider, client: &Client, id: &str, notice: &Notice) -> Attempt {
    let Ok(url) = Url::parse(&notice.address) else {
        return Attempt::Useless;
    };
    let request = match &notice.told {
        Told::Ping { auth_req_id, token } => {
            client.post(url).bearer_auth(token).json(&json!({ "auth_req_id": auth_req_id }))
        }
        Told::Logout { client_id, subject, sid } => match logout_token(provider, id, client_id, subject, sid) {
            Ok(token) => {
                // A token has no character that means anything in a form.
                let request = client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                request.body(format!("logout_token={token}"))
            }
            Err(error) => {
                let _ = unavailable(&error);
                return Attempt::Failed;
            }
        },
    };
    match request.send().await.map(|answer| answer.status()) {
        Ok(status) if status.is_success() => Attempt::Taken,
        Ok(StatusCode::BAD_REQUEST | StatusCode::GONE | StatusCode::UNAUTHORIZED) => Attempt::Useless,
        _ => Attempt::Failed,
    }
}

/// Made anew for each attempt, because it lives for two minutes; its id is that of the notice.
fn logout_token(
    provider: &Provider,
    id: &str,
    client_id: &str,
    subject: &str,
    sid: &str,
) -> Result<String, super::failure::Failure> {
    let now = clock::now();
    let claims: Value = json!({
        "iss": provider.issuer().as_str(),
        "aud": client_id,
        "sub": subject,
        "sid": sid,
        "iat": now.unix_seconds(),
        "exp": now.plus_ms(LOGOUT_TOKEN_LIFE_MS).unix_seconds(),
        "jti": HandleHash::of(id).as_str(),
        "events": { LOGOUT_EVENT: {} },
    });
    provider.sign(now, "logout+jwt", &claims)
}
