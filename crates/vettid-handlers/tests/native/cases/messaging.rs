//! Cases of text messages between members.

use super::{BOB, CAROL, Expect, Scenario, at, event_id, later, member, owner, scenario, service};
use serde_json::{Value, json};
use vettid_handler::event::Event;
use vettid_wire::refusal::RefusalCode;

const UNKNOWN: &str = "018f6b1e-7c1a-7000-8000-00000000dead";

pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![sent_and_delivered(), received(), both_directions(), long_list(), quota()];
    scenarios.extend(refused());
    scenarios
}

fn send(to: &str, text: &str, number: u8, ms: i64) -> Event {
    later(owner("messaging.send", json!({"connection_id": to, "text": text})), number, ms)
}

fn sent(number: u8) -> Expect {
    Expect::Body(json!({"message_id": event_id(number)}))
}

fn list(of: &str) -> Event {
    owner("messaging.list", json!({"connection_id": of}))
}

fn listed(messages: &[Value]) -> Expect {
    Expect::Body(json!({"messages": messages}))
}

fn body(message: u8, number: u64, text: &str, sent_ms: i64) -> Value {
    json!({"message_id": event_id(message), "number": number, "text": text, "sent_at": at(sent_ms)})
}

fn text(message: u8, number: u64, text: &str, sent_ms: i64, ms: i64) -> Event {
    later(member("messaging.text", body(message, number, text, sent_ms)), message, ms)
}

fn view(mut body: Value, direction: &str, delivered_ms: Option<i64>) -> Value {
    body["direction"] = direction.into();
    if let Some(ms) = delivered_ms {
        body["delivered_at"] = json!(at(ms));
    }
    body
}

fn receipt(of: u8, ms: i64) -> Event {
    member("messaging.receipt", json!({"message_id": event_id(of), "received_at": at(ms)}))
}

fn sent_and_delivered() -> Scenario {
    let first = body(1, 1, "Hello", 0);
    let second = body(2, 2, "Are you there?\nTell me.", 1000);
    scenario(
        "a sent message is marked when its receipt comes, and repeated commands and receipts change nothing",
        vec![
            (send(BOB, "Hello", 1, 0), sent(1)),
            (send(BOB, "Are you there?\nTell me.", 2, 1000), sent(2)),
            (send(CAROL, "Other numbers", 3, 2000), sent(3)),
            (receipt(1, 1500), Expect::None),
            (receipt(1, 9000), Expect::None),
            (send(BOB, "Hello", 1, 3000), sent(1)),
            (send(BOB, "Not hello", 1, 3000), Expect::Refuse(RefusalCode::Conflict)),
            (list(BOB), listed(&[view(first, "sent", Some(1500)), view(second, "sent", None)])),
            (list(CAROL), listed(&[view(body(3, 1, "Other numbers", 2000), "sent", None)])),
        ],
    )
}

fn received() -> Scenario {
    scenario(
        "a received message is stored once, in its sender's order",
        vec![
            (text(2, 2, "second", -100, 0), Expect::None),
            (text(1, 1, "first", -200, 10), Expect::None),
            (text(2, 2, "second", -100, 20), Expect::None),
            (text(2, 2, "changed", -100, 30), Expect::Refuse(RefusalCode::Conflict)),
            (
                list(BOB),
                listed(&[
                    view(body(1, 1, "first", -200), "received", Some(10)),
                    view(body(2, 2, "second", -100), "received", Some(0)),
                ]),
            ),
            (list(CAROL), listed(&[])),
        ],
    )
}

fn both_directions() -> Scenario {
    scenario(
        "a conversation stands in the order of writing; a clock that is ahead counts as now",
        vec![
            (send(BOB, "one", 1, 0), sent(1)),
            (text(2, 1, "two", 90_000, 1000), Expect::None),
            (send(BOB, "three", 3, 2000), sent(3)),
            (
                list(BOB),
                listed(&[
                    view(body(1, 1, "one", 0), "sent", None),
                    view(body(2, 1, "two", 90_000), "received", Some(1000)),
                    view(body(3, 2, "three", 2000), "sent", None),
                ]),
            ),
            (receipt(2, 5000), Expect::Refuse(RefusalCode::NotFound)),
            (text(3, 2, "under an id of ours", 0, 3000), Expect::Refuse(RefusalCode::Conflict)),
        ],
    )
}

fn long_list() -> Scenario {
    let long = "x".repeat(32 * 1024);
    scenario(
        "a list holds the newest messages that fit",
        vec![
            (send(BOB, &long, 1, 0), sent(1)),
            (send(BOB, &long, 2, 1), sent(2)),
            (send(BOB, "short", 3, 2), sent(3)),
            (
                list(BOB),
                listed(&[view(body(2, 2, &long, 1), "sent", None), view(body(3, 3, "short", 2), "sent", None)]),
            ),
        ],
    )
}

fn quota() -> Scenario {
    let mut full = scenario("a full store refuses and forgets nothing", vec![]);
    full.host.max_keys = Some(2);
    full.steps = vec![
        (text(1, 1, "fits", 0, 0), Expect::None),
        (text(2, 2, "does not", 0, 1), Expect::Refuse(RefusalCode::Unavailable)),
        (send(BOB, "nor does this", 3, 2), Expect::Refuse(RefusalCode::Unavailable)),
        (list(BOB), listed(&[view(body(1, 1, "fits", 0), "received", Some(0))])),
    ];
    full
}

fn refused() -> Vec<Scenario> {
    let by_service =
        |name: &str, body: Value| service(name, None, body).context.peer.map(|peer| (name.to_owned(), peer));
    let mut from_service = member("messaging.text", body(1, 1, "hi", 0));
    from_service.context.peer = by_service("messaging.text", json!({})).map(|(_, peer)| peer);
    let mut from_nobody = member("messaging.text", body(1, 1, "hi", 0));
    from_nobody.context.peer = None;
    let cases = [
        ("an empty text", send(BOB, "", 1, 0), RefusalCode::InvalidRequest),
        ("a long text", send(BOB, &"x".repeat(32 * 1024 + 1), 1, 0), RefusalCode::InvalidRequest),
        ("a text that grows by its escapes", send(BOB, &"\u{1}".repeat(10_000), 1, 0), RefusalCode::InvalidRequest),
        ("nobody to send to", send(UNKNOWN, "hi", 1, 0), RefusalCode::NotConnected),
        ("number zero", text(1, 0, "hi", 0, 0), RefusalCode::InvalidRequest),
        ("an empty text of a peer", text(1, 1, "", 0, 0), RefusalCode::InvalidRequest),
        ("a peer's text that grows", text(1, 1, &"\u{1}".repeat(10_000), 0, 0), RefusalCode::InvalidRequest),
        ("a text of a service", from_service, RefusalCode::NotAllowed),
        ("a text of nobody", from_nobody, RefusalCode::NotAllowed),
        ("a receipt for nothing", receipt(9, 0), RefusalCode::NotFound),
        ("an unknown key", member("messaging.text", json!({"text": "hi"})), RefusalCode::InvalidRequest),
        ("an owner's command on a member's lane", member("messaging.send", json!({})), RefusalCode::UnsupportedEvent),
    ];
    let cases = cases.into_iter();
    cases.map(|(what, event, code)| scenario(format!("refused: {what}"), vec![(event, Expect::Refuse(code))])).collect()
}
