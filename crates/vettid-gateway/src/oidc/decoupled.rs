//! Logins that no browser waits for (CIBA): a client names a member and later fetches, or is told of, the answer. Pure:
//! what may be asked, and how often a client may look.

use super::authorize::scope;
use super::client::{CibaMode, Client};
use super::failure::Failure;
use super::form::Parameters;
use super::subject::Subject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::time::Timestamp;

/// What a client waits longer after a look that was too early, in seconds.
const SLOWER_SECONDS: i64 = 5;
/// A client may fetch a decision for this long after its question has ended, in milliseconds.
const FETCH_MS: i64 = 60_000;
/// Longest message that ties the two sides together, in bytes.
const MAX_MESSAGE_BYTES: usize = 64;
/// Longest token that a client wants to be told with, in bytes (CIBA section 7.1).
const MAX_TOKEN_BYTES: usize = 1024;

/// Whom a client means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// By the subject that it knows.
    Subject(Subject),
    /// By an ID token that it got.
    IdToken(String),
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackchannelRequest {
    /// Whom.
    pub whom: Whom,
    /// What is asked for.
    pub scope: BTreeSet<String>,
    /// Shown to the member, and by the client to whoever stands before it.
    pub message: Option<String>,
    /// What the client wants to be told with.
    pub notification_token: Option<String>,
}

/// A question that is under way, by the hash of the id that its client holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackchannelAsk {
    /// Who asks.
    pub client_id: String,
    /// What is asked for.
    pub scope: BTreeSet<String>,
    /// Whom.
    pub connection_id: ConnectionId,
    /// The question to the member.
    pub request_id: RequestId,
    /// The member decides until then.
    pub ends_at: Timestamp,
    /// The client may look from then on.
    pub look_from: Timestamp,
    /// What the client has to wait between two looks, in seconds.
    pub interval_seconds: i64,
    /// How it is told, until it was.
    pub tell: Option<Tell>,
}

/// How a client is told that a member decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tell {
    /// Where.
    pub address: String,
    /// With what.
    pub token: String,
    /// The id that the client knows the question by.
    pub auth_req_id: String,
}

/// Reads a request of a client that has shown who it is.
pub(super) fn read(form: &Parameters, client: &Client) -> Result<BackchannelRequest, Failure> {
    let mode = client.ciba.ok_or(Failure::new("unauthorized_client", "the client is not registered for ciba"))?;
    // A wish for `acr_values` is voluntary.
    for name in ["request", "login_hint_token", "user_code"] {
        if form.has(name) {
            return Err(Failure::invalid("request, login_hint_token and user_code are not read here"));
        }
    }
    let whom = match (form.get("login_hint"), form.get("id_token_hint")) {
        (Some(subject), None) => Whom::Subject(Subject::read(subject).ok_or(unknown_user())?),
        (None, Some(token)) => Whom::IdToken(token.to_owned()),
        _ => return Err(Failure::invalid("one of login_hint and id_token_hint is needed")),
    };
    let message = form.get("binding_message").map(str::to_owned);
    if message.as_deref().is_some_and(|message| !is_message(message)) {
        return Err(Failure::new("invalid_binding_message", "at most 64 printable ASCII characters"));
    }
    let notification_token = form.get("client_notification_token").map(str::to_owned);
    let sound = notification_token.as_deref().is_none_or(is_token);
    if !sound || (mode == CibaMode::Ping && notification_token.is_none()) {
        return Err(Failure::invalid("client_notification_token is needed: 22 to 1024 characters of a bearer token"));
    }
    Ok(BackchannelRequest { whom, scope: scope(form, client)?, message, notification_token })
}

/// One sentence for all, so that nothing is learnt.
pub(super) fn unknown_user() -> Failure {
    Failure::new("unknown_user_id", "no member of this service is known by that hint")
}

fn is_message(text: &str) -> bool {
    text.len() <= MAX_MESSAGE_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// A token with at least the entropy that the standard asks for, as far as its length tells.
fn is_token(text: &str) -> bool {
    (22..=MAX_TOKEN_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

impl BackchannelAsk {
    /// A decision is told until then. Afterwards nothing is known of the question.
    pub(super) fn kept_until(&self) -> Timestamp {
        self.ends_at.plus_ms(FETCH_MS)
    }

    /// What a client is told that looks at a question which is open. Whoever looks too early waits longer from then on
    /// (CIBA section 11); once the member decided, the pace is all the same.
    pub(super) fn look(&mut self, now: Timestamp) -> Failure {
        if now > self.ends_at {
            return Failure::new("expired_token", "nobody answered in time");
        }
        let is_early = now < self.look_from;
        if is_early {
            self.interval_seconds = self.interval_seconds.saturating_add(SLOWER_SECONDS);
        }
        self.look_from = now.plus_ms(self.interval_seconds.saturating_mul(1000));
        if is_early {
            Failure::new("slow_down", "wait five seconds longer between two looks")
        } else {
            Failure::new("authorization_pending", "the member has not decided yet")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::client::{ClientAuth, sample};

    const RIGHT: &str = "scope=openid&login_hint=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&binding_message=W4SCT&client_notification_token=8d67dc78-7faa-4d41-aabd";

    fn client(mode: Option<CibaMode>) -> Client {
        Client { ciba: mode, ..sample("a", ClientAuth::Secret) }
    }

    fn code(text: &str, mode: Option<CibaMode>) -> &'static str {
        let form = Parameters::read(text.as_bytes()).unwrap();
        read(&form, &client(mode)).map_or_else(|failure| failure.code, |_| "")
    }

    #[test]
    fn one_member_one_message_one_token() {
        let ping = Some(CibaMode::Ping);
        for (text, mode, wanted) in [
            (RIGHT.to_owned(), ping, ""),
            (RIGHT.to_owned(), None, "unauthorized_client"),
            (format!("{RIGHT}&id_token_hint=x"), ping, "invalid_request"),
            (RIGHT.replace("login_hint", "x"), ping, "invalid_request"),
            (RIGHT.replace("-cM", ""), ping, "unknown_user_id"),
            (RIGHT.replace("W4SCT", &"x".repeat(65)), ping, "invalid_binding_message"),
            (RIGHT.replace("W4SCT", "a%0Ab"), ping, "invalid_binding_message"),
            (RIGHT.replace("W4SCT", "%E2%80%AEabc"), ping, "invalid_binding_message"),
            (RIGHT.replace("8d67dc78-7faa-4d41-aabd", "short"), ping, "invalid_request"),
            (RIGHT.replace("client_notification_token", "x"), ping, "invalid_request"),
            (RIGHT.replace("client_notification_token", "x"), Some(CibaMode::Poll), ""),
            (RIGHT.replace("scope=openid", "scope=email"), ping, "invalid_scope"),
            (format!("{RIGHT}&acr_values=high"), ping, ""),
            (format!("{RIGHT}&request=x"), ping, "invalid_request"),
            (format!("{RIGHT}&user_code=1234"), ping, "invalid_request"),
        ] {
            assert_eq!(code(&text, mode), wanted, "{text}");
        }
    }

    #[test]
    fn whoever_looks_too_often_waits_longer() {
        let at = |second: i64| Timestamp::from_unix_ms(1_800_000_000_000 + second * 1000);
        let mut ask = BackchannelAsk {
            client_id: "a".to_owned(),
            scope: BTreeSet::new(),
            connection_id: ConnectionId::from_bytes([1; 16]),
            request_id: RequestId::from_bytes([2; 16]),
            ends_at: at(120),
            look_from: at(5),
            interval_seconds: 5,
            tell: None,
        };
        assert_eq!(ask.look(at(4)).code, "slow_down");
        assert_eq!(ask.look(at(10)).code, "slow_down", "ten seconds from the last look");
        assert_eq!(ask.look(at(25)).code, "authorization_pending");
        assert_eq!(ask.look(at(121)).code, "expired_token");
        assert_eq!(ask.look(at(121)).code, "expired_token", "at any pace");
        assert_eq!(ask.kept_until(), at(180), "a yes of the last moment is fetched a minute later still");
    }
}
