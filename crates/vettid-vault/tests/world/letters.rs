//! Months of messages between two vaults that die at any moment and of which one comes back from an earlier state, over a
//! network that loses, repeats, reorders and stops: in the end each message is there once, on both sides, with its number, and
//! none did not open.

use crate::node::Backup;
use crate::town::{ALICE, BOB, Faults, MINUTE_MS, Town};
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vettid_core::allowance::{Limit, Limits};
use vettid_wire::contract::Rate;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MessageList, Sent};
use vettid_wire::refusal::RefusalCode;

/// Messages of all seeds together, unless `VETTID_MESSAGES` says otherwise.
const MESSAGES: u64 = 10_000;
/// Messages of one seed: a town that grows old is slow.
const PER_SEED: u64 = 50;
const PARTS: u64 = 10;
/// Messages after which both sides are held against what was written.
const ROUND: u64 = 25;

#[expect(clippy::disallowed_methods, reason = "a nightly run writes more than a commit")]
fn seeds() -> u64 {
    std::env::var("VETTID_MESSAGES").map_or(MESSAGES, |text| text.parse().unwrap()) / PER_SEED
}

/// What was written on one side, in order: the id of the command and the text.
type Written = Vec<(EventId, String)>;

struct Correspondence {
    town: Town,
    id: ConnectionId,
    seed: u64,
    written: [Written; 2],
    /// Which vault comes back, before which message from which one's state.
    restore: (usize, u64, u64),
    backup: Option<Backup>,
    is_restored: bool,
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
        let from = town.rng.random_range(1..PER_SEED - 5);
        let at = town.rng.random_range(from + 1..PER_SEED);
        let restore = (town.rng.random_range(0..2), from, at);
        let written = [Written::new(), Written::new()];
        Self { town, id, seed, written, restore, backup: None, is_restored: false }
    }

    fn write(&mut self, n: u64) {
        let who = self.town.rng.random_range(0..2);
        let text = format!("{who} {n}");
        let event_id = self.town.fresh_event();
        self.send(who, event_id, &text);
        self.written[who].push((event_id, text));
        match self.town.rng.random_range(0..60) {
            0..6 => self.town.run_a_while(),
            // One side cannot be reached for a while.
            6..9 => self.town.away = Some(self.town.rng.random_range(0..2)),
            9..15 => self.town.away = None,
            15 => self.town.snapshot(who),
            16..18 => self.rotate(who),
            _ => {}
        }
        self.maybe_restore(n);
    }

    /// Until the vault takes it: one that was just restored knows a little later which numbers are free.
    fn send(&mut self, who: usize, event_id: EventId, text: &str) {
        let body = json!({"connection_id": self.id, "text": text});
        for tries in 0..200 {
            match self.town.ask_as::<Sent>(who, "messaging.send", &body, event_id).unwrap() {
                Ok(_) => return,
                Err(RefusalCode::NotConnected | RefusalCode::Unavailable) if self.is_restored => {}
                Err(code) => panic!("seed {}: {code}", self.seed),
            }
            if tries > 20 {
                self.town.away = None;
            }
            self.town.run_a_while();
        }
        panic!("seed {}: the connection does not come back", self.seed);
    }

    fn rotate(&mut self, who: usize) {
        let rotated = self.town.ask::<Value>(who, "connection.rotate", json!({}));
        rotated.unwrap();
    }

    fn maybe_restore(&mut self, n: u64) {
        let (who, from, at) = self.restore;
        if n == from {
            self.backup = Some(self.town.nodes[who].backup());
        }
        // In every third run both move on to keys that the earlier state does not have.
        if n > from && n < at && self.seed.is_multiple_of(3) {
            self.rotate(who);
            self.town.away = None;
            self.town.run();
        }
        if n == at {
            let backup = self.backup.take().unwrap();
            let restoring = self.town.restore(who, &backup);
            assert_eq!((restoring.incarnation, restoring.needs_password), (2, false));
            self.is_restored = true;
        }
    }

    /// What an app wrote and its restored vault does not have never left the machine that was lost: the app, which has it, sends
    /// it again under the same id.
    fn write_lost_again(&mut self) {
        let (who, ..) = self.restore;
        let there: BTreeSet<String> = self.texts(who, "sent").into_values().collect();
        for (event_id, text) in self.written[who].clone() {
            if !there.contains(&text) {
                self.send(who, event_id, &text);
            }
        }
        self.town.run();
    }

    fn texts(&mut self, who: usize, direction: &str) -> BTreeMap<u64, String> {
        let found = self.town.texts(who, self.id, direction);
        let by_number: BTreeMap<u64, String> = found.iter().cloned().collect();
        assert_eq!(by_number.len(), found.len(), "seed {}: a number is there twice: {found:?}", self.seed);
        by_number
    }

    /// Nothing is under way any more: what one side wrote the other has, once, and nothing else.
    fn compare(&mut self) {
        self.town.away = None;
        self.town.run();
        if self.is_restored {
            self.write_lost_again();
        }
        // A host stores the whole state now and then; else each start would read all that ever happened.
        [ALICE, BOB].into_iter().for_each(|who| self.town.snapshot(who));
        for (who, other) in [(ALICE, BOB), (BOB, ALICE)] {
            let (sent, received) = (self.texts(who, "sent"), self.texts(other, "received"));
            assert_eq!(sent, received, "seed {}: {who} to {other}", self.seed);
            let mut texts: Vec<String> = sent.into_values().collect();
            let mut written: Vec<String> = self.written[who].iter().map(|(_, text)| text.clone()).collect();
            if self.is_restored {
                texts.sort();
                written.sort();
            }
            assert_eq!(texts, written, "seed {}: of {who}", self.seed);
            assert_eq!(self.town.nodes[who].vault.waiting().unwrap(), [], "seed {}", self.seed);
        }
    }

    fn end(mut self) {
        assert_eq!(self.town.unreadable, 0, "seed {}: a message did not open", self.seed);
        self.town.now = self.town.now.plus_ms(2 * MINUTE_MS);
        for who in [ALICE, BOB] {
            let stored = self.town.nodes[who].vault.state().all().keys().filter(|key| is_text(key)).count();
            let written: usize = self.written.iter().map(Written::len).sum();
            assert_eq!(stored, written, "seed {}: messages at {who}", self.seed);
            let list: MessageList = self.town.ask(who, "messaging.list", json!({"connection_id": self.id})).unwrap();
            assert_eq!(list.missing, 0, "seed {}: {who} misses messages", self.seed);
            assert!(list.messages.iter().all(|message| message.delivered_at.is_some()), "seed {}", self.seed);
            self.town.check(who);
        }
        assert!(self.is_restored);
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

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_9() {
    part(9);
}

#[test]
fn of_ten_thousand_messages_none_is_lost_doubled_or_unreadable_part_10() {
    part(10);
}
