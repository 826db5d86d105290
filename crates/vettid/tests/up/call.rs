//! Calls on real processes: offer, answer, candidates, hanging up, a line that is busy.

use crate::agreement::{connect, start};
use crate::party::{App, list, text};
use crate::stack::Place;
use serde_json::Value;
use std::fs;

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
