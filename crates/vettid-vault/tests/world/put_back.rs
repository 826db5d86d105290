//! A vault that comes back in an earlier state, as from a backup, and goes on under its old keys: nothing happens twice, and
//! whatever is not there is told to somebody.

use crate::town::{ALICE, BOB, Town};
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::allowance::{Limit, Limits};
use vettid_wire::contract::Rate;
use vettid_wire::feed::Outcome;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

/// A stretch of messages, in both directions at random.
fn write(town: &mut Town, id: ConnectionId, count: usize, what: &str) -> [BTreeSet<String>; 2] {
    let mut written = [BTreeSet::new(), BTreeSet::new()];
    for n in 0..count {
        let who = town.rng.random_range(0..2);
        let text = format!("{what} {n} of {who}");
        let _: Value = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
        written[who].insert(text);
        if town.rng.random_range(0..3) == 0 {
            town.run();
        }
    }
    town.run();
    written
}

fn texts(town: &mut Town, who: usize, id: ConnectionId, direction: &str) -> Vec<String> {
    town.texts(who, id, direction).into_iter().map(|(_, text)| text).collect()
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}

/// Events that the peer of this vault refused, as its feed tells.
fn refused(town: &mut Town, who: usize) -> usize {
    let conflict = Outcome::Refused(RefusalCode::Conflict);
    town.feed(who).entries.iter().filter(|entry| entry.outcome == conflict).count()
}

/// Gives how many of Alice's messages were refused.
fn put_back(seed: u64) -> usize {
    let mut town = Town::settled(2_000 + seed);
    let many = Rate { count: 1_000_000, per_seconds: 60 };
    let connection = Limit { messages: many, ..Limit::CONNECTION };
    town.nodes.iter_mut().for_each(|node| node.limit(Limits { connection, ..Limits::default() }));
    let id = town.connect();
    let before = write(&mut town, id, 6, "before");
    let backup = town.nodes[ALICE].records().to_vec();
    let between = write(&mut town, id, 90, "between");
    town.sent.clear();
    town.nodes[ALICE].continued(backup);
    // The owner's app begins a new session: what it knew of the vault is not true any more.
    town.resume(ALICE, true);
    let after = write(&mut town, id, 40, "after");

    let [at_alice, at_bob] = [ALICE, BOB].map(|who| texts(&mut town, who, id, "received"));
    assert_eq!(set(&at_alice).len(), at_alice.len(), "seed {seed}: a message came twice");
    assert_eq!(set(&at_bob).len(), at_bob.len(), "seed {seed}: a message came twice");
    // Of Bob's messages those of the lost time are missing, and the numbers around them tell so.
    let came: BTreeSet<String> = before[BOB].union(&after[BOB]).cloned().collect();
    assert_eq!(set(&at_alice), came, "seed {seed}");
    let numbers: Vec<u64> = town.texts(ALICE, id, "received").iter().map(|(number, _)| *number).collect();
    let gap = numbers.windows(2).map(|two| two[1] - two[0] - 1).sum::<u64>();
    let told_by_gap = if after[BOB].is_empty() || before[BOB].is_empty() { gap } else { between[BOB].len() as u64 };
    assert_eq!(gap, told_by_gap, "seed {seed}: {numbers:?}");
    // Of Alice's messages Bob has all from before and from the lost time; of the later ones each came or was refused.
    assert!(before[ALICE].union(&between[ALICE]).all(|text| at_bob.contains(text)), "seed {seed}");
    let missing = after[ALICE].iter().filter(|text| !at_bob.contains(text)).count();
    let told = refused(&mut town, ALICE);
    assert!(told >= missing, "seed {seed}: {missing} are missing and {told} were refused");
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
    missing
}

#[test]
fn a_vault_that_was_put_back_loses_nothing_untold_and_repeats_nothing() {
    let missing: usize = (0..6).map(put_back).sum();
    assert!(missing > 0, "no sequence was used twice: the runs show nothing");
}
