//! Cases of `auth.challenge`: a service asks for a login.

use super::{BOB, CAROL, Expect, REQUEST, Scenario, at, decided, expired, later, scenario, service};
use serde_json::{Value, json};
use vettid_handler::event::Event;
use vettid_wire::auth::Decision;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::json::canonical;
use vettid_wire::refusal::RefusalCode;

pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![answered(Decision::Approve), answered(Decision::Deny), unanswered()];
    scenarios.extend(refused());
    scenarios.push(on_this_machine());
    scenarios
}

fn key_id() -> String {
    format!("k_{}", "a".repeat(26))
}

fn body() -> Value {
    json!({
        "request_id": REQUEST, "service_id": "demo-shop", "connection_id": BOB,
        "contract_hash": Base64Url::new([5; 32]), "origin": "https://shop.example",
        "nonce": Base64Url::new([1; 32]), "session_hash": Base64Url::new([2; 32]),
        "display": {"browser": "Firefox on Linux", "city": "Zürich", "ip_prefix": "192.0.2"},
        "issued_at": at(-1000), "expires_at": at(119_000), "key_id": key_id(), "signature": Base64::new([3; 64]),
    })
}

fn challenge(body: Value) -> Event {
    service("auth.challenge", None, body)
}

fn with(key: &str, value: impl Into<Value>) -> Event {
    let mut body = body();
    body[key] = value.into();
    challenge(body)
}

fn showing(line: &str) -> Event {
    with("display", json!({"browser": line, "city": "Zürich", "ip_prefix": "192.0.2"}))
}

fn issued(from_ms: i64, to_ms: i64) -> Event {
    let mut body = body();
    body["issued_at"] = json!(at(from_ms));
    body["expires_at"] = json!(at(to_ms));
    challenge(body)
}

fn asked() -> Expect {
    let body = body();
    Expect::Ask { ask: json!({"login": {"origin": body["origin"], "display": body["display"]}}), interim: None }
}

/// The host of the tests puts the length of the signed object into its signature.
fn signed(decision: Decision) -> Expect {
    let request = body();
    let mut answer = json!({
        "decision": decision, "auth_time": at(19_000), "method": ["user"], "issued_at": at(20_000),
    });
    for key in ["request_id", "service_id", "connection_id", "origin", "nonce", "session_hash", "expires_at"] {
        answer[key] = request[key].clone();
    }
    let length = canonical(&answer).unwrap().len();
    answer["key_id"] = key_id().into();
    answer["signature"] = Base64::new(length.to_be_bytes()).to_string().into();
    Expect::Body(answer)
}

fn answered(decision: Decision) -> Scenario {
    let steps = vec![(challenge(body()), asked()), (decided(challenge(body()), decision), signed(decision))];
    scenario(format!("{decision:?} is signed"), steps)
}

fn unanswered() -> Scenario {
    let mut too_late = decided(challenge(body()), Decision::Approve);
    too_late.context.occurred_at = at(119_000);
    scenario(
        "no answer after the challenge ran out",
        vec![
            (challenge(body()), asked()),
            (expired(challenge(body())), Expect::Refuse(RefusalCode::Expired)),
            (too_late, Expect::Refuse(RefusalCode::Expired)),
        ],
    )
}

/// Who asks, and where for.
fn foreign() -> Vec<(&'static str, Event, RefusalCode)> {
    let mut not_permitted = challenge(body());
    let peer = not_permitted.context.peer.as_mut().unwrap();
    peer.service.as_mut().unwrap().permissions.clear();
    let mut by_member = challenge(body());
    by_member.context.peer.as_mut().unwrap().service = None;
    let elsewhere = |origin: &str| with("origin", origin);
    let denied = RefusalCode::NotAllowed;
    vec![
        ("another service's name", with("service_id", "other-shop"), denied),
        ("another connection", with("connection_id", CAROL), denied),
        ("a foreign site", elsewhere("https://sh0p.example"), denied),
        ("a site with a path", elsewhere("https://shop.example/"), denied),
        ("a site without tls", elsewhere("http://shop.example"), denied),
        ("a member in place of a service", by_member, denied),
        ("no permission to ask for logins", not_permitted, RefusalCode::NotInContract),
    ]
}

fn malformed() -> Vec<(&'static str, Event, RefusalCode)> {
    let short = Base64Url::new([1; 31]).to_string();
    let events = [
        ("a short nonce", with("nonce", short.clone())),
        ("a short session hash", with("session_hash", short)),
        ("a deceptive browser", showing("Fire\u{202e}xof")),
        ("a long browser", showing(&"x".repeat(121))),
        ("a life of more than 120 seconds", issued(0, 120_001)),
        ("an end before the beginning", issued(2000, 1000)),
        ("a clock far ahead", issued(30_001, 60_000)),
        ("an unknown key", with("otp", "123456")),
        ("no signature", with("signature", Value::Null)),
    ];
    let events = events.into_iter();
    events.map(|(what, event)| (what, event, RefusalCode::InvalidRequest)).collect()
}

fn refused() -> Vec<Scenario> {
    let late = vec![
        ("an end that has passed", issued(-60_000, 0), RefusalCode::Expired),
        ("a late redelivery", later(challenge(body()), 1, 119_000), RefusalCode::Expired),
    ];
    let cases = [foreign(), malformed(), late].into_iter().flatten();
    cases.map(|(what, event, code)| scenario(format!("refused: {what}"), vec![(event, Expect::Refuse(code))])).collect()
}

fn on_this_machine() -> Scenario {
    let origin = "http://localhost:8090";
    let ask = json!({"login": {"origin": origin, "display": body()["display"]}});
    let asked = Expect::Ask { ask, interim: None };
    scenario("a site on the member's own machine", vec![(with("origin", origin), asked)])
}
