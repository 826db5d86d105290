//! Fields that the shop gets once: what spends them, what does not, and that a crash does not bring them back.

use crate::flows::{ask_field, decide, request_id};
use crate::town::{ALICE, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_wire::refusal::RefusalCode;

fn store(town: &mut Town, field: &str) {
    let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
}

fn spent() -> Value {
    json!({"refused": {"code": "spent"}})
}

/// What the last answer says, be it an outcome or a refusal of the event.
fn outcome(answer: &Value) -> Value {
    answer.get("outcome").cloned().unwrap_or_else(|| json!({"refused": {"code": answer["code"]}}))
}

#[test]
fn a_field_that_is_handed_out_once_is_spent_by_its_value_alone() {
    let mut town = Town::settled(1);
    town.connect_shop();
    let nothing = request_id(&mut town);
    assert_eq!(outcome(&ask_field(&mut town, "passport", nothing)), json!({"refused": {"code": "not_available"}}));
    store(&mut town, "passport");
    let first = request_id(&mut town);
    assert_eq!(outcome(&ask_field(&mut town, "passport", first))["served"]["value"], "passport");
    for _ in 0..2 {
        let next = request_id(&mut town);
        assert_eq!(outcome(&ask_field(&mut town, "passport", next)), spent());
        town.nodes[ALICE].crash();
    }
    // Stored anew it is still the field that was handed out.
    let _: Value = town.ask(ALICE, "data.remove", json!({"field": "passport"})).unwrap();
    store(&mut town, "passport");
    let again = request_id(&mut town);
    assert_eq!(outcome(&ask_field(&mut town, "passport", again)), spent());
    town.check(ALICE);
}

#[test]
fn of_two_that_wait_for_consent_one_is_served() {
    let mut town = Town::settled(2);
    store(&mut town, "licence");
    town.connect_shop();
    let ids = [request_id(&mut town), request_id(&mut town), request_id(&mut town)];
    for id in ids {
        assert!(outcome(&ask_field(&mut town, "licence", id)).get("pending").is_some());
    }
    let [denied, served, late] = ids;
    decide(&mut town, denied, "deny").unwrap();
    assert_eq!(outcome(town.shop.last().1), json!({"refused": {"code": "denied"}}));
    decide(&mut town, served, "approve").unwrap();
    assert_eq!(outcome(town.shop.last().1)["served"]["value"], "licence");
    assert_eq!(decide(&mut town, late, "approve"), Err(RefusalCode::Spent));
    assert_eq!(outcome(town.shop.last().1), spent());
    town.now = town.now.plus_ms(MINUTE_MS);
    let next = request_id(&mut town);
    assert_eq!(outcome(&ask_field(&mut town, "licence", next)), spent());
    town.check(ALICE);
}
