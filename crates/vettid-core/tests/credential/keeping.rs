//! What each side keeps, forgets and takes over: keys of versions that are gone, operations that were overtaken, and a
//! package on a new device.

use crate::sides::{Crash, SIGN, Sides, guid, issuer_print, parts, payload};
use serde_json::{Value, json};
use vettid_core::credential::holder::record::{SlotName, Untrusted};
use vettid_core::credential::holder::{Holder, SlotWrite};
use vettid_core::credential::issuer::operation::{Effect, LIFE_MS, Operation, Proven, Verdict};
use vettid_core::credential::issuer::record::Confirmation;
use vettid_core::credential::issuer::{Begin, IssuerFailed};
use vettid_wire::credential::{CredentialPackage, ReplenishKeys, UseRequest};
use vettid_wire::id::OperationId;

/// Versions whose keys are in the stored form, and the names of the transaction keys there.
fn kept(sides: &Sides) -> (Vec<u64>, Vec<String>) {
    let stored = serde_json::to_value(&sides.issuer).unwrap();
    let list = |field: &str| stored[field].as_array().unwrap().clone();
    let versions = list("issued").iter().map(|keys| keys["version"].as_u64().unwrap()).collect();
    let names = list("ledger_keys").iter().map(|key| key["key_id"].as_str().unwrap().to_owned()).collect();
    (versions, names)
}

#[test]
fn keys_of_versions_and_transactions_that_are_gone_are_wiped() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    assert!(sides.handle(&request, Crash::BeforeCompare).is_none());
    let key_id = request.key_id.to_string();
    assert!(kept(&sides).1.contains(&key_id), "a reserved key is still needed");
    let lost = sides.handle(&request, Crash::Never).unwrap().bytes();
    assert_eq!((kept(&sides).0, kept(&sides).1.contains(&key_id)), (vec![1, 2], false));
    sides.holder.give_up();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    assert_eq!(kept(&sides).0, [1, 3], "the dropped version is gone");
    assert!(sides.take(&lost).is_err());
    sides.take(&told).unwrap();
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    assert_eq!(kept(&sides).0, [3]);
    let wrong = sides.ask(SIGN, json!({}), payload(9, false));
    let _ = sides.handle(&wrong, Crash::Never).unwrap();
    assert!(!kept(&sides).1.contains(&wrong.key_id.to_string()), "a guess uses its key up as well");
}

/// Their answer was lost, so nobody can use them; they give way to fresh ones.
#[test]
fn keys_that_the_app_does_not_hold_are_forgotten_when_it_asks_for_more() {
    let mut sides = Sides::new();
    let held: Vec<_> = sides.holder.unused_keys(sides.clocks.now).map(|key| key.key_id.clone()).take(5).collect();
    let asked = ReplenishKeys { live_key_ids: held.clone() };
    let fresh = sides.issuer.replenish(&sides.clocks, &mut sides.rng, &asked);
    assert_eq!((fresh.new_transaction_keys.len(), fresh.live_key_ids.len(), kept(&sides).1.len()), (10, 15, 15));
    assert!(held.iter().all(|key_id| fresh.live_key_ids.contains(key_id)));
    sides.holder.replenished(fresh);
    assert_eq!(sides.holder.unused_keys(sides.clocks.now).count(), 15);
    sides.once();
}

fn prove(sides: &mut Sides, request: &UseRequest) -> Proven {
    let Begin::Started(started) = sides.issuer.begin(&sides.clocks, request, None).unwrap() else {
        unreachable!("a new operation with the current version")
    };
    let stored = serde_json::to_vec(&started.operation).unwrap();
    sides.operations.insert(request.op_id, serde_json::from_slice(&stored).unwrap());
    match sides.issuer.compare(started.committed(), request).unwrap() {
        Verdict::Right(proven) => *proven,
        Verdict::Wrong(_) => unreachable!("the password is right"),
    }
}

fn finish(sides: &mut Sides, request: &UseRequest, proven: Proven) -> Result<Operation, IssuerFailed> {
    let known = sides.operations.get(&request.op_id);
    sides.issuer.finish(&sides.clocks, &mut sides.rng, known, proven, Effect::result(json!({})))
}

/// Two requests between their commits at the same time, as in a ledger with several connections.
#[test]
fn an_operation_that_was_overtaken_has_no_second_commit() {
    let mut sides = Sides::new();
    let first = sides.ask(SIGN, json!({ "n": 1 }), payload(1, false));
    sides.holder.give_up();
    let second = sides.ask(SIGN, json!({ "n": 2 }), payload(1, false));
    let (proven_first, proven_second) = (prove(&mut sides, &first), prove(&mut sides, &second));
    let told = finish(&mut sides, &second, proven_second).unwrap();
    sides.take(told.answer.unwrap().expose()).unwrap();
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    let before = serde_json::to_value(&sides.issuer).unwrap();
    assert!(matches!(finish(&mut sides, &first, proven_first), Err(IssuerFailed::Overtaken(_))));
    assert_eq!(serde_json::to_value(&sides.issuer).unwrap(), before);
    // Nor has one that is over, or that nothing is stored of.
    let third = sides.ask(SIGN, json!({ "n": 3 }), payload(1, false));
    let proven = prove(&mut sides, &third);
    sides.operations.remove(&third.op_id);
    assert!(matches!(finish(&mut sides, &third, proven), Err(IssuerFailed::Overtaken(_))));
}

#[test]
fn a_new_device_takes_over_a_saved_package() {
    let mut sides = Sides::new();
    sides.once();
    let saved = serde_json::to_value(&sides.holder.newest().unwrap().package).unwrap();
    let recover = |epoch: u64| -> Result<(Holder, SlotWrite), Untrusted> {
        let package: CredentialPackage = serde_json::from_value(saved.clone()).unwrap();
        let keys = sides.holder.state().keys.clone();
        Holder::recovered(issuer_print(), package, parts(1), keys, (epoch, OperationId::from_bytes([3; 16])))
    };
    assert_eq!(recover(2).unwrap_err(), Untrusted::RolledBack);
    let (mut device, write) = recover(1).unwrap();
    assert_eq!((write.name, device.newest().is_none()), (SlotName::A, true));
    device.stored(write);
    sides.holder = device;
    sides.restart();
    assert_eq!((sides.versions(), sides.holder.state().guid), (vec![2], guid()));
    sides.once();
}

#[test]
fn the_entry_of_an_operation_lives_ninety_days() {
    let mut sides = Sides::new();
    sides.once();
    let entry = sides.operations.values().next_back().unwrap();
    assert!(entry.is_finished());
    assert!(!entry.is_expendable(entry.at.plus_ms(LIFE_MS)));
    assert!(entry.is_expendable(entry.at.plus_ms(LIFE_MS + 1)));
}

/// Each 32-byte secret of both sides, in the stored forms, must not show when a value is printed.
#[test]
fn debug_shows_no_secret() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    let shown = format!("{:?} {:?} {:?}", sides.issuer, sides.holder, sides.operations);
    let issuer = serde_json::to_value(&sides.issuer).unwrap();
    let slot = serde_json::to_value(sides.holder.newest().unwrap()).unwrap();
    let texts = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        texts(&issuer["issued"][0]["token"]),
        texts(&issuer["ledger_keys"][0]["secret"]),
        texts(&slot["password"]["device_secret"]),
        texts(&slot["package"]["ledger_auth_token"]["token"]),
    ];
    for secret in secrets {
        assert!(secret.len() >= 43 && !shown.contains(&secret), "{secret}");
    }
}
