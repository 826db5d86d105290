//! The dry run of a contract: what it says of past requests is what they came to, or would have come to; and it leaves no trace.

use crate::batches;
use crate::contracts::{answer, asks, offer, store, version};
use crate::town::{ALICE, MINUTE_MS, Town};
use serde_json::json;
use vettid_vault::projection::Draft;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::{RuleStored, RulesTested};
use vettid_wire::trial::{ContractTrial, FieldTrial, RuleCounts, TrialBasis};

fn dry_run(town: &mut Town, id: ConnectionId, days: u32, optional: &[&str]) -> Result<ContractTrial, RefusalCode> {
    town.ask(ALICE, "contract.test", json!({"connection_id": id, "days": days, "optional_fields": optional}))
}

fn of<'a>(trial: &'a ContractTrial, field: &str) -> &'a FieldTrial {
    trial.fields.iter().find(|trial| trial.field == field).unwrap()
}

fn shop_in_town(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    for field in ["address", "email", "city", "size_2"] {
        store(&mut town, field);
    }
    let id = town.connect_shop();
    (town, id)
}

#[test]
fn a_new_version_is_tried_on_what_the_service_asked_for() {
    let (mut town, id) = shop_in_town(1);
    assert_eq!(asks(&mut town, "email"), "email");
    for _ in 0..2 {
        assert_eq!(asks(&mut town, "size_2"), "not_in_contract");
    }
    let second = version(2);
    offer(&mut town, &second);
    let trial = dry_run(&mut town, id, 90, &[]).unwrap();
    assert_eq!((trial.contract_version, trial.basis, trial.tried), (2, TrialBasis::OwnRequests, 3));
    assert_eq!((of(&trial, "email").asked, of(&trial, "email").handed_out), (1, 1));
    let size = of(&trial, "size_2");
    assert_eq!((size.asked, size.handed_out, size.is_stored), (2, 2, true), "what was refused would be handed out");
    assert_eq!(of(&trial, "city").at_most, 0, "not agreed to");
    assert!(of(&dry_run(&mut town, id, 90, &["city"]).unwrap(), "city").at_most > 0);

    // What it foretold comes true.
    answer(&mut town, id, &second, true, &[]).unwrap();
    town.shop.contract = second;
    assert_eq!(asks(&mut town, "size_2"), "size_2");
}

#[test]
fn a_dry_run_changes_nothing_and_takes_nothing_from_the_rates() {
    let (mut town, id) = shop_in_town(2);
    asks(&mut town, "email");
    let served = |town: &Town| Draft::new(town.nodes[ALICE].vault.state()).keys("served/", usize::MAX).len();
    let buckets = |town: &Town| {
        let draft = Draft::new(town.nodes[ALICE].vault.state());
        vettid_vault::connection::buckets(&draft, id).unwrap()
    };
    let (before, spent, sent) = (served(&town), buckets(&town), town.shop.got.len());
    for _ in 0..50 {
        dry_run(&mut town, id, 90, &[]).unwrap();
    }
    assert_eq!((served(&town), buckets(&town), town.shop.got.len()), (before, spent, sent));
    assert_eq!(asks(&mut town, "email"), "email");
}

#[test]
fn fields_that_were_asked_for_together_count_as_if_each_was_asked_for_alone() {
    let fields = ["email", "size_2", "address", "city"];
    let trial = |together: bool| {
        let (mut town, id) = shop_in_town(5);
        let rule = json!({"rule_id": "no-mail", "outcome": "deny", "event_type": "data.request", "field": "email",
            "connection_id": id, "count": {"count": 2, "per": "day"}});
        let ask_all = |town: &mut Town| {
            if together {
                // As much time as it takes one by one.
                town.now = town.now.plus_ms(4 * MINUTE_MS);
                batches::ask(town, &fields);
            } else {
                fields.iter().for_each(|field| drop(asks(town, field)));
            }
        };
        (0..3).for_each(|_| ask_all(&mut town));
        // What is refused as a whole was asked for as well.
        let second = version(2);
        offer(&mut town, &second);
        ask_all(&mut town);
        let _: RuleStored = town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap();
        let tested: RulesTested = town.ask(ALICE, "rule.test", json!({"days": 7})).unwrap();
        let RulesTested::Tested(tested) = tested else { panic!("{tested:?}") };
        let trial = dry_run(&mut town, id, 90, &["city"]).unwrap();
        (trial.tried, trial.fields, tested.tried)
    };
    let (alone, together) = (trial(false), trial(true));
    assert_eq!((alone.0, &alone.1[0].field), (16, &"address".to_owned()));
    assert_eq!(together, alone);
    let email = together.1.iter().find(|trial| trial.field == "email").unwrap();
    assert_eq!((email.asked, email.handed_out, email.by_rules.denied), (4, 4, 2));
}

#[test]
fn the_owners_rules_are_counted_beside_what_the_contract_allows() {
    let (mut town, id) = shop_in_town(4);
    for (field, tried) in [("email", 3), ("address", 2)] {
        (0..tried).for_each(|_| drop(asks(&mut town, field)));
    }
    let before = dry_run(&mut town, id, 90, &[]).unwrap();
    assert!(before.fields.iter().all(|field| field.by_rules == RuleCounts::default()), "{before:?}");
    assert_eq!(of(&before, "email").handed_out, 3);

    let mut put = |rule: serde_json::Value| {
        let stored: RuleStored = town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap();
        assert!(matches!(stored, RuleStored::Stored(_)), "{stored:?}");
    };
    // From the third e-mail of a day on the answer is no; every address is asked about; a rule for somebody else says nothing.
    put(
        json!({"rule_id": "few", "outcome": "deny", "event_type": "data.request", "field": "email", "connection_id": id,
        "count": {"count": 2, "per": "day"}}),
    );
    put(json!({"rule_id": "where", "outcome": "ask", "event_type": "data.request", "field": "address"}));
    let trial = dry_run(&mut town, id, 90, &[]).unwrap();
    let counts = |name| of(&trial, name).by_rules;
    assert_eq!(counts("email"), RuleCounts { denied: 1, asked: 0, answered: 0 });
    assert_eq!(counts("address"), RuleCounts { denied: 0, asked: 2, answered: 0 });
    let mut plain = trial.clone();
    plain.fields.iter_mut().for_each(|field| field.by_rules = RuleCounts::default());
    assert_eq!(plain, before, "what the contract says is the same with rules and without");
    // It took nothing from the counts of the rules.
    assert_eq!(dry_run(&mut town, id, 90, &[]).unwrap(), trial);
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let (mut town, id) = shop_in_town(3);
    for (days, optional, code) in [
        (0, &[][..], RefusalCode::InvalidRequest),
        (91, &[], RefusalCode::InvalidRequest),
        (90, &["email"], RefusalCode::InvalidRequest),
        (90, &["nothing"], RefusalCode::InvalidRequest),
    ] {
        assert_eq!(dry_run(&mut town, id, days, optional), Err(code), "{days} {optional:?}");
    }
    let nobody = ConnectionId::from_bytes([9; 16]);
    assert_eq!(dry_run(&mut town, nobody, 90, &[]), Err(RefusalCode::NotFound));
}
