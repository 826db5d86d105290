//! The main flows, on a good day.

use crate::app::random_bytes;
use crate::logins::{browser, know};
use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_wire::connection::{ConnectionState, ConnectionView};
use vettid_wire::id::RequestId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::RequestList;

pub(crate) fn request_id(town: &mut Town) -> RequestId {
    RequestId::v7(town.now, random_bytes(&mut town.rng))
}

/// The shop asks for a field; gives the last answer it got.
pub(crate) fn ask_field(town: &mut Town, field: &str, request_id: RequestId) -> Value {
    let body = town.shop.data_request(field, request_id);
    send(town, "data.request", body)
}

/// The shop sends an event; gives the last answer it got, or null.
pub(crate) fn send(town: &mut Town, name: &str, body: Value) -> Value {
    let count = town.shop.got.len();
    let (_, (subject, bytes)) = town.shop.seal(name, body, town.now, &mut town.rng);
    town.post(subject, bytes);
    town.run();
    town.shop.got.get(count..).and_then(<[_]>::last).map_or(Value::Null, |(_, body, _)| body.clone())
}

pub(crate) fn decide(town: &mut Town, request_id: RequestId, decision: &str) -> Result<Value, RefusalCode> {
    let done = town.ask(ALICE, "request.decide", json!({"request_id": request_id, "decision": decision}));
    town.run();
    done
}

fn waiting(town: &mut Town) -> Vec<RequestId> {
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    list.requests.iter().map(|request| request.request_id).collect()
}

#[test]
fn data_profile_and_a_new_session() {
    let mut town = Town::settled(1);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "address", "value": "Elm 1"})).unwrap();
    town.now = town.now.plus_ms(DAY_MS);
    town.resume(ALICE, true);
    let field: Value = town.ask(ALICE, "data.get", json!({"field": "address"})).unwrap();
    assert_eq!(field["value"], "Elm 1");
    let profile: Value = town.ask(ALICE, "profile.get", json!({})).unwrap();
    assert_eq!(profile["public"]["first_name"], "Alice");
    let _: Value = town.ask(ALICE, "data.remove", json!({"field": "address"})).unwrap();
    assert_eq!(town.ask::<Value>(ALICE, "data.get", json!({"field": "address"})), Err(RefusalCode::NotFound));
    town.check(ALICE);
}

#[test]
fn two_members_connect_write_and_part() {
    for ends in [ALICE, BOB] {
        let mut town = Town::settled(2);
        let id = town.connect();
        let (a, b) = (town.view(ALICE, id), town.view(BOB, id));
        assert_eq!((a.state, b.state), (ConnectionState::Active, ConnectionState::Active));
        assert_eq!((a.safety_number, a.symbols), (b.safety_number, b.symbols));
        for (who, text) in [(ALICE, "hello"), (BOB, "hi")] {
            let _: Value = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
            town.run();
        }
        assert_eq!(town.texts(BOB, id, "received"), [(1, "hello".to_owned())]);
        assert_eq!(town.texts(ALICE, id, "received"), [(1, "hi".to_owned())]);
        let body = json!({"connection_id": id, "reason": "user_requested"});
        let _: ConnectionView = town.ask(ends, "connection.revoke", body).unwrap();
        town.run();
        for who in [ALICE, BOB] {
            assert_eq!(town.view(who, id).state, ConnectionState::Revoked);
            let sent = town.ask::<Value>(who, "messaging.send", json!({"connection_id": id, "text": "x"}));
            assert_eq!(sent, Err(RefusalCode::NotConnected));
            assert_eq!(town.nodes[who].vault.to_cut_off().unwrap().len(), 1);
            town.check(who);
        }
    }
}

#[test]
fn a_rejected_request_makes_no_connection() {
    let mut town = Town::settled(3);
    let id = town.ask_to_connect();
    assert_eq!(town.decide(ALICE, id, false).unwrap().state, ConnectionState::Rejected);
    town.now = town.now.plus_ms(8 * DAY_MS);
    town.tick();
    town.resume(BOB, true);
    assert_eq!(town.view(BOB, id).state, ConnectionState::Expired);
}

#[test]
fn every_tier_of_a_contract() {
    let mut town = Town::settled(4);
    for field in ["address", "date_of_birth", "email", "phone", "city"] {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
    }
    let id = town.connect_shop();
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Active);
    for field in ["address", "email", "phone"] {
        let request_id = request_id(&mut town);
        assert_eq!(ask_field(&mut town, field, request_id)["outcome"]["served"]["value"], field);
    }
    let id = request_id(&mut town);
    assert_eq!(ask_field(&mut town, "city", id)["code"], "not_in_contract");
    let id = request_id(&mut town);
    ask_field(&mut town, "address", id);
    let id = request_id(&mut town);
    assert_eq!(ask_field(&mut town, "address", id)["code"], "rate_limited");
    for (decision, outcome) in [("approve", "served"), ("deny", "refused")] {
        let id = request_id(&mut town);
        assert!(ask_field(&mut town, "date_of_birth", id)["outcome"].get("pending").is_some());
        assert_eq!(waiting(&mut town), [id]);
        decide(&mut town, id, decision).unwrap();
        let (name, body) = town.shop.last();
        assert_eq!(name, "data.response");
        assert!(body["outcome"].get(outcome).is_some(), "{body}");
        assert!(waiting(&mut town).is_empty());
    }
    town.check(ALICE);
}

#[test]
fn a_login_is_signed_for_this_connection_after_the_owner_decided() {
    let mut town = Town::settled(5);
    town.connect_shop();
    let browser = browser(1);
    know(&mut town, &browser);
    for decision in ["approve", "deny"] {
        let id = request_id(&mut town);
        let challenge = town.shop.signed(&town.shop.challenge_of(&browser, id, town.now));
        assert_eq!(send(&mut town, "auth.challenge", challenge), Value::Null);
        decide(&mut town, id, decision).unwrap();
        let (name, body) = town.shop.last();
        assert_eq!((name, body["decision"].as_str()), ("auth.response", Some(decision)));
    }
}

#[test]
fn a_login_without_an_answer_is_refused_once() {
    let mut town = Town::settled(6);
    town.connect_shop();
    let id = request_id(&mut town);
    let challenge = town.shop.signed(&town.shop.challenge(id, town.now));
    send(&mut town, "auth.challenge", challenge);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "a", "value": 1})).unwrap();
    town.now = town.now.plus_ms(3 * MINUTE_MS);
    let before = town.shop.got.len();
    (0..5).for_each(|_| town.tick());
    town.run();
    let refused: Vec<_> =
        town.shop.got[before..].iter().map(|(name, body, _)| (name.as_str(), body["code"].clone())).collect();
    assert_eq!(refused, [("event.refused", json!("expired"))]);
    let told = town.feed(ALICE).entries.iter().filter(|entry| entry.summary.contains("without your answer")).count();
    assert_eq!(told, 1);
    assert!(!town.nodes[ALICE].vault.state().all().keys().any(|key| key.starts_with("pending/")));
    assert_eq!(decide(&mut town, id, "approve"), Err(RefusalCode::NotFound));
    town.check(ALICE);
}

#[test]
fn the_same_state_comes_back_from_a_snapshot() {
    let mut town = Town::settled(7);
    let id = town.connect();
    let before = town.nodes[ALICE].vault.state().all();
    town.snapshot(ALICE);
    assert_eq!(town.nodes[ALICE].vault.state().all(), before);
    let _: Value = town.ask(ALICE, "messaging.send", json!({"connection_id": id, "text": "again"})).unwrap();
    town.run();
    assert_eq!(town.texts(BOB, id, "received"), [(1, "again".to_owned())]);
    town.check(ALICE);
}
