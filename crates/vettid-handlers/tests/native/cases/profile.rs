//! Cases of `profile.get` and `profile.update`.

use super::{Expect, Scenario, owner, scenario};
use serde_json::{Value, json};
use vettid_wire::refusal::RefusalCode;

pub(crate) fn all() -> Vec<Scenario> {
    let first = json!({"first_name": "Alice"});
    let second = json!({"first_name": "Alice", "more": {"city": "Zürich", "pronouns": "she"}});
    let mut scenarios = vec![scenario(
        "each update is published under the next sequence",
        vec![
            (owner("profile.get", json!({})), Expect::Body(json!({"sequence": 0}))),
            (update(&first), Expect::Body(json!({"public": first, "sequence": 1}))),
            (update(&second), Expect::Body(json!({"public": second, "sequence": 2}))),
            (owner("profile.get", json!({})), Expect::Body(json!({"public": second, "sequence": 2}))),
        ],
    )];
    scenarios.extend(malformed().into_iter().map(|public| {
        scenario(
            format!("not a profile: {public}"),
            vec![(update(&public), Expect::Refuse(RefusalCode::InvalidRequest))],
        )
    }));
    scenarios
}

fn update(public: &Value) -> vettid_handler::event::Event {
    owner("profile.update", json!({"public": public}))
}

fn malformed() -> Vec<Value> {
    let many: serde_json::Map<_, _> = (0..21).map(|n| (format!("entry_{n}"), "x".into())).collect();
    vec![
        json!({}),
        json!({"first_name": ""}),
        json!({"first_name": "   "}),
        json!({"first_name": "Al\u{202e}ice"}),
        json!({"first_name": "Al\nice"}),
        json!({"first_name": "A".repeat(101)}),
        json!({"first_name": "Alice", "last_name": "unknown field"}),
        json!({"first_name": "Alice", "more": {"City": "Zürich"}}),
        json!({"first_name": "Alice", "more": {"city": ""}}),
        json!({"first_name": "Alice", "more": {"city": "x".repeat(301)}}),
        json!({"first_name": "Alice", "more": many}),
    ]
}
