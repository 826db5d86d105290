//! What one batch leads to fits into records of the journal, however much it is: a node of these tests takes none that is larger.

use crate::flows::{request_id, send};
use crate::town::{ALICE, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_vault::manager::Handled;
use vettid_wire::contract::{Access, Rate, Tier};
use vettid_wire::request::RequestList;

const MUCH: Rate = Rate { count: 1_000_000, per_seconds: 60 };
/// As much as a field takes: 48 KiB with its quotation marks.
const LARGEST: usize = 48 * 1024 - 2;

fn set(town: &mut Town, field: &str, value: &str) {
    let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": value})).unwrap();
}

fn unlimited(town: &mut Town) {
    let connection = Limit { messages: MUCH, bytes: None, uncommitted: 0 };
    town.nodes[ALICE].limit(Limits { connection, session: Limit { messages: MUCH, ..Limit::SESSION } });
    town.resume(ALICE, true);
}

#[test]
fn many_reads_of_a_large_field_in_one_burst_are_all_answered() {
    let mut town = Town::settled(1);
    town.shop.contract.rate = MUCH;
    let value = "x".repeat(LARGEST);
    set(&mut town, "email", &value);
    town.connect_shop();
    unlimited(&mut town);
    let burst: Vec<_> = (0..64)
        .map(|_| {
            let id = request_id(&mut town);
            let body = town.shop.data_request("email", id);
            town.shop.seal("data.request", body, town.now, &mut town.rng).1
        })
        .collect();
    let before = town.nodes[ALICE].commits();
    assert_eq!(town.give(ALICE, burst), Some(vec![Handled::Done; 64]));
    let commits = town.nodes[ALICE].commits() - before;
    assert!((2..64).contains(&commits), "several events a commit, several commits: {commits}");
    town.run();
    let answers = town.shop.got.iter().filter(|(_, body, _)| body["outcome"]["served"]["value"] == value.as_str());
    assert_eq!(answers.count(), 64);
    town.check(ALICE);
}

#[test]
fn large_values_that_are_owed_at_once_are_all_sent() {
    let mut town = Town::settled(2);
    let names: Vec<String> = (0..20).map(|number| format!("large_{number}")).collect();
    let size = town.shop.contract.fields.iter().find(|field| field.access == Access::Snapshot).unwrap().clone();
    town.shop.contract.fields.extend(names.iter().map(|name| {
        let mut field = size.clone();
        field.field.clone_from(name);
        field.tier = Tier::Required;
        field
    }));
    let value = "x".repeat(LARGEST);
    names.iter().for_each(|name| set(&mut town, name, &value));
    town.connect_shop();
    for _ in 0..8 {
        town.tick();
        town.run();
    }
    let sent = town
        .shop
        .got
        .iter()
        .filter(|(name, body, _)| name == "data.snapshot" && body["state"]["value"]["value"] == value.as_str());
    assert_eq!(sent.count(), names.len());
    town.check(ALICE);
}

#[test]
fn large_answers_that_fall_due_at_once_are_all_given() {
    let mut town = Town::settled(3);
    town.shop.contract.rate = MUCH;
    set(&mut town, "email", &"x".repeat(LARGEST));
    set(&mut town, "phone", &"x".repeat(LARGEST - 2));
    let contract = &mut town.shop.contract;
    contract.fields.iter_mut().filter(|field| field.field == "phone").for_each(|field| field.tier = Tier::Required);
    let link = town.shop.invite(town.now, &mut town.rng);
    let view: Value = town.ask(ALICE, "connection.accept", json!({"link": link})).unwrap();
    town.run();
    let id = view["connection_id"].clone();
    let _: Value = town.ask(ALICE, "connection.decide", json!({"connection_id": id, "accept": true})).unwrap();
    town.run();
    let hash = vettid_core::contract::contract_hash(&town.shop.contract).unwrap();
    let mut asked = 0;
    // Three are let in each five minutes, and wait for fifteen.
    for minutes in [0, 0, 0, 6, 0, 0] {
        town.now = town.now.plus_ms(minutes * MINUTE_MS);
        let fields = json!([{"field": "email"}, {"field": "phone"}, {"field": "date_of_birth"}]);
        let body = json!({"request_id": request_id(&mut town), "service_id": "demo-shop", "connection_id": id,
            "contract_hash": hash, "fields": fields, "purpose": "To deliver"});
        send(&mut town, "data.batch.request", body);
        asked += usize::from(town.shop.last().1.pointer("/outcome/pending").is_some());
    }
    assert_eq!(asked, 6);
    town.now = town.now.plus_ms(20 * MINUTE_MS);
    town.resume(ALICE, true);
    for _ in 0..8 {
        town.tick();
        town.run();
    }
    let open: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    assert!(open.requests.is_empty());
    let given = town.shop.got.iter().filter(|(_, body, _)| body.pointer("/outcome/answered").is_some());
    let sizes: Vec<_> = given.map(|(_, body, _)| body.to_string().len()).collect();
    assert_eq!(sizes.len(), asked);
    assert!(sizes.iter().all(|bytes| *bytes > 2 * LARGEST), "both values are in each answer: {sizes:?}");
    town.check(ALICE);
}
