//! Events from another time: too old, from the future, or addressed to a vault that this one is not yet or no more.

use crate::flows::request_id;
use crate::town::{ALICE, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_vault::manager::Handled;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Alice holds an e-mail address, and the shop may ask for it.
fn town(seed: u64) -> Town {
    let mut town = Town::settled(seed);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "email", "value": "a@b"})).unwrap();
    town.connect_shop();
    town
}

/// What the shop gets for a request that it sealed at this time: the name of the answer and its code.
fn asked_at(town: &mut Town, name: &str, at: Timestamp) -> (String, Value) {
    let id = request_id(town);
    let body = match name {
        "data.request" => town.shop.data_request("email", id),
        _ => town.shop.signed(&town.shop.challenge(id, town.now)),
    };
    let (_, letter) = town.shop.seal(name, body, at, &mut town.rng);
    delivered(town, letter)
}

fn delivered(town: &mut Town, letter: (Subject, Vec<u8>)) -> (String, Value) {
    let before = town.shop.got.len();
    assert_eq!(town.give(ALICE, vec![letter]), Some(vec![Handled::Done]));
    for (subject, bytes) in town.take_inbox(town.shop.guid) {
        town.shop.receive(&subject, &bytes, town.now, &mut town.rng);
    }
    town.shop
        .got
        .get(before)
        .map_or(("nothing".into(), Value::Null), |(name, body, _)| (name.clone(), body["code"].clone()))
}

#[test]
fn a_request_of_a_service_has_its_time() {
    let mut town = town(80);
    let refused = ("event.refused".to_owned(), json!("expired"));
    let cases = [
        ("data.request", 7 * MINUTE_MS, ("data.response".to_owned(), Value::Null)),
        ("data.request", 7 * MINUTE_MS + 1, refused.clone()),
        ("data.request", -2 * MINUTE_MS, ("data.response".to_owned(), Value::Null)),
        ("data.request", -2 * MINUTE_MS - 1, refused.clone()),
        // It waits for the owner, without an answer for now.
        ("auth.challenge", 4 * MINUTE_MS, ("nothing".to_owned(), Value::Null)),
        ("auth.challenge", 4 * MINUTE_MS + 1, refused.clone()),
        ("auth.challenge", -2 * MINUTE_MS - 1, refused.clone()),
    ];
    for (name, age_ms, wanted) in cases {
        let at = town.now.plus_ms(-age_ms);
        assert_eq!(asked_at(&mut town, name, at), wanted, "{name} of {age_ms} ms");
    }
    for (left_ms, wanted) in [(0, "data.response"), (-1, "event.refused")] {
        town.shop.expires_at = Some(town.now.plus_ms(left_ms));
        let now = town.now;
        assert_eq!(asked_at(&mut town, "data.request", now).0, wanted, "{left_ms} ms left");
    }
    town.check(ALICE);
}

/// A vault that finds events for a later one is an old copy: it runs nothing of that. What was for an earlier one may have run
/// there; no handler has an effect outside of the vault's own commit, so it runs.
#[test]
fn what_is_addressed_to_a_later_incarnation_has_no_effect() {
    let mut town = town(81);
    for (to, wanted) in
        [(0, Ok(())), (1, Ok(())), (2, Err(RefusalCode::Unavailable)), (u64::MAX >> 11, Err(RefusalCode::Unavailable))]
    {
        town.apps[ALICE].to_incarnation = to;
        let field = format!("field_{to}");
        let set = town.ask::<Value>(ALICE, "data.set", json!({"field": field, "value": 1}));
        assert_eq!(set.map(|_| ()), wanted, "{to}");
        town.apps[ALICE].to_incarnation = 1;
        let got = town.ask::<Value>(ALICE, "data.get", json!({"field": field}));
        assert_eq!(got.is_ok(), wanted.is_ok(), "{to}");
    }
    for (to, wanted) in [(0, "data.response"), (1, "data.response"), (2, "event.refused")] {
        town.shop.to_incarnation = to;
        let now = town.now;
        assert_eq!(asked_at(&mut town, "data.request", now).0, wanted, "{to}");
    }
    // It is not remembered as done: the vault that it is for can still do it.
    town.shop.to_incarnation = 2;
    let id = request_id(&mut town);
    let body = town.shop.data_request("email", id);
    let event_id = town.fresh_event();
    for (to, wanted) in [(2, "event.refused"), (1, "data.response")] {
        town.shop.to_incarnation = to;
        let letter = town.shop.seal_as("data.request", &body, event_id, town.now, &mut town.rng);
        assert_eq!(delivered(&mut town, letter).0, wanted);
    }
}
