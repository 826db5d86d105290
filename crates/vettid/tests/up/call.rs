//! Calls on real processes: offer, answer, candidates, hanging up, a line that is busy for the same person and for a third one.

use crate::agreement::{connect, meet, start};
use crate::https::Operator;
use crate::party::{App, list, text};
use crate::people;
use crate::stack::Place;
use serde_json::Value;
use std::fs;
use vettid_wire::enrolment::{AccountCreated, CreateAccount, EnrolmentStarted};
use vettid_wire::event::Nothing;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";
const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 192.0.2.2\r\n";

/// Waits until a call stands so; what it looks like then.
async fn stands(app: &App, call: &str, state: &str) -> Value {
    app.until(&["call", "show", call], |detail| (detail["call"]["state"] == state).then(|| detail.clone())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_placed_answered_and_ended() {
    let place = Place::new();
    let mut up = start(&place).await;
    let (alice, bob, connection) = connect(&place).await;
    let mut watch = bob.watching(&["call", "watch"]).await;

    let file = place.outside("offer.sdp");
    fs::write(&file, OFFER).unwrap();
    let placed = alice.ask(&["call", "offer", &connection, "--sdp-file", file.to_str().unwrap()]).await;
    let call = text(&placed, "call_id");
    watch.shows("Call of alice: ringing").await;
    let rings = stands(&bob, &call, "ringing").await;
    assert_eq!(rings["description"], OFFER);
    stands(&alice, &call, "ringing_there").await;
    alice.say(&["call", "candidate", &call], "candidate:1 one\ncandidate:2 two\n").await;

    bob.say(&["call", "answer", &call], ANSWER).await;
    let connected = stands(&alice, &call, "connected").await;
    assert_eq!(connected["description"], ANSWER);
    let there = stands(&bob, &call, "connected").await;
    assert_eq!(there["candidates"], serde_json::json!(["candidate:1 one", "candidate:2 two"]));

    // Nobody has two calls at once.
    let second = alice.run(&["call", "offer", &connection], OFFER).await;
    assert_ne!(second.code, 0);
    assert!(second.error.contains("another call"), "{}", second.error);

    bob.ask(&["call", "hang-up", &call]).await;
    for app in [&alice, &bob] {
        let over = stands(app, &call, "ended").await;
        assert_eq!(over["call"]["reason"], "hung_up");
        assert_eq!(over.get("description"), None);
    }
    watch.shows("Call of alice: ended").await;

    // Who may never ring is not heard of, and cannot tell.
    bob.ask(&["call", "settings", "--with", &connection, "--may-ring", "never"]).await;
    let hidden = text(&alice.say(&["call", "offer", &connection], OFFER).await, "call_id");
    let ended = alice.ask(&["call", "hang-up", &hidden]).await;
    assert_eq!((&ended["state"], &ended["reason"]), (&Value::from("ended"), &Value::from("hung_up")));
    // What is sent after the end of the call arrives after it.
    alice.say(&["message", "send", &connection], "Did it ring?").await;
    bob.until(&["message", "list", &connection], |list| (list["messages"][0]["text"] == "Did it ring?").then_some(()))
        .await;
    assert_eq!(list(&bob.ask(&["call", "list"]).await, "calls").len(), 1);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

/// A third member: an account, a vault and an app.
async fn carol(place: &Place, services_url: &str) -> App {
    let operator =
        Operator::new(services_url, &fs::read_to_string(place.data().join("services/ca.pem")).unwrap()).unwrap();
    let account: AccountCreated =
        operator.post("/v1/accounts", None, &CreateAccount { name: "carol".into() }).await.unwrap();
    let token = Some(account.portal_token.as_str());
    let started: EnrolmentStarted = operator.post("/v1/vault/enroll/start", token, &Nothing {}).await.unwrap();
    let (app, code) = (place.app("carol"), place.outside("carol.code"));
    fs::write(&code, &started.qr).unwrap();
    app.enrol(&code).await;
    app.ask(&["profile", "set", "--name", "carol"]).await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_in_a_call_is_busy_for_a_third_member() {
    let place = Place::new();
    let (mut up, addresses) = people::start(&place).await;
    let (alice, bob, connection) = connect(&place).await;
    let carol = carol(&place, &addresses.services).await;
    let with_carol = meet(&bob, &carol).await;
    let mut watch = bob.watching(&["call", "watch"]).await;

    let call = text(&alice.say(&["call", "offer", &connection], OFFER).await, "call_id");
    watch.shows("Call of alice: ringing").await;
    bob.say(&["call", "answer", &call], ANSWER).await;
    stands(&alice, &call, "connected").await;

    // Carol learns that he is busy, and no more; Bob's call goes on, and he learns what he missed.
    let missed = text(&carol.say(&["call", "offer", &with_carol], OFFER).await, "call_id");
    let turned_away = stands(&carol, &missed, "ended").await;
    assert_eq!(turned_away["call"]["reason"], "busy", "{turned_away}");
    assert!(!turned_away.to_string().contains("alice"), "{turned_away}");
    stands(&bob, &call, "connected").await;
    stands(&alice, &call, "connected").await;
    let told = |feed: &Value| {
        let missed = "You missed a call of carol while you were in another call";
        list(feed, "entries").iter().any(|entry| text(entry, "summary").contains(missed)).then_some(())
    };
    bob.until(&["feed", "list"], told).await;

    // Bob rings nobody either while he speaks; afterwards Carol gets through.
    let second = bob.run(&["call", "offer", &with_carol], OFFER).await;
    assert!(second.code != 0 && second.error.contains("another call"), "{second:?}");
    alice.ask(&["call", "hang-up", &call]).await;
    stands(&bob, &call, "ended").await;
    let again = text(&carol.say(&["call", "offer", &with_carol], OFFER).await, "call_id");
    watch.shows("Call of carol: ringing").await;
    bob.say(&["call", "answer", &again], ANSWER).await;
    stands(&carol, &again, "connected").await;
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}
