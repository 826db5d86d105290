//! What the shop stores with Alice: within its contract and nothing else, seen and deleted by Alice whenever she likes, and hers
//! when the shop is gone.

use crate::contracts::{answer, offer};
use crate::enforcement::refused;
use crate::flows::{request_id, send};
use crate::shop::contract;
use crate::statements;
use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vettid_core::contract::contract_hash;
use vettid_wire::connection::ConnectionView;
use vettid_wire::contract::{Contract, Permission, Rate, Storage, StorageCategory};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::DecidedBy;
use vettid_wire::stored::{MAX_VALUE_BYTES, StorageUse, StoredDeleted, StoredItem, StoredList, size_bytes};

const QUOTA_BYTES: u64 = 2_000;

/// The shop's contract, and that it may store receipts and cards.
fn stores(version: u64) -> Contract {
    let category = |name: &str| StorageCategory { category: name.to_owned(), purpose: format!("Your {name}") };
    let mut contract = contract();
    contract.contract_version = version;
    contract.permissions.push(Permission::StoreData);
    contract.rate = Rate { count: 1_000, per_seconds: 60 };
    contract.storage =
        Some(Storage { quota_bytes: QUOTA_BYTES, categories: vec![category("receipts"), category("cards")] });
    contract
}

fn shop_that_stores(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    town.shop.contract = stores(1);
    let id = town.connect_shop();
    (town, id)
}

fn body(town: &mut Town, what: Value) -> Value {
    let mut body = what;
    body["request_id"] = json!(request_id(town));
    body["contract_hash"] = json!(contract_hash(&town.shop.contract).unwrap());
    body
}

/// The shop acts on what it stores; gives the outcome, or the code of the refusal.
fn does(town: &mut Town, name: &str, what: Value) -> Result<Value, RefusalCode> {
    let asked = body(town, what);
    let answer = send(town, name, asked.clone());
    town.shop.check_proof(&answer);
    match town.shop.last().0 {
        "data.stored.response" => {
            assert_eq!(answer["request_id"], asked["request_id"]);
            Ok(answer["outcome"].clone())
        }
        other => {
            assert_eq!(other, "event.refused", "{answer}");
            Err(vjson::from_value(answer["code"].clone()).unwrap())
        }
    }
}

fn put(town: &mut Town, category: &str, name: &str, value: &Value) -> Result<StorageUse, RefusalCode> {
    let done = does(town, "data.store", json!({"category": category, "name": name, "value": value}))?;
    Ok(vjson::from_value(done["stored"]["used"].clone()).unwrap())
}

fn get(town: &mut Town, category: &str, name: &str) -> Result<Value, RefusalCode> {
    let done = does(town, "data.stored.get", json!({"category": category, "name": name}))?;
    Ok(done["read"]["value"].clone())
}

fn delete(town: &mut Town, category: &str, name: &str) -> Result<StorageUse, RefusalCode> {
    let done = does(town, "data.stored.delete", json!({"category": category, "name": name}))?;
    Ok(vjson::from_value(done["deleted"]["used"].clone()).unwrap())
}

fn names(items: &[StoredItem]) -> Vec<String> {
    items.iter().map(|item| format!("{}/{}", item.category, item.name)).collect()
}

/// Everything that the shop sees, page by page.
fn list(town: &mut Town, limit: u16) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut what = json!({"limit": limit});
        if !after.is_null() {
            what["after"] = after;
        }
        let done = does(town, "data.stored.list", what).unwrap();
        let items: Vec<StoredItem> = vjson::from_value(done["listed"]["items"].clone()).unwrap();
        assert!(items.len() <= usize::from(limit));
        seen.extend(names(&items));
        if done["listed"]["more"] == false {
            return seen;
        }
        let last = items.last().unwrap();
        after = json!({"category": last.category, "name": last.name});
    }
}

/// What Alice sees of one connection.
fn seen(town: &mut Town, id: ConnectionId) -> StoredList {
    town.ask(ALICE, "stored.list", json!({"connection_id": id})).unwrap()
}

#[test]
fn the_shop_stores_reads_lists_and_deletes_its_own_and_alice_sees_all_of_it() {
    let (mut town, id) = shop_that_stores(1);
    let (receipt, card) = (json!({"order": 7, "total": "12.00"}), json!("4711"));
    let used = put(&mut town, "receipts", "order-7", &receipt).unwrap();
    let size = size_bytes("receipts", "order-7", &receipt).unwrap();
    assert_eq!(used, StorageUse { quota_bytes: QUOTA_BYTES, used_bytes: size, items: 1 });
    put(&mut town, "cards", "loyalty", &card).unwrap();
    put(&mut town, "cards", "loyalty", &json!("4712")).unwrap();
    assert_eq!(get(&mut town, "receipts", "order-7"), Ok(receipt.clone()));
    assert_eq!(get(&mut town, "cards", "loyalty"), Ok(json!("4712")));
    assert_eq!(list(&mut town, 1), ["cards/loyalty", "receipts/order-7"]);
    let told = town.feed(ALICE).entries.remove(0);
    assert_eq!((told.severity, told.outcome), (Severity::Info, Outcome::Done));

    let list = seen(&mut town, id);
    assert_eq!(names(&list.items), ["cards/loyalty", "receipts/order-7"]);
    let [shop] = list.services.as_slice() else { panic!("{list:?}") };
    let sum: u64 = list.items.iter().map(|item| item.size_bytes).sum();
    assert_eq!((shop.quota_bytes, shop.used_bytes, shop.items, shop.ended), (Some(QUOTA_BYTES), sum, 2, false));
    let of: Vec<_> = shop.categories.iter().map(|of| (of.category.as_str(), of.purpose.clone(), of.items)).collect();
    assert_eq!(of, [("cards", Some("Your cards".into()), 1), ("receipts", Some("Your receipts".into()), 1)]);
    let all: StoredList = town.ask(ALICE, "stored.list", json!({})).unwrap();
    assert_eq!((all.services.len(), all.items.len(), all.services[0].used_bytes), (1, 0, sum));
    let value: Value =
        town.ask(ALICE, "stored.get", json!({"connection_id": id, "category": "receipts", "name": "order-7"})).unwrap();
    assert_eq!(value["value"], receipt);

    // What the shop deletes is gone; what Alice deletes is gone as well, and nobody tells the shop.
    assert_eq!(delete(&mut town, "cards", "loyalty").unwrap().items, 1);
    assert_eq!(get(&mut town, "cards", "loyalty"), Err(RefusalCode::NotFound));
    assert_eq!(delete(&mut town, "cards", "loyalty"), Err(RefusalCode::NotFound));
    let heard = town.shop.got.len();
    let body = json!({"connection_id": id, "category": "receipts", "name": "order-7"});
    let gone: StoredDeleted = town.ask(ALICE, "stored.delete", body.clone()).unwrap();
    assert_eq!(gone, StoredDeleted { items: 1, bytes: size });
    assert_eq!(town.ask::<StoredDeleted>(ALICE, "stored.delete", body), Err(RefusalCode::NotFound));
    town.run();
    assert_eq!(town.shop.got.len(), heard);
    assert_eq!(get(&mut town, "receipts", "order-7"), Err(RefusalCode::NotFound));
    let told = town.feed(ALICE).entries.remove(0);
    assert_eq!((told.severity, told.outcome), (Severity::Info, Outcome::Refused(RefusalCode::NotFound)));
    assert_eq!(seen(&mut town, id).services[0].items, 0);
    town.check(ALICE);
}

#[test]
fn each_check_refuses_in_its_order_tells_and_stores_nothing() {
    let (mut town, id) = shop_that_stores(2);
    let failed = |code, severity, check: &str| (code, severity, Some(check.to_owned()));
    let undeclared = failed(RefusalCode::NotInContract, Severity::Alarm, "declared");
    let full = failed(RefusalCode::NoRoom, Severity::Warning, "quota");
    let mut wrong = json!({"category": "letters", "name": "a", "value": "x".repeat(3_000)});
    let asked = |town: &mut Town, what: &Value| body(town, what.clone());
    let mut other = asked(&mut town, &wrong);
    other["contract_hash"] = "A".repeat(43).into();
    let mismatch = failed(RefusalCode::ContractMismatch, Severity::Notice, "contract_current");
    assert_eq!(refused(&mut town, "data.store", other), mismatch);
    let letters = asked(&mut town, &wrong);
    assert_eq!(refused(&mut town, "data.store", letters), undeclared);
    wrong["category"] = "cards".into();
    let too_much = asked(&mut town, &wrong);
    assert_eq!(refused(&mut town, "data.store", too_much), full);
    for name in ["data.stored.get", "data.stored.delete"] {
        let letters = asked(&mut town, &json!({"category": "letters", "name": "a"}));
        assert_eq!(refused(&mut town, name, letters), undeclared);
    }
    let letters = asked(&mut town, &json!({"category": "letters"}));
    assert_eq!(refused(&mut town, "data.stored.list", letters), undeclared);
    // What is no request at all counts for nothing.
    let large = "x".repeat(MAX_VALUE_BYTES);
    for what in [
        json!({"category": "cards", "name": "a/b", "value": 1}),
        json!({"category": "Cards", "name": "a", "value": 1}),
        json!({"category": "cards", "name": "a", "value": large}),
        json!({"category": "cards", "name": "a", "value": 1, "expires_at": town.now}),
        json!({"category": "cards", "name": "a", "value": 1, "more": 1}),
    ] {
        let what = asked(&mut town, &what);
        assert_eq!(refused(&mut town, "data.store", what), (RefusalCode::InvalidRequest, Severity::Warning, None));
    }
    assert_eq!((seen(&mut town, id).items.len(), list(&mut town, 9).len()), (0, 0));
    town.check(ALICE);

    // Without the section there is nothing to declare, without the permission nothing is permitted, and a rate is a rate.
    for (seed, check, change) in [
        (3, "declared", (|c| c.storage = None) as fn(&mut Contract)),
        (4, "permission", |c| c.permissions.retain(|other| *other != Permission::StoreData)),
        (5, "rate", |c| c.rate.count = 1),
    ] {
        let mut town = Town::settled(seed);
        town.shop.contract = stores(1);
        change(&mut town.shop.contract);
        town.connect_shop();
        let what = json!({"category": "cards", "name": "a", "value": 1});
        if check == "rate" {
            put(&mut town, "cards", "b", &json!(1)).unwrap();
        }
        let what = body(&mut town, what);
        assert_eq!(refused(&mut town, "data.store", what).2.as_deref(), Some(check));
        let all: StoredList = town.ask(ALICE, "stored.list", json!({})).unwrap();
        assert_eq!(all.services.len(), usize::from(check == "rate"));
    }
}

#[test]
fn the_quota_holds_to_the_byte_and_what_is_replaced_makes_room() {
    let (mut town, id) = shop_that_stores(6);
    let of_size = |name: &str, size: u64| {
        let around = size_bytes("cards", name, &json!("")).unwrap();
        json!("x".repeat(usize::try_from(size - around).unwrap()))
    };
    assert_eq!(put(&mut town, "cards", "a", &of_size("a", 1_500)).unwrap().used_bytes, 1_500);
    assert_eq!(put(&mut town, "cards", "b", &of_size("b", 501)), Err(RefusalCode::NoRoom));
    assert_eq!(put(&mut town, "cards", "b", &of_size("b", 500)).unwrap().used_bytes, QUOTA_BYTES);
    assert_eq!(put(&mut town, "receipts", "c", &json!(1)), Err(RefusalCode::NoRoom));
    assert_eq!(put(&mut town, "cards", "a", &of_size("a", 1_501)), Err(RefusalCode::NoRoom));
    assert_eq!(get(&mut town, "cards", "a"), Ok(of_size("a", 1_500)));
    assert_eq!(put(&mut town, "cards", "a", &of_size("a", 1_000)).unwrap().used_bytes, 1_500);
    // Alice makes room, too.
    let body = json!({"connection_id": id, "category": "cards", "name": "b"});
    let _: StoredDeleted = town.ask(ALICE, "stored.delete", body).unwrap();
    assert_eq!(put(&mut town, "receipts", "c", &of_size("c-and-more", 900)).unwrap().items, 2);
    town.nodes[ALICE].crash();
    assert_eq!(get(&mut town, "cards", "a"), Ok(of_size("a", 1_000)));
    town.check(ALICE);
}

#[test]
fn an_event_that_comes_again_stores_once_and_reads_what_is_there() {
    let (mut town, id) = shop_that_stores(7);
    let store = body(&mut town, json!({"category": "cards", "name": "a", "value": "first"}));
    let (event_id, letter) = town.shop.seal("data.store", store.clone(), town.now, &mut town.rng);
    let give = |town: &mut Town, (subject, bytes): (vettid_wire::subject::Subject, Vec<u8>)| {
        town.post(subject, bytes);
        town.run();
        town.shop.last().1.clone()
    };
    let first = give(&mut town, letter.clone());
    assert_eq!(first["outcome"]["stored"]["used"]["items"], 1);
    put(&mut town, "cards", "a", &json!("another value")).unwrap();
    // The same letter again, and the same event in another one: the same answer, and the second value stays.
    assert_eq!(give(&mut town, letter), first);
    let Town { shop, now, rng, .. } = &mut town;
    let again = shop.seal_as("data.store", store.clone(), event_id, *now, rng);
    assert_eq!(give(&mut town, again), first);
    assert_eq!(get(&mut town, "cards", "a"), Ok(json!("another value")));
    let mut other = store;
    other["value"] = "third".into();
    let Town { shop, now, rng, .. } = &mut town;
    let other = shop.seal_as("data.store", other, event_id, *now, rng);
    assert_eq!(give(&mut town, other)["code"], "conflict");
    assert_eq!(get(&mut town, "cards", "a"), Ok(json!("another value")));

    // What was read is not remembered: the same question reads again.
    let ask = body(&mut town, json!({"category": "cards", "name": "a"}));
    let (_, letter) = town.shop.seal("data.stored.get", ask, town.now, &mut town.rng);
    assert_eq!(give(&mut town, letter.clone())["outcome"]["read"]["value"], "another value");
    assert_eq!(give(&mut town, letter.clone())["outcome"]["read"]["value"], "another value");
    let body = json!({"connection_id": id});
    let gone: StoredDeleted = town.ask(ALICE, "stored.delete", body).unwrap();
    assert_eq!(gone.items, 1);
    assert_eq!(give(&mut town, letter)["code"], "not_found");
    let left = town.nodes[ALICE].vault.state().all();
    let holds = |value: &Vec<u8>| String::from_utf8_lossy(value).contains("another value");
    assert!(!left.values().flatten().any(holds), "a value is left of what was deleted");
    town.check(ALICE);
}

#[test]
fn what_has_an_end_is_gone_then_and_leaves_no_trace_in_the_quota() {
    let (mut town, id) = shop_that_stores(8);
    let until = town.now.plus_ms(DAY_MS);
    for name in ["a", "b"] {
        let what = json!({"category": "cards", "name": name, "value": 1, "expires_at": until});
        does(&mut town, "data.store", what).unwrap();
    }
    // Stored again without an end, it has none.
    put(&mut town, "cards", "b", &json!(1)).unwrap();
    town.now = until.plus_ms(-MINUTE_MS);
    town.tick();
    assert_eq!(get(&mut town, "cards", "a"), Ok(json!(1)));
    town.now = until;
    // Over is over, whether the upkeep was there already or not.
    assert_eq!(get(&mut town, "cards", "a"), Err(RefusalCode::NotFound));
    town.resume(ALICE, true);
    assert_eq!(names(&seen(&mut town, id).items), ["cards/b"]);
    town.tick();
    town.resume(ALICE, true);
    let list = seen(&mut town, id);
    assert_eq!((list.services[0].items, list.services[0].used_bytes), (1, list.items[0].size_bytes));
    town.check(ALICE);
}

#[test]
fn less_in_a_new_version_takes_access_and_deletes_nothing() {
    let (mut town, id) = shop_that_stores(9);
    put(&mut town, "receipts", "r", &json!("x".repeat(900))).unwrap();
    put(&mut town, "cards", "c", &json!("x".repeat(400))).unwrap();
    let mut second = stores(2);
    let storage = second.storage.as_mut().unwrap();
    storage.quota_bytes = 1_000;
    storage.categories.remove(0);
    offer(&mut town, &second);
    assert_eq!(get(&mut town, "cards", "c"), Err(RefusalCode::ContractFrozen));
    answer(&mut town, id, &second, true, &[]).unwrap();
    town.shop.contract = second;
    assert_eq!(get(&mut town, "receipts", "r"), Err(RefusalCode::NotInContract));
    assert_eq!(delete(&mut town, "receipts", "r"), Err(RefusalCode::NotInContract));
    assert_eq!(list(&mut town, 9), ["cards/c"]);
    assert_eq!(get(&mut town, "cards", "c"), Ok(json!("x".repeat(400))));
    // It counts all the same, so that nothing is stored until there is room.
    assert_eq!(put(&mut town, "cards", "c", &json!(1)).err(), None, "smaller than before");
    assert_eq!(put(&mut town, "cards", "d", &json!("x".repeat(200))), Err(RefusalCode::NoRoom));
    let list = seen(&mut town, id);
    assert_eq!(names(&list.items), ["cards/c", "receipts/r"]);
    let of: Vec<_> = list.services[0].categories.iter().map(|of| of.purpose.is_some()).collect();
    assert_eq!(of, [true, false]);
    // A later version that has them gives them back.
    let third = stores(3);
    offer(&mut town, &third);
    answer(&mut town, id, &third, true, &[]).unwrap();
    town.shop.contract = third;
    assert_eq!(get(&mut town, "receipts", "r"), Ok(json!("x".repeat(900))));
    town.check(ALICE);
}

#[test]
fn with_the_connection_the_shop_loses_it_and_alice_keeps_it() {
    for by_alice in [true, false] {
        let (mut town, id) = shop_that_stores(10);
        let until = town.now.plus_ms(DAY_MS);
        put(&mut town, "receipts", "r", &json!("kept")).unwrap();
        does(&mut town, "data.store", json!({"category": "cards", "name": "c", "value": 1, "expires_at": until}))
            .unwrap();
        let ask = body(&mut town, json!({"category": "receipts", "name": "r"}));
        let (_, letter) = town.shop.seal("data.stored.get", ask, town.now, &mut town.rng);
        if by_alice {
            let body = json!({"connection_id": id, "reason": "user_requested"});
            let _: ConnectionView = town.ask(ALICE, "connection.revoke", body).unwrap();
        } else {
            let second = stores(2);
            offer(&mut town, &second);
            answer(&mut town, id, &second, false, &[]).unwrap();
        }
        town.run();
        let heard = town.shop.got.len();
        town.post(letter.0, letter.1);
        town.run();
        assert_eq!(town.shop.got.len(), heard);
        let list = seen(&mut town, id);
        assert_eq!(names(&list.items), ["cards/c", "receipts/r"]);
        assert!(list.services[0].ended && list.services[0].quota_bytes.is_none());
        assert!(!list.services[0].display_name.is_empty());
        // A new connection begins with nothing, and Alice deletes the old things when she likes.
        let again = town.connect_shop();
        assert_ne!(again, id);
        assert_eq!(town.shop.connection_id, Some(again));
        assert!(super::stored::list(&mut town, 9).is_empty());
        town.now = until;
        town.tick();
        town.resume(ALICE, true);
        assert_eq!(names(&seen(&mut town, id).items), ["receipts/r"]);
        let gone: StoredDeleted = town.ask(ALICE, "stored.delete", json!({"connection_id": id})).unwrap();
        assert_eq!(gone.items, 1);
        let all: StoredList = town.ask(ALICE, "stored.list", json!({})).unwrap();
        assert!(all.services.is_empty());
        town.check(ALICE);
    }
}

#[test]
fn a_rule_denies_and_what_is_read_back_stands_in_the_statement() {
    let (mut town, id) = shop_that_stores(11);
    put(&mut town, "receipts", "r", &json!("hidden value")).unwrap();
    get(&mut town, "receipts", "r").unwrap();
    assert_eq!(get(&mut town, "receipts", "s"), Err(RefusalCode::NotFound));
    for outcome in ["deny", "ask"] {
        let rule = json!({"rule": {"rule_id": outcome, "outcome": outcome, "event_type": "data.store"}});
        let _: Value = town.ask(ALICE, "rule.set", rule).unwrap();
        assert_eq!(put(&mut town, "receipts", "s", &json!(1)), Err(RefusalCode::Denied));
        let _: Value = town.ask(ALICE, "rule.remove", json!({"rule_id": outcome})).unwrap();
    }
    put(&mut town, "receipts", "s", &json!(1)).unwrap();
    let text = statements::statement(&mut town, id);
    assert!(!text.contains("hidden value"));
    let report = vettid_core::statement::verify(&text, None).unwrap();
    let [(_, served)] = report.served.as_slice() else { panic!("{report:?}") };
    assert_eq!((served.field.as_str(), served.category.as_deref()), ("r", Some("receipts")));
    assert_eq!((served.purpose.as_str(), served.decided_by), ("Your receipts", DecidedBy::Contract));
    let wrong = text.replacen("\"category\":\"receipts\"", "\"category\":\"cards\"", 1);
    assert_ne!(wrong, text);
    assert!(vettid_core::statement::verify(&wrong, None).is_err());
}

#[test]
fn an_owner_asks_for_what_is_there_and_bob_for_nothing() {
    let (mut town, id) = shop_that_stores(12);
    put(&mut town, "cards", "c", &json!(1)).unwrap();
    for wrong in [
        json!({"limit": 0}),
        json!({"limit": 101}),
        json!({"category": "cards"}),
        json!({"connection_id": id, "after_connection": id}),
        json!({"connection_id": id, "category": "cards", "after": {"category": "receipts", "name": "a"}}),
    ] {
        assert_eq!(town.ask::<Value>(ALICE, "stored.list", wrong), Err(RefusalCode::InvalidRequest));
    }
    let named = json!({"connection_id": id, "name": "c"});
    assert_eq!(town.ask::<Value>(ALICE, "stored.delete", named), Err(RefusalCode::InvalidRequest));
    let next: StoredList = town.ask(ALICE, "stored.list", json!({"after_connection": id})).unwrap();
    assert_eq!((next.services.len(), next.more), (0, false));
    let all: StoredList = town.ask(BOB, "stored.list", json!({})).unwrap();
    assert!(all.services.is_empty());
    assert_eq!(town.ask::<Value>(BOB, "stored.list", json!({"connection_id": id})), Err(RefusalCode::NotFound));
    let missing = json!({"connection_id": id, "category": "cards", "name": "d"});
    assert_eq!(town.ask::<Value>(ALICE, "stored.get", missing), Err(RefusalCode::NotFound));
}

/// A shop that tries whatever it likes, crashes of the vault, and an owner who deletes: what the vault has is what a plain map
/// says, and never more than the quota.
fn life(seed: u64) -> u32 {
    let (mut town, id) = shop_that_stores(seed);
    let mut there: BTreeMap<(String, String), Value> = BTreeMap::new();
    let size = |(place, value): (&(String, String), &Value)| size_bytes(&place.0, &place.1, value).unwrap();
    let mut full = 0;
    for _ in 0..40 {
        let category = ["cards", "receipts", "letters"][town.rng.random_range(0..3)].to_owned();
        let place = (category, format!("n{}", town.rng.random_range(0..4)));
        let is_declared = place.0 != "letters";
        match town.rng.random_range(0..8) {
            0..4 => {
                let value = json!("v".repeat(town.rng.random_range(0..900)));
                let mut after = there.clone();
                after.insert(place.clone(), value.clone());
                let fits = after.iter().map(size).sum::<u64>() <= QUOTA_BYTES;
                let wanted = match (is_declared, fits) {
                    (false, _) => Some(RefusalCode::NotInContract),
                    (_, false) => Some(RefusalCode::NoRoom),
                    _ => None,
                };
                full += u32::from(wanted == Some(RefusalCode::NoRoom));
                assert_eq!(put(&mut town, &place.0, &place.1, &value).err(), wanted, "seed {seed}");
                if wanted.is_none() {
                    there = after;
                }
            }
            4 | 5 => {
                let wanted = if is_declared {
                    there.get(&place).cloned().ok_or(RefusalCode::NotFound)
                } else {
                    Err(RefusalCode::NotInContract)
                };
                assert_eq!(get(&mut town, &place.0, &place.1), wanted, "seed {seed}");
            }
            6 => {
                let found = there.remove(&place).is_some();
                let by_owner = town.rng.random_range(0..2) == 0;
                let gone = if by_owner {
                    let body = json!({"connection_id": id, "category": place.0, "name": place.1});
                    town.ask::<Value>(ALICE, "stored.delete", body).is_ok()
                } else {
                    delete(&mut town, &place.0, &place.1).is_ok()
                };
                assert_eq!(gone, found, "seed {seed}");
            }
            _ => {
                town.nodes[ALICE].crash();
                town.now = town.now.plus_ms(MINUTE_MS);
                town.resume(ALICE, true);
            }
        }
        let list = seen(&mut town, id);
        let wanted: Vec<_> = there.keys().map(|(category, name)| format!("{category}/{name}")).collect();
        assert_eq!(names(&list.items), wanted, "seed {seed}");
        let used = there.iter().map(size).sum::<u64>();
        assert!(used <= QUOTA_BYTES);
        assert_eq!(list.services[0].used_bytes, used, "seed {seed}");
    }
    town.check(ALICE);
    full
}

#[test]
fn whatever_is_tried_the_vault_has_what_a_plain_map_says() {
    // The quota was really met.
    assert!((100..112).map(life).sum::<u32>() > 12);
}
