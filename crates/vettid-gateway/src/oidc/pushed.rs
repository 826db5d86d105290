//! Authorization requests that clients pushed before they sent a browser (RFC 9126). In memory alone, as logins are: after a restart the
//! client begins anew. Pure. Each counts once, for its client, and not for long.

use super::authorize::AuthorizationRequest;
use super::handle::HandleHash;
use std::collections::HashMap;
use vettid_wire::time::Timestamp;

/// What a reference begins with.
pub(super) const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// A request waits this long for its browser, in milliseconds.
pub(super) const LIFE_MS: i64 = 60_000;
/// Most requests that wait, of all clients and of one.
const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 1_000;

/// A request that waits for its browser.
#[derive(Debug)]
struct Waiting {
    request: AuthorizationRequest,
    expires_at: Timestamp,
}

/// All that wait, by the hash of their reference.
#[derive(Debug, Default)]
pub(super) struct Pushed(HashMap<HandleHash, Waiting>);

impl Pushed {
    /// Keeps a request; `false` if too many wait.
    pub(super) fn add(&mut self, now: Timestamp, reference: HandleHash, request: AuthorizationRequest) -> bool {
        if self.0.len() >= MOST || self.of(&request.client_id) >= MOST_OF_ONE {
            self.0.retain(|_, waiting| now <= waiting.expires_at);
        }
        let has_room = self.0.len() < MOST && self.of(&request.client_id) < MOST_OF_ONE;
        if has_room {
            self.0.insert(reference, Waiting { request, expires_at: now.plus_ms(LIFE_MS) });
        }
        has_room
    }

    fn of(&self, client_id: &str) -> usize {
        self.0.values().filter(|waiting| waiting.request.client_id == client_id).count()
    }

    /// Takes a request of this client out, once.
    pub(super) fn take(&mut self, now: Timestamp, client_id: &str, request_uri: &str) -> Option<AuthorizationRequest> {
        let reference = HandleHash::of(request_uri.strip_prefix(PREFIX)?);
        self.0.get(&reference).filter(|waiting| waiting.request.client_id == client_id)?;
        let waiting = self.0.remove(&reference)?;
        (now <= waiting.expires_at).then_some(waiting.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::authorize::Prompt;
    use std::collections::BTreeSet;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + second * 1000)
    }

    fn request(client_id: &str) -> AuthorizationRequest {
        AuthorizationRequest {
            client_id: client_id.to_owned(),
            redirect_uri: "https://shop.example/cb".to_owned(),
            state: None,
            nonce: None,
            scope: BTreeSet::new(),
            challenge: String::new(),
            prompt: Prompt::default(),
            max_age_seconds: None,
            login_hint: None,
            id_token_hint: None,
        }
    }

    #[test]
    fn a_request_counts_once_for_its_client_and_not_for_long() {
        let mut pushed = Pushed::default();
        for reference in ["a", "b"] {
            assert!(pushed.add(at(0), HandleHash::of(reference), request("shop")));
        }
        let uri = |reference: &str| format!("{PREFIX}{reference}");
        assert_eq!(pushed.take(at(1), "other", &uri("a")), None, "another client");
        assert_eq!(pushed.take(at(1), "shop", "a"), None, "without its beginning");
        assert_eq!(
            pushed.take(at(60), "shop", &uri("a")),
            Some(request("shop")),
            "the attempt of another cost nothing"
        );
        assert_eq!(pushed.take(at(60), "shop", &uri("a")), None, "a second time");
        assert_eq!(pushed.take(at(61), "shop", &uri("b")), None, "too late");
    }

    #[test]
    fn one_client_leaves_room_for_the_others() {
        let mut pushed = Pushed::default();
        let mut push = |second, number: usize, client: &str| {
            pushed.add(at(second), HandleHash::of(&format!("{client}{number}")), request(client))
        };
        assert!((0..MOST_OF_ONE).all(|number| push(0, number, "a")));
        assert!(!push(1, MOST_OF_ONE, "a") && push(1, 0, "b"));
        assert!(push(62, MOST_OF_ONE, "a"), "what is over makes room");
    }
}
