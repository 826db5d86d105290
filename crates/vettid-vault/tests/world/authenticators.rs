//! Logins whose browser key an authenticator keeps (WebAuthn): how one becomes known, what the vault itself refuses, and that a copy
//! is told.

use crate::flows::{decide, request_id, send};
use crate::logins::{browsers, finish, open, waiting};
use crate::town::{ALICE, Town};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use vettid_testkit::authenticator::SoftAuthenticator;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{LoginId, RequestId};
use vettid_wire::login::{BrowserList, browser_text};

const SITE: &str = "https://shop.example";

fn authenticator(seed: u64) -> SoftAuthenticator {
    SoftAuthenticator::random(&mut StdRng::seed_from_u64(seed)).unwrap()
}

/// A login without a number whose page, at this site, had the authenticator used.
fn challenge(town: &Town, authenticator: &mut SoftAuthenticator, id: RequestId, site: &str) -> Value {
    let mut challenge = town.shop.challenge(id, town.now);
    challenge.as_object_mut().unwrap().remove("number");
    let token = Base64Url::new([7; 32]);
    let (assertion, signature) = authenticator.get(site, &browser_text(id, SITE, &token, &token)).unwrap();
    challenge["browser_key"] = json!(authenticator.public_key());
    challenge["browser_sig"] = json!(Base64::new(signature));
    challenge["browser_assertion"] = json!(assertion);
    challenge
}

fn ask(town: &mut Town, authenticator: &mut SoftAuthenticator) -> (RequestId, Value) {
    let id = request_id(town);
    let challenge = challenge(town, authenticator, id, SITE);
    let signed = town.shop.signed(&challenge);
    (id, send(town, "auth.challenge", signed))
}

/// Alice logs in by a link, and wants the authenticator to be known.
fn know(town: &mut Town, authenticator: &mut SoftAuthenticator) {
    let (login, id) = (LoginId::from_bytes([1; 16]), request_id(town));
    open(town, login, false).unwrap();
    let mut challenge = challenge(town, authenticator, id, SITE);
    challenge["link"] = json!({"login_id": login, "return_path": "/login/return"});
    let signed = town.shop.signed(&challenge);
    assert_eq!(send(town, "auth.challenge", signed), Value::Null);
    let yes = json!({"request_id": id, "decision": "approve", "remember": true});
    let decided: Value = town.ask(ALICE, "request.decide", yes).unwrap();
    town.run();
    assert_eq!(browsers(town), 0, "the code did not come back yet");
    let code = decided["return_to"].as_str().unwrap().rsplit_once("code=").unwrap().1.to_owned();
    assert_eq!(finish(town, id, &code), Value::Null);
    assert_eq!(browsers(town), 1);
}

/// What the vault knows of the authenticator: its count.
fn counted(town: &mut Town) -> u32 {
    let list: BrowserList = town.ask(ALICE, "browser.list", json!({})).unwrap();
    list.browsers[0].authenticator.as_ref().unwrap().sign_count
}

#[test]
fn an_authenticator_becomes_known_by_link_and_code_and_then_needs_a_plain_yes() {
    let mut town = Town::settled(67);
    town.connect_shop();
    let mut hers = authenticator(1);
    assert_eq!(ask(&mut town, &mut hers).1["code"], "not_allowed", "nobody made it known");
    know(&mut town, &mut hers);
    let (id, answer) = ask(&mut town, &mut hers);
    assert_eq!(answer, Value::Null);
    let check = serde_json::to_value(&waiting(&mut town).requests[0].login).unwrap();
    assert_eq!((&check["level"], &check["key_kind"]), (&json!("known_browser"), &json!("webauthn")));
    decide(&mut town, id, "approve").unwrap();
    let (_, answer) = town.shop.last();
    assert_eq!(answer["proof"], json!({"known_browser": {"browser_key": hers.public_key()}}));
    assert_eq!(answer["method"], json!(["user", "pop"]));
    assert_eq!(Some(counted(&mut town)), hers.counted);
    // Another authenticator is another one, and a forgotten one is unknown.
    assert_eq!(ask(&mut town, &mut authenticator(2)).1["code"], "not_allowed");
    let forget = json!({"connection_id": town.shop.connection_id.unwrap(), "browser_key": hers.public_key()});
    let _: Value = town.ask(ALICE, "browser.forget", forget).unwrap();
    assert_eq!(ask(&mut town, &mut hers).1["code"], "not_allowed");
    town.check(ALICE);
}

#[test]
fn the_vault_itself_refuses_what_an_authenticator_did_not_say_for_this_login() {
    let mut town = Town::settled(68);
    town.connect_shop();
    let mut hers = authenticator(1);
    know(&mut town, &mut hers);
    let (first, later) = (request_id(&mut town), request_id(&mut town));
    let earlier = challenge(&town, &mut hers, first, SITE);
    let right = challenge(&town, &mut hers, later, SITE);
    let mut replayed = right.clone();
    for part in ["browser_sig", "browser_assertion"] {
        replayed[part] = earlier[part].clone();
    }
    let mut without = right.clone();
    without.as_object_mut().unwrap().remove("browser_assertion");
    let mut oversize = right.clone();
    oversize["browser_assertion"]["client_data_json"] = json!(Base64::new(vec![b' '; 1025]));
    let elsewhere = challenge(&town, &mut hers, later, "https://shop.example.evil.example");
    hers.flags = 0;
    let untouched = challenge(&town, &mut hers, later, SITE);
    for wrong in [replayed, without, oversize, elsewhere, untouched] {
        let signed = town.shop.signed(&wrong);
        assert_eq!(send(&mut town, "auth.challenge", signed)["code"], "invalid_request", "{wrong}");
    }
    assert!(waiting(&mut town).requests.is_empty(), "the owner is not asked");
    let signed = town.shop.signed(&right);
    assert_eq!(send(&mut town, "auth.challenge", signed), Value::Null);
    town.check(ALICE);
}

#[test]
fn a_copy_of_an_authenticator_is_refused_and_told_even_with_a_number() {
    let mut town = Town::settled(69);
    town.connect_shop();
    let mut hers = authenticator(1);
    hers.counted = Some(41);
    know(&mut town, &mut hers);
    assert_eq!(counted(&mut town), 42);
    let told = |town: &mut Town| {
        town.feed(ALICE).entries.iter().filter(|entry| entry.summary.contains("may have been copied")).count()
    };
    assert_eq!(told(&mut town), 0);
    hers.counted = Some(41);
    assert_eq!(ask(&mut town, &mut hers).1["code"], "not_allowed");
    assert_eq!(told(&mut town), 1);
    hers.counted = Some(7);
    let id = request_id(&mut town);
    let mut numbered = challenge(&town, &mut hers, id, SITE);
    numbered["number"] = json!(42);
    let signed = town.shop.signed(&numbered);
    assert_eq!(send(&mut town, "auth.challenge", signed)["code"], "not_allowed");
    assert_eq!(told(&mut town), 2);
    hers.counted = Some(50);
    assert_eq!(ask(&mut town, &mut hers).1, Value::Null, "the right one goes on");
    town.check(ALICE);
}

#[test]
fn a_rule_approves_by_a_known_authenticator_and_its_count_goes_on() {
    let mut town = Town::settled(70);
    town.connect_shop();
    let mut hers = authenticator(1);
    know(&mut town, &mut hers);
    let rule = json!({"rule_id": "shop-logins", "outcome": "allow", "connection_id": town.shop.connection_id.unwrap(),
        "event_type": "auth.challenge"});
    let _: Value = town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut town, &mut hers).1["decision"], "approve");
        assert_eq!(Some(counted(&mut town)), hers.counted);
    }
    hers.counted = Some(1);
    assert_eq!(ask(&mut town, &mut hers).1["code"], "not_allowed", "no rule helps a copy");
    town.check(ALICE);
}
