//! Months of messages between two vaults that die at any moment, over a network that loses, repeats, reorders and stops: in
//! the end each message is there once, on both sides, with its number, and none did not open.

use crate::town::{ALICE, BOB, Faults, Town};
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vettid_core::allowance::{Limit, Limits};
use vettid_wire::contract::Rate;
use vettid_wire::id::ConnectionId;

/// Messages of all seeds together, unless `VETTID_MESSAGES` says otherwise.
const MESSAGES: u64 = 10_000;
/// Messages of one seed: a town that grows old is slow.
const PER_SEED: u64 = 50;
const PARTS: u64 = 8;
/// Messages after which both sides are held against what was written.
const ROUND: u64 = 25;

#[expect(clippy::disallowed_methods, reason = "a nightly run writes more than a commit")]
fn seeds() -> u64 {
    std::env::var("VETTID_MESSAGES").map_or(MESSAGES, |text| text.parse().unwrap()) / PER_SEED
}

/// What was written on one side: number and text.
type Written = BTreeMap<u64, String>;

struct Correspondence {
    town: Town,
    id: ConnectionId,
    seed: u64,
    written: [Written; 2],
}

impl Correspondence {
    fn begin(seed: u64) -> Self {
        let mut town = Town::settled(1_000 + seed);
        let id = town.connect();
        // Here more fits into a minute than anywhere else.
        let many = Rate { count: 1_000_000, per_seconds: 60 };
        let session = Limit { messages: many, ..Limit::SESSION };
        let connection = Limit { messages: many, bytes: None, ..Limit::CONNECTION };
        town.nodes.iter_mut().for_each(|node| node.limit(Limits { session, connection }));
        town.unreadable = 0;
        town.faults = Faults { lose: 20, repeat: 25, crash: 4, reorder: true };
        Self { town, id, seed, written: [Written::new(), Written::new()] }
    }

    fn write(&mut self, n: u64) {
        let who = self.town.rng.random_range(0..2);
        let text = format!("{who} {n}");
        let _: Value = self.town.ask(who, "messaging.send", json!({"connection_id": self.id, "text": text})).unwrap();
        let number = u64::try_from(self.written[who].len()).unwrap() + 1;
        self.written[who].insert(number, text);
        match self.town.rng.random_range(0..60) {
            0..6 => self.town.run_a_while(),
            // One side cannot be reached for a while.
            6..9 => self.town.away = Some(self.town.rng.random_range(0..2)),
            9..15 => self.town.away = None,
            15 => self.town.snapshot(who),
            16 => {
                let _: Value = self.town.ask(who, "connection.rotate", json!({})).unwrap();
            }
            _ => {}
        }
    }

    /// Nothing is under way any more: what one side wrote the other has, once, and nothing else.
    fn compare(&mut self) {
        self.town.away = None;
        self.town.run();
        // A host stores the whole state now and then; else each start would read all that ever happened.
        [ALICE, BOB].into_iter().for_each(|who| self.town.snapshot(who));
        for (who, other) in [(ALICE, BOB), (BOB, ALICE)] {
            let last: Vec<_> = self.written[who].iter().rev().take(40).map(|(n, text)| (*n, text.clone())).collect();
            for (side, direction) in [(who, "sent"), (other, "received")] {
                let mut found = self.town.texts(side, self.id, direction);
                found.reverse();
                found.truncate(last.len());
                assert_eq!(found, last, "seed {}: {direction}", self.seed);
            }
            assert_eq!(self.town.nodes[who].vault.waiting().unwrap(), [], "seed {}", self.seed);
        }
    }

    fn end(mut self) {
        assert_eq!(self.town.unreadable, 0, "seed {}: a message did not open", self.seed);
        for who in [ALICE, BOB] {
            let stored = self.town.nodes[who].vault.state().all().keys().filter(|key| is_text(key)).count();
            let written: usize = self.written.iter().map(Written::len).sum();
            assert_eq!(stored, written, "seed {}: messages at {who}", self.seed);
            self.town.check(who);
        }
    }
}

/// Whether a message lies under this key.
fn is_text(key: &str) -> bool {
    key.contains("messaging") && key.contains("/text/")
}

/// The seeds of one test: a test alone would take too long.
fn part(number: u64) {
    let seeds = seeds() / PARTS;
    ((number - 1) * seeds..number * seeds).for_each(correspondence);
}

fn correspondence(seed: u64) {
    let mut both = Correspondence::begin(seed);
    for n in 1..=PER_SEED {
        both.write(n);
        if n % ROUND == 0 {
            both.compare();
        }
    }
    both.compare();
    both.end();
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_1() {
    part(1);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_2() {
    part(2);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_3() {
    part(3);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_4() {
    part(4);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_5() {
    part(5);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_6() {
    part(6);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_7() {
    part(7);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_8() {
    part(8);
}
