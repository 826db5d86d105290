//! Cases of `data.request`: a service reads a field.

use super::{BOB, CAROL, Expect, REQUEST, Scenario, at, decided, expired, scenario, service};
use serde_json::{Value, json};
use vettid_handler::event::Event;
use vettid_handler::host::Field;
use vettid_wire::auth::Decision;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Tier;
use vettid_wire::refusal::RefusalCode;

pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![consent(), refused_after_consent()];
    scenarios.extend(served());
    scenarios.extend(refused());
    scenarios
}

fn body() -> Value {
    json!({
        "request_id": REQUEST, "service_id": "demo-shop", "connection_id": BOB, "contract_hash": Base64Url::new([7; 32]),
        "field": "address", "purpose": "To deliver your order",
    })
}

fn with(key: &str, value: impl Into<Value>) -> Event {
    let mut body = body();
    body[key] = value.into();
    service("data.request", Some(Tier::OnDemand), body)
}

fn request(tier: Tier) -> Event {
    service("data.request", Some(tier), body())
}

fn holding(mut scenario: Scenario) -> Scenario {
    let field = Field { value: br#"{"city":"Z"}"#.to_vec(), updated_at: at(-5000) };
    scenario.host.fields.insert("address".to_owned(), field);
    scenario
}

fn given() -> Expect {
    let served = json!({"field": "address", "value": {"city": "Z"}});
    Expect::Body(json!({"request_id": REQUEST, "outcome": {"served": served}}))
}

fn not_given(code: &str) -> Expect {
    Expect::Body(json!({"request_id": REQUEST, "outcome": {"refused": {"code": code}}}))
}

fn asked() -> Expect {
    Expect::Ask {
        ask: json!({"data": {"field": "address", "purpose": "To deliver your order"}}),
        interim: Some(json!({"request_id": REQUEST, "outcome": {"pending": {"expires_at": at(15 * 60_000)}}})),
    }
}

fn served() -> Vec<Scenario> {
    let tiers = [Tier::Required, Tier::Optional, Tier::OnDemand];
    let served =
        tiers.map(|tier| holding(scenario(format!("{tier:?} is served at once"), vec![(request(tier), given())])));
    let missing = tiers
        .map(|tier| scenario(format!("{tier:?} without a value"), vec![(request(tier), not_given("not_available"))]));
    served.into_iter().chain(missing).collect()
}

fn consent() -> Scenario {
    let approved = decided(request(Tier::Consent), Decision::Approve);
    holding(scenario("with consent", vec![(request(Tier::Consent), asked()), (approved, given())]))
}

fn refused_after_consent() -> Scenario {
    let denied = decided(request(Tier::Consent), Decision::Deny);
    let approved = decided(request(Tier::Consent), Decision::Approve);
    scenario(
        "without consent, or without a value",
        vec![
            (request(Tier::Consent), asked()),
            (denied, not_given("denied")),
            (expired(request(Tier::Consent)), not_given("expired")),
            (approved, not_given("not_available")),
        ],
    )
}

fn refused() -> Vec<Scenario> {
    let mut by_member = request(Tier::OnDemand);
    by_member.context.peer.as_mut().unwrap().service = None;
    let mut by_nobody = request(Tier::OnDemand);
    by_nobody.context.peer = None;
    let mut garbage = request(Tier::OnDemand);
    garbage.payload = b"{\"request_id\":".to_vec();
    let mut large = request(Tier::OnDemand);
    large.payload = vec![b' '; 16 * 1024 + 1];
    let cases = [
        ("another service's name", with("service_id", "other-shop"), RefusalCode::NotAllowed),
        ("another connection", with("connection_id", CAROL), RefusalCode::NotAllowed),
        ("another contract", with("contract_hash", Base64Url::new([8; 32]).to_string()), RefusalCode::ContractMismatch),
        ("no field of the contract", service("data.request", None, body()), RefusalCode::NotInContract),
        ("a malformed field name", with("field", "Address"), RefusalCode::InvalidRequest),
        ("no purpose", with("purpose", ""), RefusalCode::InvalidRequest),
        ("a deceptive purpose", with("purpose", "pay\u{202e}lap"), RefusalCode::InvalidRequest),
        ("a long purpose", with("purpose", "x".repeat(301)), RefusalCode::InvalidRequest),
        ("an unknown key", with("urgent", true), RefusalCode::InvalidRequest),
        ("a request without an id", with("request_id", Value::Null), RefusalCode::InvalidRequest),
        ("a member in place of a service", by_member, RefusalCode::NotAllowed),
        ("nobody", by_nobody, RefusalCode::NotAllowed),
        ("half a body", garbage, RefusalCode::InvalidRequest),
        ("a body over the cap", large, RefusalCode::InvalidRequest),
    ];
    let cases = cases.into_iter();
    cases
        .map(|(what, event, code)| holding(scenario(format!("refused: {what}"), vec![(event, Expect::Refuse(code))])))
        .collect()
}
