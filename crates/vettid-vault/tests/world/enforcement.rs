//! What the contract does not allow: each check refuses in words that the service can show, writes an audit entry, tells the owner
//! how urgent it is, and lets nothing wait. And how long the service may keep what it was given.

use crate::contracts::{answer, offer, version};
use crate::flows::{ask_field, decide, request_id, send};
use crate::town::{ALICE, DAY_MS, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_wire::connection::ConnectionView;
use vettid_wire::data::{HeldList, HeldValue, Keep};
use vettid_wire::feed::{AuditStretch, Outcome, Severity};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::RequestList;

pub(crate) fn store(town: &mut Town, fields: &[&str]) {
    for field in fields {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
    }
}

/// The shop sends something that is refused: the code, what the owner is told, and the check of the audit entry.
pub(crate) fn refused(town: &mut Town, name: &str, body: Value) -> (RefusalCode, Severity, Option<String>) {
    let answer = send(town, name, body);
    assert_eq!(town.shop.last().0, "event.refused", "{answer}");
    town.shop.check_proof(&answer);
    let code: RefusalCode = vjson::from_value(answer["code"].clone()).unwrap();
    let told = town.feed(ALICE).entries.remove(0);
    assert_eq!((told.outcome, told.request_id), (Outcome::Refused(code), None));
    let audit: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
    let of_shop = |entry: &&vettid_wire::audit::ExportedEntry| entry.entry.event_type == name;
    let detail = audit.entries.iter().rfind(of_shop).unwrap().detail.clone().unwrap().value;
    assert_eq!(detail["refusal"], answer["code"]);
    let waiting: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    assert!(waiting.requests.is_empty());
    (code, told.severity, detail["failed_check"].as_str().map(str::to_owned))
}

fn asked(town: &mut Town, field: &str, change: impl FnOnce(&mut Value)) -> (RefusalCode, Severity, Option<String>) {
    let id = request_id(town);
    let mut body = town.shop.data_request(field, id);
    change(&mut body);
    refused(town, "data.request", body)
}

fn as_is(_: &mut Value) {}

#[test]
fn each_check_refuses_tells_and_lets_nothing_wait() {
    let mut town = Town::settled(1);
    store(&mut town, &["address", "date_of_birth", "email", "passport", "city", "ssn"]);
    town.connect_shop();
    let failed = |code, severity, check: &str| (code, severity, Some(check.to_owned()));
    let other = |body: &mut Value| body["contract_hash"] = "A".repeat(43).into();
    let mismatch = failed(RefusalCode::ContractMismatch, Severity::Notice, "contract_current");
    assert_eq!(asked(&mut town, "address", other), mismatch);
    let undeclared = failed(RefusalCode::NotInContract, Severity::Alarm, "declared");
    assert_eq!(asked(&mut town, "ssn", as_is), undeclared);
    let not_agreed = failed(RefusalCode::NotInContract, Severity::Warning, "tier");
    assert_eq!(asked(&mut town, "city", as_is), not_agreed);
    let id = request_id(&mut town);
    assert_eq!(ask_field(&mut town, "passport", id)["outcome"]["served"]["value"], "passport");
    assert_eq!(asked(&mut town, "passport", as_is), failed(RefusalCode::Spent, Severity::Warning, "once"));
    let too_long = failed(RefusalCode::RetentionTooLong, Severity::Alarm, "retention");
    for (field, retention) in [
        ("address", json!("until_revoked")),
        ("email", json!({"time_limited": {"days": 3}})),
        ("date_of_birth", json!("until_revoked")),
    ] {
        assert_eq!(asked(&mut town, field, |body| body["retention"] = retention), too_long, "{field}");
    }
    for _ in 0..2 {
        let id = request_id(&mut town);
        assert_eq!(ask_field(&mut town, "address", id)["outcome"]["served"]["value"], "address");
    }
    assert_eq!(asked(&mut town, "address", as_is), failed(RefusalCode::RateLimited, Severity::Warning, "rate"));
    // The first check that fails decides, whatever else is wrong.
    let all_wrong = |body: &mut Value| {
        other(body);
        body["retention"] = "until_revoked".into();
    };
    assert_eq!(asked(&mut town, "ssn", all_wrong), mismatch);
    // Nothing of it is had later without being asked for again.
    let count = town.shop.got.len();
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    town.tick();
    town.run();
    assert_eq!(town.shop.got.len(), count);
    town.check(ALICE);
}

fn held(town: &mut Town, field: &str) -> Option<HeldValue> {
    let list: HeldList = town.ask(ALICE, "data.held.list", json!({})).unwrap();
    list.held.into_iter().find(|held| held.field == field)
}

fn keep(answer: &Value) -> Keep {
    vjson::from_value(answer["outcome"]["served"]["keep"].clone()).unwrap()
}

#[test]
fn what_was_given_says_how_long_and_is_marked_when_that_is_over() {
    let mut town = Town::settled(2);
    store(&mut town, &["address", "date_of_birth", "email", "phone"]);
    let connection_id = town.connect_shop();
    let ask = |town: &mut Town, field: &str| {
        let id = request_id(town);
        let answer = ask_field(town, field, id);
        town.shop.check_proof(&answer);
        let (keep, held) = (keep(&answer), held(town, field).unwrap());
        assert_eq!(held.keep, keep);
        (keep, held.served_at)
    };
    let (session, at) = ask(&mut town, "address");
    assert_eq!(session, Keep::Session { until: at.plus_ms(15 * MINUTE_MS) });
    let (two_days, at) = ask(&mut town, "email");
    assert_eq!(two_days, Keep::TimeLimited { until: at.plus_ms(2 * DAY_MS) });
    assert_eq!(ask(&mut town, "phone").0, Keep::UntilRevoked);
    // Less than the contract allows is had as asked; what was given for longer stays given.
    let id = request_id(&mut town);
    let mut body = town.shop.data_request("email", id);
    body["retention"] = "session".into();
    let answer = send(&mut town, "data.request", body);
    assert!(matches!(keep(&answer), Keep::Session { .. }), "{answer}");
    assert_eq!(held(&mut town, "email").unwrap().keep, two_days);
    // With the owner's consent it is the same.
    let id = request_id(&mut town);
    ask_field(&mut town, "date_of_birth", id);
    assert_eq!(held(&mut town, "date_of_birth"), None);
    decide(&mut town, id, "approve").unwrap();
    let answer = town.shop.last().1.clone();
    town.shop.check_proof(&answer);
    assert!(matches!(keep(&answer), Keep::Session { .. }));

    town.now = at.plus_ms(20 * MINUTE_MS);
    town.tick();
    assert!(held(&mut town, "address").unwrap().ended_at.is_some());
    assert_eq!(held(&mut town, "email").unwrap().ended_at, None);
    town.now = at.plus_ms(2 * DAY_MS);
    town.tick();
    town.resume(ALICE, true);
    assert_eq!(held(&mut town, "email").unwrap().ended_at, two_days.until());
    let told = town.feed(ALICE).entries;
    let about =
        |field: &str| told.iter().filter(|entry| entry.summary.contains(&format!("may not keep your {field}"))).count();
    assert_eq!((about("email"), about("address")), (1, 0));
    town.nodes[ALICE].crash();
    town.resume(ALICE, true);
    assert_eq!(held(&mut town, "phone").unwrap().ended_at, None);
    let body = json!({"connection_id": connection_id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(ALICE, "connection.revoke", body).unwrap();
    assert!(held(&mut town, "phone").unwrap().ended_at.is_some());
    town.check(ALICE);
}

fn set(town: &mut Town, field: &str, value: &str) {
    let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": value})).unwrap();
    town.run();
}

/// What the shop was sent unasked, in order: the value, or null where it is gone.
fn pushed(town: &Town) -> Vec<Value> {
    let snapshots = town.shop.got.iter().filter(|(name, _, _)| name == "data.snapshot");
    let bodies: Vec<_> = snapshots.map(|(_, body, _)| body).collect();
    let numbers: Vec<_> = bodies.iter().map(|body| body["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    bodies.iter().map(|body| body["state"].pointer("/value/value").cloned().unwrap_or_default()).collect()
}

#[test]
fn a_snapshot_is_sent_after_acceptance_and_at_each_change() {
    let mut town = Town::settled(3);
    store(&mut town, &["address"]);
    set(&mut town, "size", "M");
    let connection_id = town.connect_shop();
    town.run();
    assert_eq!(pushed(&town), ["M"]);
    assert_eq!(held(&mut town, "size").unwrap().keep, Keep::UntilRevoked);
    set(&mut town, "size", "L");
    set(&mut town, "size", "L");
    set(&mut town, "address", "elsewhere");
    assert_eq!(pushed(&town), ["M", "L"]);
    set(&mut town, "size", "S");
    // The rate has no room for more: what comes now waits, and of it the last counts, over a crash too.
    for value in ["XS", "XL", "XXL"] {
        set(&mut town, "size", value);
    }
    assert_eq!(pushed(&town), ["M", "L", "S"]);
    town.nodes[ALICE].crash();
    town.now = town.now.plus_ms(MINUTE_MS);
    town.tick();
    town.run();
    assert_eq!(pushed(&town), ["M", "L", "S", "XXL"]);
    town.now = town.now.plus_ms(2 * MINUTE_MS);
    town.resume(ALICE, true);
    let _: Value = town.ask(ALICE, "data.remove", json!({"field": "size"})).unwrap();
    town.run();
    assert_eq!(pushed(&town).last(), Some(&Value::Null));
    // What it was sent it may ask for as well; that takes nothing from what it is sent.
    set(&mut town, "size", "M");
    for _ in 0..3 {
        let id = request_id(&mut town);
        assert_eq!(ask_field(&mut town, "size", id)["outcome"]["served"]["value"], "M");
    }
    set(&mut town, "size", "L");
    let sent = pushed(&town);
    assert_eq!(sent.last().unwrap(), "L");
    let body = json!({"connection_id": connection_id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(ALICE, "connection.revoke", body).unwrap();
    set(&mut town, "size", "XS");
    town.now = town.now.plus_ms(2 * MINUTE_MS);
    town.tick();
    town.run();
    assert_eq!(pushed(&town), sent);
    town.check(ALICE);
}

#[test]
fn while_a_version_waits_nothing_is_sent_and_after_the_yes_what_is_then() {
    let mut town = Town::settled(4);
    let id = town.connect_shop();
    set(&mut town, "size", "M");
    let second = version(2);
    offer(&mut town, &second);
    for value in ["L", "XL"] {
        set(&mut town, "size", value);
    }
    town.tick();
    town.run();
    assert_eq!(pushed(&town), ["M"]);
    answer(&mut town, id, &second, true, &[]).unwrap();
    assert_eq!(pushed(&town), ["M", "XL"]);
    // A version that does not name it any more ends it.
    let mut third = version(3);
    third.fields.retain(|field| field.field != "size");
    offer(&mut town, &third);
    answer(&mut town, id, &third, true, &[]).unwrap();
    set(&mut town, "size", "S");
    assert_eq!(pushed(&town), ["M", "XL"]);
    town.check(ALICE);
}
