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

fn pending(stage: Stage) -> Pending {
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
    Pending {
        request,
        only: None,
        browser: browser(),
        form_key: "k".to_owned(),
        display,
        network: None,
        has_script: true,
        stage,
        ends_at: at(600),
    }
}

/// All logins, of which one is at this stage.
fn waiting(stage: Stage) -> Waiting {
    let mut all = Waiting::default();
    assert!(all.add(ID, pending(stage)));
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

#[test]
fn the_browsers_of_one_network_leave_room_for_others() {
    let from = |network: &str, ends: i64| Pending {
        network: Some(network.to_owned()),
        ends_at: at(ends),
        ..pending(Stage::Inviting { invite_id: InviteId::from_bytes([1; 16]), link: String::new() })
    };
    let mut all = Waiting::default();
    assert!((0..MOST_OF_ONE_NETWORK).all(|number| all.add(&format!("a{number}"), from("192.0.2", 600))));
    assert!(!all.add("one more", from("192.0.2", 700)));
    assert!(all.add("b", from("198.51.100", 700)), "another network");
    assert!(all.add("c", pending(Stage::Choose(None))), "an address that tells nothing");
    let beside = |all: &Waiting, id: &str, network: &str| {
        all.beside(id, &from(network, 0), |stage| matches!(stage, Stage::Inviting { .. }))
    };
    assert_eq!((beside(&all, "b", "198.51.100"), beside(&all, "x", "198.51.100")), (0, 1));
    assert_eq!(all.beside("c", &pending(Stage::Choose(None)), |_| true), 0);
    let gone = all.set("gone", Stage::Inviting { invite_id: InviteId::from_bytes([1; 16]), link: String::new() });
    assert!(matches!(gone, Stage::Inviting { .. }), "what comes too late is given up");
    // What is called off, taken or over makes room.
    all.forget("a0");
    all.forget("a0");
    assert!(all.take("a1", &browser()).is_some());
    assert!(all.add("a0", from("192.0.2", 600)) && all.add("a1", from("192.0.2", 600)));
    assert!(!all.add("one more", from("192.0.2", 700)));
    assert_eq!(all.sweep(at(600)).len(), 0);
    let over = all.sweep(at(601)).into_iter().filter(|stage| matches!(stage, Stage::Inviting { .. }));
    assert_eq!(over.count(), MOST_OF_ONE_NETWORK);
    assert_eq!((beside(&all, "x", "192.0.2"), beside(&all, "x", "198.51.100")), (0, 1));
    assert!(all.add("one more", from("192.0.2", 700)));
}
