//! New versions of a contract: frozen from the offer on, in force from the owner's yes on, over at a no; and everything else that a
//! service may say about its contract has no effect.

use crate::flows::{ask_field, decide, request_id, send};
use crate::node::Crash;
use crate::shop::contract;
use crate::town::{ALICE, Faults, MINUTE_MS, Town};
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::contract::contract_hash;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{Context, check};
use vettid_vault::contract::kept;
use vettid_vault::projection::Draft;
use vettid_wire::connection::ConnectionState;
use vettid_wire::contract::{Acceptance, Contract, Tier};
use vettid_wire::id::ConnectionId;
use vettid_wire::json as vjson;
use vettid_wire::offer::{ContractList, ContractView};
use vettid_wire::refusal::RefusalCode;

/// A version that asks for the shoe size, too.
pub(crate) fn version(number: u64) -> Contract {
    let mut contract = contract();
    contract.contract_version = number;
    let mut size = contract.fields[2].clone();
    size.field = format!("size_{number}");
    contract.fields.push(size);
    contract
}

pub(crate) fn offer(town: &mut Town, contract: &Contract) -> Value {
    let body = town.shop.offer(contract, town.now);
    send(town, "contract.offered", body)
}

fn view(town: &mut Town, id: ConnectionId) -> ContractView {
    town.ask(ALICE, "contract.get", json!({"connection_id": id})).unwrap()
}

pub(crate) fn answer(
    town: &mut Town,
    id: ConnectionId,
    contract: &Contract,
    accept: bool,
    optional: &[&str],
) -> Result<ContractView, RefusalCode> {
    let body = json!({"connection_id": id, "contract_hash": contract_hash(contract).unwrap(), "accept": accept,
        "optional_fields": optional});
    let answered = town.ask(ALICE, "contract.decide", body);
    town.run();
    answered
}

pub(crate) fn store(town: &mut Town, field: &str) {
    let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
}

/// What the shop gets for a field now: the value, or the code of the refusal.
pub(crate) fn asks(town: &mut Town, field: &str) -> String {
    town.now = town.now.plus_ms(MINUTE_MS);
    let id = request_id(town);
    let answer = ask_field(town, field, id);
    let of = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    of("/outcome/served/value").or_else(|| of("/outcome/refused/code")).or_else(|| of("/code")).unwrap()
}

fn shop_in_town(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    for field in ["address", "email", "phone", "city", "licence", "size_2", "size_3"] {
        store(&mut town, field);
    }
    let id = town.connect_shop();
    (town, id)
}

#[test]
fn from_the_offer_to_the_yes_the_service_gets_nothing() {
    let (mut town, id) = shop_in_town(1);
    let waits = request_id(&mut town);
    assert!(ask_field(&mut town, "licence", waits)["outcome"].get("pending").is_some());
    assert_eq!(asks(&mut town, "email"), "email");

    // What waited for the owner is over with the offer.
    let second = version(2);
    assert_eq!(offer(&mut town, &second)["code"], "contract_frozen");
    assert_eq!(decide(&mut town, waits, "approve"), Err(RefusalCode::NotFound));
    for quoted in [contract(), second.clone()] {
        town.shop.contract = quoted;
        for field in ["address", "email", "phone", "size_2", "passport"] {
            assert_eq!(asks(&mut town, field), "contract_frozen", "{field}");
        }
    }
    let login = request_id(&mut town);
    let challenge = town.shop.signed(&town.shop.challenge(login, town.now));
    assert_eq!(send(&mut town, "auth.challenge", challenge)["code"], "contract_frozen");
    town.nodes[ALICE].crash();
    assert_eq!(asks(&mut town, "email"), "contract_frozen");

    let seen = view(&mut town, id);
    assert_eq!(seen.offered.as_ref().map(|offered| &offered.contract), Some(&second));
    assert_eq!(seen.in_force.map(|signed| signed.contract), Some(contract()));
    assert_eq!(seen.missing_fields, ["date_of_birth", "passport", "size"]);
    let list: ContractList = town.ask(ALICE, "contract.list", json!({})).unwrap();
    assert_eq!((list.contracts[0].version, list.contracts[0].offered_version), (Some(1), Some(2)));

    // The owner's yes: at once, and no earlier terms beside them.
    let count = town.shop.got.len();
    answer(&mut town, id, &second, true, &["city"]).unwrap();
    let (name, acceptance, _) = town.shop.got[count].clone();
    assert_eq!((name.as_str(), &acceptance["sequence"]), ("contract.accepted", &json!(2)));
    let accepted: Acceptance = vjson::from_value(acceptance.clone()).unwrap();
    let key = town.nodes[ALICE].vault.identity().signing_key().verifying_key();
    assert!(check(Context::ContractAccept, &key, accepted).is_ok());
    town.shop.contract = contract();
    assert_eq!(asks(&mut town, "email"), "contract_mismatch");
    town.shop.contract = second;
    let got = ["email", "city", "size_2", "phone"].map(|field| asks(&mut town, field));
    assert_eq!(got, ["email", "city", "size_2", "not_in_contract"]);

    // Both signatures under both versions are kept.
    let counter = town.shop.counter(&acceptance, town.now);
    assert_eq!(send(&mut town, "contract.countersigned", counter), Value::Null);
    town.nodes[ALICE].crash();
    let state = Draft::new(town.nodes[ALICE].vault.state());
    let kept = kept(&state, id).unwrap();
    let numbers: Vec<_> =
        kept.iter().map(|kept| (kept.acceptance.sequence, kept.counter_signature.is_some())).collect();
    assert_eq!(numbers, [(1, true), (2, true)]);
    town.check(ALICE);
}

#[test]
fn a_no_ends_the_connection_at_once() {
    let (mut town, id) = shop_in_town(2);
    offer(&mut town, &version(2));
    assert_eq!(answer(&mut town, id, &contract(), false, &[]), Err(RefusalCode::ContractMismatch));
    let ended = answer(&mut town, id, &version(2), false, &[]).unwrap();
    assert_eq!((ended.state, ended.offered), (ConnectionState::Revoked, None));
    let (name, notice) = town.shop.last();
    assert_eq!((name, notice["reason"].as_str()), ("connection.revoked", Some("contract_rejected")));
    let got = town.shop.got.len();
    for field in ["email", "size_2"] {
        let id = request_id(&mut town);
        ask_field(&mut town, field, id);
    }
    assert_eq!(town.shop.got.len(), got, "nothing is answered after the end");
    assert_eq!(answer(&mut town, id, &version(2), true, &[]), Err(RefusalCode::NotConnected));
    town.check(ALICE);
}

#[test]
fn what_was_not_read_is_not_decided_and_the_latest_version_counts() {
    let (mut town, id) = shop_in_town(3);
    offer(&mut town, &version(2));
    offer(&mut town, &version(3));
    for accept in [true, false] {
        for stale in [contract(), version(2)] {
            assert_eq!(answer(&mut town, id, &stale, accept, &[]), Err(RefusalCode::ContractMismatch));
        }
    }
    assert_eq!(answer(&mut town, id, &version(3), true, &["email"]), Err(RefusalCode::NotInContract));
    // A late offer of the version between neither freezes nor replaces.
    assert_eq!(offer(&mut town, &version(2))["code"], "contract_mismatch");
    answer(&mut town, id, &version(3), true, &[]).unwrap();
    assert_eq!(offer(&mut town, &version(2))["code"], "contract_mismatch");
    assert_eq!(offer(&mut town, &contract())["code"], "contract_mismatch");
    town.shop.contract = version(3);
    assert_eq!([asks(&mut town, "size_3"), asks(&mut town, "size_2")], ["size_3", "not_in_contract"]);
    // Another text under a number that is known is an alarm; the known one again is told again what the owner signed.
    let mut rewritten = version(3);
    rewritten.description = "something else".into();
    assert_eq!(offer(&mut town, &rewritten)["code"], "conflict");
    assert_eq!(offer(&mut town, &version(3))["sequence"], 2);
    assert_eq!(asks(&mut town, "email"), "email");
    town.check(ALICE);
}

#[test]
fn optional_fields_are_chosen_anew_without_a_new_version() {
    let (mut town, id) = shop_in_town(4);
    assert_eq!([asks(&mut town, "phone"), asks(&mut town, "city")], ["phone", "not_in_contract"]);
    answer(&mut town, id, &contract(), true, &["city"]).unwrap();
    assert_eq!(town.shop.last().1["optional_fields_accepted"], json!(["city"]));
    assert_eq!(town.shop.last().1["sequence"], 2);
    assert_eq!([asks(&mut town, "phone"), asks(&mut town, "city")], ["not_in_contract", "city"]);
    let got = town.shop.got.len();
    answer(&mut town, id, &contract(), true, &["city"]).unwrap();
    assert_eq!(town.shop.got.len(), got, "the same choice is no new acceptance");
    assert!(contract().fields.iter().any(|field| field.tier == Tier::Optional));
    town.check(ALICE);
}

#[test]
fn only_the_service_itself_offers_for_this_very_connection() {
    let (mut town, id) = shop_in_town(5);
    let good = town.shop.offer(&version(2), town.now);
    let mut unsigned = good.clone();
    unsigned["contract"]["fields"][0]["tier"] = "required".into();
    let mut foreign = version(2);
    foreign.service_id = "other-shop".parse().unwrap();
    let mut twice = version(2);
    twice.fields.push(twice.fields[0].clone());
    let [foreign, twice] = [foreign, twice].map(|contract| town.shop.offer(&contract, town.now));
    let own = town.shop.connection_id;
    town.shop.connection_id = Some(ConnectionId::from_bytes([7; 16]));
    let elsewhere = town.shop.offer(&version(2), town.now);
    town.shop.connection_id = own;
    let signing = std::mem::replace(&mut town.shop.signing, SigningKey::random(&mut town.rng));
    let forged = town.shop.offer(&version(2), town.now);
    town.shop.signing = signing;
    for (body, code) in [
        (unsigned, "invalid_request"),
        (foreign, "not_allowed"),
        (twice, "invalid_request"),
        (elsewhere, "not_allowed"),
        (forged, "invalid_request"),
    ] {
        assert_eq!(send(&mut town, "contract.offered", body)["code"], code);
        assert_eq!(view(&mut town, id).offered, None);
    }
    // A counter-signature is taken under an acceptance of this connection alone.
    let counter = town.shop.counter(&json!({"sequence": 9}), town.now);
    assert_eq!(send(&mut town, "contract.countersigned", counter)["code"], "invalid_request");
    assert_eq!(asks(&mut town, "email"), "email");
    town.check(ALICE);
}

/// Letters come twice, late and in any order, and the vault dies in between: what is served is always what was accepted last.
#[test]
fn versions_on_a_bad_day() {
    for seed in 0..12 {
        let (mut town, id) = shop_in_town(seed);
        town.faults = Faults { lose: 20, repeat: 30, crash: 15, reorder: true };
        for number in 2..6u64 {
            let new = version(number);
            let body = town.shop.offer(&new, town.now);
            let (_, (subject, bytes)) = town.shop.seal("contract.offered", body, town.now, &mut town.rng);
            if town.rng.random_range(0..3) == 0 {
                town.next_crash = Some(Crash::AfterCommit);
            }
            town.post(subject, bytes);
            town.run();
            if let Some(offered) = view(&mut town, id).offered {
                assert_eq!(offered.contract, new);
                let in_force = view(&mut town, id).in_force.unwrap().contract.contract_version;
                assert!(in_force < number);
                if town.rng.random_range(0..3) > 0 {
                    answer(&mut town, id, &new, true, &[]).unwrap();
                }
            }
        }
        town.faults = Faults::default();
        town.run();
        let seen = view(&mut town, id);
        let signed = seen.in_force.unwrap();
        assert!(signed.acceptance.sequence <= signed.contract.contract_version);
        town.shop.contract = signed.contract;
        let wanted = if seen.offered.is_some() { "contract_frozen" } else { "email" };
        assert_eq!(asks(&mut town, "email"), wanted);
        town.check(ALICE);
    }
}
