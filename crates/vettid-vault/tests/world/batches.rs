//! Requests of the shop for several fields at once: each is decided as if it was asked for alone, the owner is asked once with a yes
//! for each field, and one signed answer says what came of all.

use crate::flows::{request_id, send};
use crate::town::{ALICE, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::contract::contract_hash;
use vettid_wire::audit::ExportedEntry;
use vettid_wire::data::HeldList;
use vettid_wire::feed::{AuditStretch, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, RequestList};

const ASK: &str = "data.batch.request";

fn town_with(seed: u64, fields: &[&str]) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    for field in fields {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
    }
    let id = town.connect_shop();
    (town, id)
}

fn batch(town: &Town, id: RequestId, fields: &[&str]) -> Value {
    let fields: Vec<_> = fields.iter().map(|field| json!({"field": field})).collect();
    json!({"request_id": id, "service_id": "demo-shop", "connection_id": town.shop.connection_id.unwrap(),
        "contract_hash": contract_hash(&town.shop.contract).unwrap(), "fields": fields, "purpose": "To deliver"})
}

/// What the last answer says: each field with its value, or the code of its refusal after an exclamation mark.
fn said(town: &Town) -> Vec<String> {
    let (name, answer) = town.shop.last();
    assert_eq!(name, "data.batch.response", "{answer}");
    town.shop.check_proof(answer);
    let one = |field: &Value| {
        let of = |pointer: &str| field.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let served = field.pointer("/outcome/served/keep").is_some();
        let (name, value, code) = (of("/field"), of("/outcome/served/value"), of("/outcome/refused/code"));
        if served { format!("{name}={value}") } else { format!("{name}!{code}") }
    };
    let fields = answer.pointer("/outcome/answered/fields").and_then(Value::as_array);
    fields.unwrap_or_else(|| panic!("{answer}")).iter().map(one).collect()
}

pub(crate) fn ask(town: &mut Town, fields: &[&str]) -> RequestId {
    let id = request_id(town);
    let body = batch(town, id, fields);
    send(town, ASK, body);
    id
}

fn waiting(town: &mut Town) -> Vec<(RequestId, Ask)> {
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    list.requests.into_iter().map(|request| (request.request_id, request.ask)).collect()
}

fn decide(town: &mut Town, id: RequestId, decision: &str, fields: &[&str]) -> Result<Value, RefusalCode> {
    let mut body = json!({"request_id": id, "decision": decision});
    if !fields.is_empty() {
        body["fields"] = json!(fields);
    }
    let done = town.ask(ALICE, "request.decide", body);
    town.run();
    done
}

fn audit(town: &mut Town) -> Vec<ExportedEntry> {
    let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
    stretch.entries
}

#[test]
fn each_field_is_decided_by_itself_and_noted_by_itself() {
    let (mut town, id) = town_with(1, &["address", "email", "city", "ssn", "passport"]);
    let before = audit(&mut town).len();
    let statement = |town: &mut Town| -> u64 {
        let part: Value =
            town.ask(ALICE, "contract.statement.export", json!({"connection_id": id, "part": 0})).unwrap();
        part["head"]["entries"].as_u64().unwrap()
    };
    let stated = statement(&mut town);
    ask(&mut town, &["address", "ssn", "email", "city", "phone", "passport"]);
    assert_eq!(
        said(&town),
        [
            "address=address",
            "ssn!not_in_contract",
            "email=email",
            "city!not_in_contract",
            "phone!not_available",
            "passport=passport"
        ]
    );
    assert_eq!(statement(&mut town), stated + 3);
    let entries = audit(&mut town);
    let details: Vec<Value> =
        entries[before..].iter().filter_map(|entry| entry.detail.clone()).map(|detail| detail.value).collect();
    let served: Vec<_> = details.iter().filter_map(|detail| detail["served"]["field"].as_str()).collect();
    assert_eq!(served, ["address", "email", "passport"]);
    let refused: Vec<_> = details
        .iter()
        .filter_map(|detail| Some((detail["field"].as_str()?, detail["failed_check"].as_str()?)))
        .collect();
    assert_eq!(refused, [("ssn", "declared"), ("city", "tier")]);
    let told = town.feed(ALICE).entries.remove(0);
    assert_eq!(told.severity, Severity::Alarm, "as urgent as the worst: {}", told.summary);
    assert!(told.summary.contains("read your address, email, passport; was not given: ssn"), "{}", told.summary);
    let held: HeldList = town.ask(ALICE, "data.held.list", json!({"connection_id": id})).unwrap();
    assert_eq!(held.held.len(), 3);
    // What is handed out once is spent by it, in the next request as alone.
    ask(&mut town, &["passport", "email"]);
    assert_eq!(said(&town), ["passport!spent", "email=email"]);
    town.check(ALICE);
}

#[test]
fn each_field_takes_a_token_as_if_it_was_asked_for_alone() {
    let (mut town, _) = town_with(2, &["address", "email"]);
    // The address may be read twice a minute.
    for expected in ["address=address", "address=address", "address!rate_limited"] {
        ask(&mut town, &["address", "email"]);
        assert_eq!(said(&town), [expected, "email=email"]);
    }
    // 50 a minute over all: a request for sixteen fields takes sixteen of them, so the e-mail comes last and not for ever.
    let many: Vec<String> = (0..15).map(|number| format!("f{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["email"]).collect();
    let emails: Vec<String> = (0..5)
        .map(|_| {
            ask(&mut town, &many);
            said(&town).pop().unwrap()
        })
        .collect();
    assert_eq!((emails[0].as_str(), emails[4].as_str()), ("email=email", "email!rate_limited"), "{emails:?}");
    town.check(ALICE);
}

#[test]
fn the_owner_is_asked_once_and_says_yes_field_by_field() {
    let (mut town, _) = town_with(3, &["email", "date_of_birth", "licence"]);
    let id = ask(&mut town, &["date_of_birth", "email", "licence", "ssn"]);
    let pending = town.shop.last().1.clone();
    assert!(pending.pointer("/outcome/pending/expires_at").is_some(), "{pending}");
    let open = waiting(&mut town);
    let asked = Ask::DataBatch {
        fields: vec!["date_of_birth".to_owned(), "licence".to_owned()],
        purpose: "To deliver".to_owned(),
    };
    assert_eq!(open, [(id, asked)], "one question for both");
    for (decision, fields) in [
        ("approve", &[][..]),
        ("approve", &["email"]),
        ("approve", &["licence", "ssn"]),
        ("approve", &["licence", "licence"]),
        ("deny", &["licence"]),
    ] {
        assert_eq!(decide(&mut town, id, decision, fields), Err(RefusalCode::InvalidRequest), "{decision} {fields:?}");
    }
    // A repeated question asks nobody a second time, and another one under its id is refused.
    let again = batch(&town, id, &["date_of_birth", "email", "licence", "ssn"]);
    send(&mut town, ASK, again);
    assert_eq!(town.shop.last().1["outcome"], pending["outcome"]);
    let other = batch(&town, id, &["date_of_birth"]);
    assert_eq!(send(&mut town, ASK, other)["code"], "conflict");
    assert_eq!(waiting(&mut town).len(), 1);
    decide(&mut town, id, "approve", &["licence"]).unwrap();
    let answered = ["date_of_birth!denied", "email=email", "licence=licence", "ssn!not_in_contract"];
    assert_eq!(said(&town), answered);
    assert!(waiting(&mut town).is_empty());
    assert_eq!(decide(&mut town, id, "approve", &["date_of_birth"]), Err(RefusalCode::NotFound));
    // The same request gets the same answer; what was handed out once stays spent.
    let again = batch(&town, id, &["date_of_birth", "email", "licence", "ssn"]);
    send(&mut town, ASK, again);
    assert_eq!(said(&town), answered);
    ask(&mut town, &["licence"]);
    assert_eq!(said(&town), ["licence!spent"]);
    town.check(ALICE);
}

#[test]
fn a_no_and_no_answer_give_what_needs_no_word_alone() {
    let (mut town, _) = town_with(4, &["email", "date_of_birth"]);
    let id = ask(&mut town, &["date_of_birth", "email"]);
    decide(&mut town, id, "deny", &[]).unwrap();
    assert_eq!(said(&town), ["date_of_birth!denied", "email=email"]);
    ask(&mut town, &["date_of_birth", "email", "licence"]);
    town.now = town.now.plus_ms(15 * MINUTE_MS);
    town.tick();
    town.run();
    assert_eq!(said(&town), ["date_of_birth!expired", "email=email", "licence!expired"]);
    assert!(waiting(&mut town).is_empty());
    // A yes to what is not there gives nothing.
    let id = ask(&mut town, &["licence"]);
    decide(&mut town, id, "approve", &["licence"]).unwrap();
    assert_eq!(said(&town), ["licence!not_available"]);
    town.check(ALICE);
}

#[test]
fn rules_decide_each_field() {
    let (mut town, id) = town_with(5, &["email", "address", "date_of_birth", "licence"]);
    let rules =
        [("no-address", "deny", "address"), ("ask-email", "ask", "email"), ("give-birth", "allow", "date_of_birth")];
    for (name, outcome, field) in rules {
        let rule = json!({"rule": {"rule_id": name, "outcome": outcome, "event_type": "data.request",
            "connection_id": id, "field": field}});
        let _: Value = town.ask(ALICE, "rule.set", rule).unwrap();
    }
    let request = ask(&mut town, &["address", "date_of_birth"]);
    assert_eq!(said(&town), ["address!denied", "date_of_birth=date_of_birth"]);
    let _ = request;
    let request = ask(&mut town, &["address", "email"]);
    let open = waiting(&mut town);
    assert!(matches!(&open[0].1, Ask::DataBatch { fields, .. } if *fields == ["email"]), "{open:?}");
    decide(&mut town, request, "approve", &["email"]).unwrap();
    assert_eq!(said(&town), ["address!denied", "email=email"]);
    town.check(ALICE);
}

#[test]
fn a_request_that_is_no_batch_is_refused_whole() {
    let (mut town, _) = town_with(6, &["email"]);
    let id = request_id(&mut town);
    let sound = batch(&town, id, &["email", "address"]);
    let many: Vec<String> = (0..17).map(|number| format!("f{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let wrong = [
        (batch(&town, id, &[]), "invalid_request"),
        (batch(&town, id, &["email", "email"]), "invalid_request"),
        (batch(&town, id, &many), "invalid_request"),
        (json!({"request_id": id}), "invalid_request"),
    ];
    for (body, code) in wrong {
        assert_eq!(send(&mut town, ASK, body)["code"], code);
    }
    for (place, value, code) in [
        ("contract_hash", json!("A".repeat(43)), "contract_mismatch"),
        ("service_id", json!("other"), "not_allowed"),
        ("purpose", json!("two\nlines"), "invalid_request"),
        ("extra", json!(1), "invalid_request"),
    ] {
        let mut body = sound.clone();
        body[place] = value;
        assert_eq!(send(&mut town, ASK, body)["code"], code, "{place}");
    }
    send(&mut town, ASK, sound);
    assert_eq!(said(&town), ["email=email", "address!not_available"]);
    town.check(ALICE);
}

#[test]
fn what_waits_ends_with_the_connection_and_survives_a_crash() {
    let (mut town, id) = town_with(7, &["email", "date_of_birth"]);
    let request = ask(&mut town, &["date_of_birth", "email"]);
    town.nodes[ALICE].crash();
    decide(&mut town, request, "approve", &["date_of_birth"]).unwrap();
    assert_eq!(said(&town), ["date_of_birth=date_of_birth", "email=email"]);
    ask(&mut town, &["date_of_birth"]);
    let answers = town.shop.got.len();
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: Value = town.ask(ALICE, "connection.revoke", body).unwrap();
    town.run();
    assert!(waiting(&mut town).is_empty());
    let late = town.shop.got.iter().skip(answers).any(|(name, ..)| name == "data.batch.response");
    assert!(!late, "nothing is handed out after the end");
    town.check(ALICE);
}

#[test]
fn what_does_not_fit_into_one_answer_is_refused_and_not_spent() {
    let (mut town, _) = town_with(8, &[]);
    for field in ["email", "address", "passport"] {
        let value = "x".repeat(40 * 1024);
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": value})).unwrap();
    }
    ask(&mut town, &["email", "address", "passport"]);
    let found = said(&town);
    assert!(found[0].starts_with("email=x") && found[1].starts_with("address=x"));
    assert_eq!(found[2], "passport!no_room");
    ask(&mut town, &["passport"]);
    assert!(said(&town)[0].starts_with("passport=x"));
    town.check(ALICE);
}
