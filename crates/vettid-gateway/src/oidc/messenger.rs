//! Tells clients what they are to be told: each client one thing at a time, again and again with growing pauses, over restarts.
//! A client may get a notice twice, with the same id; it never loses one that is still of use.

use super::handle::HandleHash;
use super::notice::{Notice, Told, due};
use super::provider::{Provider, unavailable};
use crate::clock;
use crate::tasks::{Fault, caught};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a client may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Clients that are told something at the same time.
const AT_ONCE: usize = 64;
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

/// The way to clients, none of which waits for another one.
#[derive(Clone)]
pub(super) struct Messenger {
    provider: Provider,
    client: Client,
}

impl Messenger {
    /// Makes the way.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(provider: Provider) -> Result<Self, reqwest::Error> {
        // Without a provider of cryptography there is no TLS; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { provider, client })
    }

    /// Sends what is due until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut busy = HashSet::new();
        // Tasks of their own: one that has the book must go on while this waits for it.
        let mut under_way = JoinSet::new();
        loop {
            let room = AT_ONCE.saturating_sub(busy.len());
            for (id, notice) in self.provider.look(|now, book| due(book.notices.iter(), now, &busy, room)).await {
                let (own, address) = (self.clone(), notice.address.clone());
                busy.insert(address.clone());
                under_way.spawn(async move {
                    if !own.tell(&id, &notice).await {
                        // It is still due, and would be sent again at once.
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    address
                });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.provider.news().notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(Ok(address)) = under_way.join_next() => {
                    busy.remove(&address);
                }
            }
        }
    }

    /// Sends a notice and keeps what came of it; `false` if that is not kept.
    async fn tell(&self, id: &str, notice: &Notice) -> bool {
        let sent = caught(send(&self.provider, &self.client, id, notice)).await;
        // A notice over which the program falls is given up like one that nobody takes.
        let attempt = sent.unwrap_or(Attempt::Failed);
        let stored = caught(self.provider.step(|now, book| {
            let is_over = match attempt {
                Attempt::Taken | Attempt::Useless => true,
                Attempt::Failed => book.notices.change(id).is_some_and(|notice| !notice.in_vain(now)),
            };
            if is_over {
                book.notices.remove(id);
            }
            Ok(())
        }));
        match stored.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "what a client was told could not be stored");
                false
            }
            Err(Fault) => false,
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
