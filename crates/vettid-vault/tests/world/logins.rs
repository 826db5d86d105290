//! Logins: the link of the same device, browsers that become known, the number, and what a flood of requests meets.

use crate::enforcement::refused;
use crate::flows::{decide, request_id, send};
use crate::town::{ALICE, DAY_MS, MINUTE_MS, Town};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use vettid_crypto::device::DeviceSigner;
use vettid_wire::base64::Base64Url;
use vettid_wire::feed::Severity;
use vettid_wire::id::{LoginId, RequestId};
use vettid_wire::login::{BrowserList, LoginLink};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::RequestList;

pub(crate) fn browser(seed: u64) -> DeviceSigner {
    DeviceSigner::random(&mut StdRng::seed_from_u64(seed)).unwrap()
}

fn link(town: &Town, login: LoginId) -> String {
    let link = LoginLink {
        version: 1,
        service_id: town.shop.service_id.clone(),
        origin: "https://shop.example".to_owned(),
        login_id: login,
        expires_at: town.now.plus_ms(5 * MINUTE_MS),
    };
    link.to_text().unwrap()
}

pub(crate) fn open(town: &mut Town, login: LoginId, other_device: bool) -> Result<Value, RefusalCode> {
    let link = link(town, login);
    let opened = town.ask(ALICE, "login.open", json!({"link": link, "other_device": other_device}));
    town.run();
    opened
}

/// The shop asks on a link that Alice opened.
fn ask_by_link(town: &mut Town, browser: &DeviceSigner, login: LoginId) -> (RequestId, Value) {
    let id = request_id(town);
    let mut challenge = town.shop.challenge_of(browser, id, town.now);
    challenge["link"] = json!({"login_id": login, "return_path": "/login/return"});
    let challenge = town.shop.signed(&challenge);
    (id, send(town, "auth.challenge", challenge))
}

fn ask_by_browser(town: &mut Town, browser: &DeviceSigner) -> (RequestId, Value) {
    let id = request_id(town);
    let challenge = town.shop.challenge_of(browser, id, town.now);
    let challenge = town.shop.signed(&challenge);
    (id, send(town, "auth.challenge", challenge))
}

/// Alice logs in by a link and makes the browser known.
pub(crate) fn know(town: &mut Town, browser: &DeviceSigner) {
    let code = approve_by_link(town, browser, 1);
    finish(town, code.0, &code.1);
    assert_eq!(browsers(town), 1);
}

fn approve_by_link(town: &mut Town, browser: &DeviceSigner, number: u8) -> (RequestId, String) {
    let login = LoginId::from_bytes([number; 16]);
    open(town, login, false).unwrap();
    let (id, _) = ask_by_link(town, browser, login);
    let decided: Value =
        town.ask(ALICE, "request.decide", json!({"request_id": id, "decision": "approve", "remember": true})).unwrap();
    town.run();
    let return_to = decided["return_to"].as_str().unwrap();
    assert!(return_to.starts_with("https://shop.example/login/return#login="), "{return_to}");
    (id, return_to.rsplit_once("code=").unwrap().1.to_owned())
}

pub(crate) fn finish(town: &mut Town, id: RequestId, code: &str) -> Value {
    send(town, "login.finished", json!({"request_id": id, "code": code}))
}

pub(crate) fn browsers(town: &mut Town) -> usize {
    let list: BrowserList = town.ask(ALICE, "browser.list", json!({})).unwrap();
    list.browsers.len()
}

pub(crate) fn waiting(town: &mut Town) -> RequestList {
    town.ask(ALICE, "request.list", json!({})).unwrap()
}

#[test]
fn a_yes_on_the_same_device_is_worth_nothing_without_its_code() {
    let mut town = Town::settled(60);
    town.connect_shop();
    let (browser, login) = (browser(1), LoginId::from_bytes([9; 16]));
    // Nobody opened the link: not even the owner is asked.
    let (_, answer) = ask_by_link(&mut town, &browser, login);
    assert_eq!(answer["code"], "not_allowed");
    open(&mut town, login, false).unwrap();
    assert_eq!(town.shop.last().0, "login.opened");
    let (id, code) = approve_by_link(&mut town, &browser, 1);
    let (name, answer) = town.shop.last();
    assert_eq!((name, answer["decision"].as_str()), ("auth.response", Some("approve")));
    assert!(!answer.to_string().contains(&code), "the service never sees the code");
    assert_eq!(browsers(&mut town), 0, "the code did not come back yet");
    let wrong = Base64Url::new([1; 32]).to_string();
    assert_eq!(finish(&mut town, id, &wrong)["code"], "not_allowed");
    assert_eq!(browsers(&mut town), 0);
    assert_eq!(finish(&mut town, id, &code), Value::Null);
    assert_eq!(browsers(&mut town), 1);
    assert_eq!(finish(&mut town, id, &code)["code"], "not_allowed", "a code counts once");
    town.check(ALICE);
}

/// A login names the contract that it is asked under, like every other request.
#[test]
fn a_login_under_another_contract_is_refused_before_anything_else_of_it() {
    let mut town = Town::settled(64);
    town.connect_shop();
    let asked = |town: &mut Town, change: &dyn Fn(&mut Value)| {
        let id = request_id(town);
        let mut challenge = town.shop.challenge(id, town.now);
        change(&mut challenge);
        let challenge = town.shop.signed(&challenge);
        refused(town, "auth.challenge", challenge)
    };
    let mismatch = (RefusalCode::ContractMismatch, Severity::Notice, Some("contract_current".to_owned()));
    let other = |challenge: &mut Value| challenge["contract_hash"] = json!(Base64Url::new([6; 32]));
    assert_eq!(asked(&mut town, &other), mismatch);
    let unsaid = |challenge: &mut Value| {
        challenge.as_object_mut().unwrap().remove("contract_hash");
    };
    assert_eq!(asked(&mut town, &unsaid).0, RefusalCode::InvalidRequest);
}

/// A profile that ran out, or that went back, is the ground of nothing new: what the service is asked by is its key.
#[test]
fn a_service_whose_profile_ran_out_logs_nobody_in() {
    let mut town = Town::settled(65);
    town.connect_shop();
    let asked = |town: &mut Town| {
        let id = request_id(town);
        let challenge = town.shop.signed(&town.shop.challenge(id, town.now));
        send(town, "auth.challenge", challenge)["code"].clone()
    };
    let says = |town: &mut Town, sequence, made_at| {
        let profile = town.shop.profile_of(&town.shop.signing, "Shop", sequence, made_at);
        send(town, "profile.changed", json!({"profile": profile}));
    };
    let end = town.now.plus_ms(MINUTE_MS);
    says(&mut town, 2, end.plus_ms(-vettid_wire::profile::MAX_LIFE_MS));
    town.now = end.plus_ms(MINUTE_MS);
    assert_eq!(asked(&mut town), Value::Null, "clocks may be apart");
    town.now = end.plus_ms(5 * MINUTE_MS);
    town.tick();
    town.run();
    assert_eq!(asked(&mut town), "unavailable");
    let now = town.now;
    says(&mut town, 3, now);
    assert_eq!(asked(&mut town), Value::Null);
    says(&mut town, 2, now);
    assert_eq!(asked(&mut town), "unavailable", "it says something earlier");
}

/// However late a link says that it ends: what was opened is over after ten minutes, and makes room.
#[test]
fn links_that_never_end_keep_nobody_out() {
    let mut town = Town::settled(66);
    town.connect_shop();
    let opened = |town: &mut Town, number: u8| {
        let long = LoginLink {
            expires_at: town.now.plus_ms(400 * DAY_MS),
            ..LoginLink::read(&link(town, LoginId::from_bytes([number; 16]))).unwrap()
        };
        let body = json!({"link": long.to_text().unwrap(), "other_device": false});
        town.ask::<Value>(ALICE, "login.open", body).map(|_| ())
    };
    for number in 0..16 {
        opened(&mut town, number).unwrap();
    }
    assert_eq!(opened(&mut town, 16), Err(RefusalCode::RateLimited));
    town.now = town.now.plus_ms(11 * MINUTE_MS);
    town.tick();
    opened(&mut town, 16).unwrap();
}

#[test]
fn a_link_of_another_device_or_another_site_opens_nothing() {
    let mut town = Town::settled(61);
    town.connect_shop();
    let login = LoginId::from_bytes([9; 16]);
    open(&mut town, login, true).unwrap();
    let (_, answer) = ask_by_link(&mut town, &browser(1), login);
    assert_eq!(answer["code"], "not_allowed");
    let evil = LoginLink { origin: "https://evil.example".to_owned(), ..LoginLink::read(&link(&town, login)).unwrap() };
    let body = json!({"link": evil.to_text().unwrap(), "other_device": false});
    assert_eq!(town.ask::<Value>(ALICE, "login.open", body), Err(RefusalCode::NotConnected));
    town.now = town.now.plus_ms(6 * MINUTE_MS);
    let old = json!({"link": LoginLink { expires_at: town.now, ..evil }.to_text().unwrap(), "other_device": false});
    assert_eq!(town.ask::<Value>(ALICE, "login.open", old), Err(RefusalCode::Expired));
}

#[test]
fn a_known_browser_needs_a_plain_yes_until_it_is_forgotten() {
    let mut town = Town::settled(62);
    let id = town.connect_shop();
    let (mine, other) = (browser(1), browser(2));
    know(&mut town, &mine);
    let (request, _) = ask_by_browser(&mut town, &mine);
    assert_eq!(serde_json::to_value(&waiting(&mut town).requests[0].login).unwrap()["level"], "known_browser");
    decide(&mut town, request, "approve").unwrap();
    let proof = town.shop.last().1["proof"].clone();
    assert_eq!(proof, json!({"known_browser": {"browser_key": mine.public_key().unwrap()}}));
    let (request, _) = ask_by_browser(&mut town, &other);
    assert_eq!(serde_json::to_value(&waiting(&mut town).requests[0].login).unwrap()["level"], "number");
    assert_eq!(decide(&mut town, request, "approve"), Err(RefusalCode::NotAllowed));
    decide(&mut town, request, "deny").unwrap();
    let forget = json!({"connection_id": id, "browser_key": mine.public_key().unwrap()});
    let _: Value = town.ask(ALICE, "browser.forget", forget.clone()).unwrap();
    assert_eq!(town.ask::<Value>(ALICE, "browser.forget", forget), Err(RefusalCode::NotFound));
    let (request, _) = ask_by_browser(&mut town, &mine);
    assert_eq!(decide(&mut town, request, "approve"), Err(RefusalCode::NotAllowed));
    town.check(ALICE);
}

#[test]
fn a_browser_has_to_hold_the_key_that_it_shows() {
    let mut town = Town::settled(63);
    town.connect_shop();
    let mine = browser(1);
    know(&mut town, &mine);
    let id = request_id(&mut town);
    let mut challenge = town.shop.challenge_of(&mine, id, town.now);
    challenge["session_hash"] = json!(Base64Url::new([8; 32]));
    let challenge = town.shop.signed(&challenge);
    assert_eq!(send(&mut town, "auth.challenge", challenge)["code"], "invalid_request");
    let mut challenge = town.shop.challenge_of(&mine, id, town.now);
    challenge.as_object_mut().unwrap().remove("browser_sig");
    let challenge = town.shop.signed(&challenge);
    assert_eq!(send(&mut town, "auth.challenge", challenge)["code"], "invalid_request");
}

#[test]
fn a_wrong_number_is_a_no_and_the_right_one_alone_is_not_enough() {
    let mut town = Town::settled(64);
    town.connect_shop();
    let (id, _) = ask_by_browser(&mut town, &browser(1));
    let check = waiting(&mut town).requests[0].login.clone().unwrap();
    assert!(check.numbers.len() == 3 && check.numbers.contains(&42));
    town.now = town.now.plus_ms(11_000);
    let right = json!({"request_id": id, "decision": "approve", "number": 42});
    assert_eq!(town.ask::<Value>(ALICE, "request.decide", right), Err(RefusalCode::NotAllowed), "no password");
    let wrong = check.numbers.iter().find(|number| **number != 42).unwrap();
    let wrong = json!({"request_id": id, "decision": "approve", "number": wrong});
    assert_eq!(town.ask::<Value>(ALICE, "request.decide", wrong).unwrap()["decision"], "deny");
    town.run();
    assert_eq!(town.shop.last().1["decision"], "deny");
    let _: Value = town.ask(ALICE, "login.settings", json!({"allow_numbers": false})).unwrap();
    let (_, answer) = ask_by_browser(&mut town, &browser(1));
    assert_eq!(answer["code"], "not_allowed");
    town.check(ALICE);
}

#[test]
fn three_denials_silence_a_service_until_the_owner_or_the_next_day_lets_it_speak() {
    let mut town = Town::settled(65);
    let connection = town.connect_shop();
    let deny = |town: &mut Town| {
        let (id, _) = ask_by_browser(town, &browser(1));
        decide(town, id, "deny").unwrap();
    };
    (0..3).for_each(|_| deny(&mut town));
    town.now = town.now.plus_ms(6 * MINUTE_MS);
    assert_eq!(ask_by_browser(&mut town, &browser(1)).1["code"], "rate_limited");
    let told = town.feed(ALICE).entries.iter().filter(|entry| entry.summary.contains("is silent until")).count();
    assert_eq!(told, 1);
    let _: Value = town.ask(ALICE, "connection.unmute", json!({"connection_id": connection})).unwrap();
    (0..3).for_each(|_| deny(&mut town));
    town.now = town.now.plus_ms(DAY_MS + MINUTE_MS);
    town.resume(ALICE, true);
    assert_eq!(ask_by_browser(&mut town, &browser(1)).1, Value::Null);
    town.check(ALICE);
}
