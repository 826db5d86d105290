//! What the vault keeps apart: as it came, without an effect, and up to a bound.

use crate::town::{ALICE, BOB, Town};
use serde_json::{Value, json};
use vettid_vault::manager::{Event, Handled};
use vettid_vault::quarantine::{MOST, MOST_BYTES_OF_ONE};
use vettid_wire::subject::Subject;

fn told(town: &mut Town) -> usize {
    town.feed(ALICE).entries.iter().filter(|entry| entry.event_type.as_str() == "event.quarantined").count()
}

fn kept(town: &Town) -> u64 {
    town.nodes[ALICE].vault.quarantined().unwrap().messages
}

fn a_text(town: &mut Town) -> (Subject, Vec<u8>) {
    let id = town.connect();
    let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": "t"})).unwrap();
    town.take_inbox(town.nodes[ALICE].guid).remove(0)
}

#[test]
fn a_message_in_quarantine_never_runs() {
    let mut town = Town::settled(70);
    let (subject, bytes) = a_text(&mut town);
    town.handle(ALICE, &[Event::Quarantine { subject: subject.clone(), bytes: bytes.clone() }]);
    assert_eq!((kept(&town), told(&mut town)), (1, 1));
    town.nodes[ALICE].crash();
    let before = town.nodes[ALICE].vault.state().all();
    assert_eq!(town.give(ALICE, vec![(subject, bytes)]), Some(vec![Handled::Done]));
    assert_eq!(town.nodes[ALICE].vault.state().all(), before);
}

#[test]
fn a_full_quarantine_loses_nothing_that_it_holds() {
    let mut town = Town::settled(71);
    let (subject, _) = a_text(&mut town);
    let quarantine = |n: u64| Event::Quarantine { subject: subject.clone(), bytes: n.to_be_bytes().to_vec() };
    for n in 0..MOST {
        town.handle(ALICE, &[quarantine(n)]);
    }
    assert_eq!(kept(&town), MOST);
    let holds = |town: &Town| {
        let state = town.nodes[ALICE].vault.state().all();
        state.into_iter().filter(|(key, _)| key.starts_with("quarantine/")).collect::<Vec<_>>()
    };
    let before = holds(&town);
    let feed =
        |town: &Town| town.nodes[ALICE].vault.state().all().keys().filter(|key| key.starts_with("feed/")).count();
    let fed = feed(&town);
    for n in MOST..MOST + 3 {
        town.handle(ALICE, &[quarantine(n)]);
    }
    assert_eq!(holds(&town), before);
    assert_eq!(feed(&town), fed + 1, "the owner is told once");
}

#[test]
fn a_message_that_no_record_could_hold_stays_out() {
    let mut town = Town::settled(72);
    let (subject, _) = a_text(&mut town);
    for (size, count) in [(MOST_BYTES_OF_ONE + 1, 0), (MOST_BYTES_OF_ONE, 1)] {
        town.handle(ALICE, &[Event::Quarantine { subject: subject.clone(), bytes: vec![7; size] }]);
        assert_eq!(kept(&town), count);
    }
}
