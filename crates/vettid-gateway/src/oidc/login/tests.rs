//! Who may say how far a login is: an attempt for itself alone, and of two looks at one connection the first.

use super::*;
use crate::login::Verifier;
use crate::oidc::authorize::Prompt;
use std::collections::BTreeSet;
use vettid_wire::login::BrowserKeyKind;

const ID: &str = "a-login";

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + second * 1000)
}

fn browser() -> HandleHash {
    HandleHash::of("cookie")
}

fn attempt(seed: u8) -> Attempt {
    let begun = Begun {
        login_id: LoginId::from_bytes([seed; 16]),
        verifier: Verifier::random(&mut random::system()),
        link: String::new(),
        number: None,
        to_sign: String::new(),
        expires_at: at(300),
        key_kind: BrowserKeyKind::Webcrypto,
    };
    Attempt { whom: None, begun: Arc::new(begun) }
}

/// All logins, of which one is at this stage.
fn waiting(stage: Stage) -> Waiting {
    let request = AuthorizationRequest {
        client_id: "a".to_owned(),
        redirect_uri: "https://shop.example/cb".to_owned(),
        state: None,
        nonce: None,
        scope: BTreeSet::new(),
        challenge: String::new(),
        prompt: Prompt::default(),
        max_age_seconds: None,
        login_hint: None,
        id_token_hint: None,
    };
    let display = Display { browser: "b".to_owned(), city: "c".to_owned(), ip_prefix: "127.0.0".to_owned() };
    let pending = Pending {
        request,
        only: None,
        browser: browser(),
        form_key: "k".to_owned(),
        display,
        has_script: true,
        stage,
        ends_at: at(600),
    };
    let mut all = Waiting::default();
    assert!(all.add(at(0), ID, pending));
    all
}

fn stage(all: &Waiting) -> Stage {
    all.get(at(1), ID, &browser()).unwrap().stage
}

fn ended() -> Stage {
    Stage::Ended { whom: None, why: Ended::Denied }
}

#[test]
fn what_came_of_an_attempt_that_was_given_up_does_not_end_the_next_one() {
    let (former, next) = (attempt(1), attempt(2));
    let mut all = waiting(Stage::Waiting(former.clone()));
    all.set(ID, Stage::Waiting(next.clone()));
    all.end(ID, former.begun.login_id, ended());
    assert!(matches!(stage(&all), Stage::Waiting(now) if now.begun.login_id == next.begun.login_id));
    all.end(ID, next.begun.login_id, ended());
    assert!(matches!(stage(&all), Stage::Ended { why: Ended::Denied, .. }));
    // What is over stays as it is.
    all.end(ID, next.begun.login_id, Stage::Choose(None));
    assert!(matches!(stage(&all), Stage::Ended { .. }));
}

#[test]
fn of_two_looks_at_one_connection_the_first_begins_the_login() {
    let (invite_id, connection) = (InviteId::from_bytes([1; 16]), ConnectionId::from_bytes([2; 16]));
    let mut all = waiting(Stage::Inviting { invite_id, link: String::new() });
    assert_eq!(all.connected(ID, InviteId::from_bytes([3; 16]), connection), None, "another invitation");
    assert!(matches!(stage(&all), Stage::Inviting { .. }));
    assert_eq!(all.connected(ID, invite_id, connection), Some(connection));
    assert!(matches!(stage(&all), Stage::Choose(Some(whom)) if whom == connection));
    assert_eq!(all.connected(ID, invite_id, connection), None, "the second look");
    all.set(ID, Stage::Waiting(attempt(1)));
    assert_eq!(all.connected(ID, invite_id, connection), None, "a look that comes late");
    assert!(matches!(stage(&all), Stage::Waiting(_)), "the login that was begun goes on");
}
