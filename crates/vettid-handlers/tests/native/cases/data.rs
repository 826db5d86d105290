//! Cases of the owner's commands over personal data.

use super::{Expect, START, Scenario, at, later, owner, scenario};
use serde_json::{Value, json};
use vettid_handler::event::Event;
use vettid_handler::host::Field;
use vettid_wire::refusal::RefusalCode;

pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![stored_and_removed(), full()];
    scenarios.extend(malformed().into_iter().map(|(what, event)| {
        scenario(format!("refused: {what}"), vec![(event, Expect::Refuse(RefusalCode::InvalidRequest))])
    }));
    scenarios
}

fn set(field: &str, value: &Value) -> Event {
    owner("data.set", json!({"field": field, "value": value}))
}

fn view(field: &str, value: &Value, updated_at: &str) -> Expect {
    Expect::Body(json!({"field": field, "value": value, "updated_at": updated_at}))
}

fn stored_and_removed() -> Scenario {
    let address = json!({"street": "Bahnhofstrasse 1", "city": "Zürich", "floor": 3});
    let changed = at(1000).to_string();
    let get = |field: &str| owner("data.get", json!({"field": field}));
    scenario(
        "fields are stored, changed, listed and removed",
        vec![
            (get("address"), Expect::Refuse(RefusalCode::NotFound)),
            (owner("data.list", json!({})), Expect::Body(json!({"fields": []}))),
            (set("phone", &json!("+41 44 000 00 00")), view("phone", &json!("+41 44 000 00 00"), START)),
            (set("address", &json!("old")), view("address", &json!("old"), START)),
            (later(set("address", &address), 1, 1000), view("address", &address, &changed)),
            (get("address"), view("address", &address, &changed)),
            (
                owner("data.list", json!({})),
                Expect::Body(json!({"fields": [
                    {"field": "address", "updated_at": changed}, {"field": "phone", "updated_at": START}]})),
            ),
            (owner("data.remove", json!({"field": "address"})), Expect::Body(json!({}))),
            (get("address"), Expect::Refuse(RefusalCode::NotFound)),
            (owner("data.remove", json!({"field": "address"})), Expect::Refuse(RefusalCode::NotFound)),
        ],
    )
}

fn full() -> Scenario {
    let mut full = scenario(
        "no more fields than a list can show",
        vec![
            (set("one_more", &json!(1)), Expect::Refuse(RefusalCode::NotAllowed)),
            (set("field_7", &json!(1)), view("field_7", &json!(1), START)),
        ],
    );
    for number in 0..256 {
        let field = Field { value: b"0".to_vec(), updated_at: at(0) };
        full.host.fields.insert(format!("field_{number}"), field);
    }
    full
}

fn malformed() -> Vec<(&'static str, Event)> {
    let deep = (0..13).fold(json!(1), |inner, _| json!([inner]));
    vec![
        ("an upper-case name", set("Address", &json!("x"))),
        ("an empty name", set("", &json!("x"))),
        ("a long name", set(&"a".repeat(65), &json!("x"))),
        ("no value", set("address", &Value::Null)),
        ("a large value", set("address", &json!("x".repeat(48 * 1024)))),
        ("a deep value", set("address", &deep)),
        ("an unknown field", owner("data.set", json!({"field": "address", "value": 1, "tier": "consent"}))),
        ("not a field name", owner("data.get", json!({"field": "../secrets"}))),
        ("a body without a field", owner("data.get", json!({}))),
        ("a list", owner("data.remove", json!([]))),
    ]
}
