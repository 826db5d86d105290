//! Bad days under many seeds: whatever is lost, repeated, reordered or crashes, both sides agree in the end.

use crate::town::{ALICE, BOB, Faults, Town};
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_wire::contract::Rate;

fn bad_day(seed: u64) {
    let mut town = Town::settled(seed);
    // Each crash costs an app 64 commands, and here more of them fit into a minute than anywhere else.
    let session = Limit { messages: Rate { count: 1_000_000, per_seconds: 60 }, ..Limit::SESSION };
    town.nodes.iter_mut().for_each(|node| node.limit(Limits { session, ..Limits::default() }));
    town.faults = Faults { lose: 20, repeat: 25, crash: 15, reorder: true };
    let id = town.connect();
    let mut sent = [vec![], vec![]];
    for n in 0..12u64 {
        let who = town.rng.random_range(0..2);
        let text = format!("{who} {n}");
        let _: Value = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
        let number = u64::try_from(sent[who].len()).unwrap() + 1;
        sent[who].push((number, text));
        if town.rng.random_range(0..4) == 0 {
            town.run();
        }
        if town.rng.random_range(0..8) == 0 {
            town.snapshot(who);
        }
        if town.rng.random_range(0..12) == 0 {
            let _: Value = town.ask(who, "connection.rotate", json!({})).unwrap();
        }
    }
    town.run();
    for (who, other) in [(ALICE, BOB), (BOB, ALICE)] {
        assert_eq!(town.texts(who, id, "sent"), sent[who], "seed {seed}");
        assert_eq!(town.texts(other, id, "received"), sent[who], "seed {seed}");
    }
    for who in [ALICE, BOB] {
        town.check(who);
        assert_eq!(town.nodes[who].vault.waiting().unwrap(), []);
    }
}

#[test]
fn nothing_is_lost_or_doubled() {
    (0..30).for_each(bad_day);
}

#[test]
fn nothing_is_lost_or_doubled_under_more_seeds() {
    (30..60).for_each(bad_day);
}

#[test]
fn nothing_is_lost_or_doubled_under_still_more_seeds() {
    (60..90).for_each(bad_day);
}

#[test]
fn nothing_is_lost_or_doubled_under_the_last_seeds() {
    (90..120).for_each(bad_day);
}
