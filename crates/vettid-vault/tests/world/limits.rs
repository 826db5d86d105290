//! How much each sender may send: the last one that is taken, the first one that is not, and what a restart leaves of it.

use crate::flows::request_id;
use crate::town::{ALICE, BOB, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_vault::manager::Handled;
use vettid_wire::contract::Rate;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

type Letter = (Subject, Vec<u8>);

/// Texts of Bob that wait for Alice.
fn texts(town: &mut Town, id: ConnectionId, count: usize, text: &str) -> Vec<Letter> {
    for n in 0..count {
        let _: Value =
            town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": format!("{n} {text}")})).unwrap();
    }
    let waiting = town.take_inbox(town.nodes[ALICE].guid);
    assert_eq!(waiting.len(), count);
    waiting
}

fn give(town: &mut Town, letter: &Letter) -> Handled {
    town.give(ALICE, vec![letter.clone()]).unwrap()[0]
}

fn received(town: &mut Town, id: ConnectionId) -> usize {
    town.texts(ALICE, id, "received").len()
}

/// Codes of the refusals that wait for Bob.
fn refusals(town: &mut Town) -> usize {
    let is_refusal =
        |subject: &Subject| matches!(subject, Subject::ForOwner(_, _, name) if name.as_str() == "event.refused");
    town.take_inbox(town.nodes[BOB].guid).iter().filter(|(subject, _)| is_refusal(subject)).count()
}

#[test]
fn an_app_commands_six_hundred_times_a_minute_also_over_restarts() {
    let mut town = Town::new(60);
    town.enrol(ALICE);
    town.now = town.now.plus_ms(MINUTE_MS);
    let health = |town: &mut Town| town.ask::<Value>(ALICE, "vault.health", json!({}));
    let commits = town.nodes[ALICE].commits();
    for _ in 0..600 {
        health(&mut town).unwrap();
    }
    assert!(town.nodes[ALICE].commits() - commits <= 600 / 64 + 1, "a command that reads needs no commit");
    let before = town.nodes[ALICE].vault.state().all();
    assert_eq!(health(&mut town), Err(RefusalCode::RateLimited));
    town.nodes[ALICE].crash();
    assert_eq!(health(&mut town), Err(RefusalCode::RateLimited));
    assert_eq!(town.nodes[ALICE].vault.state().all().len(), before.len());
    town.now = town.now.plus_ms(MINUTE_MS);
    health(&mut town).unwrap();
}

#[test]
fn a_connection_sends_sixty_messages_a_minute_also_over_restarts() {
    let mut town = Town::settled(61);
    let id = town.connect();
    let letters = texts(&mut town, id, 62, "x");
    for letter in &letters[..60] {
        assert_eq!(give(&mut town, letter), Handled::Done);
    }
    let commits = town.nodes[ALICE].commits();
    assert_eq!(give(&mut town, &letters[60]), Handled::Later(1000));
    town.nodes[ALICE].crash();
    assert_eq!(give(&mut town, &letters[60]), Handled::Later(1000));
    assert_eq!(town.nodes[ALICE].commits(), commits, "what is held back is not written");
    town.now = town.now.plus_ms(1000);
    assert_eq!(give(&mut town, &letters[60]), Handled::Done);
    assert_eq!(give(&mut town, &letters[61]), Handled::Later(1000));
    town.now = town.now.plus_ms(1000);
    assert_eq!(give(&mut town, &letters[61]), Handled::Done);
    assert_eq!(received(&mut town, id), 62, "nothing is lost");
    town.check(ALICE);
}

/// Alice was away for hours, and Bob wrote twice a minute: she finds all of it at once.
#[test]
fn what_was_written_to_somebody_who_was_away_arrives_at_once() {
    let mut town = Town::settled(66);
    let id = town.connect();
    for n in 0..190 {
        let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": format!("{n}")})).unwrap();
        town.now = town.now.plus_ms(MINUTE_MS / 2);
    }
    for letter in town.take_inbox(town.nodes[ALICE].guid) {
        assert_eq!(give(&mut town, &letter), Handled::Done);
    }
    assert_eq!(received(&mut town, id), 190);
    assert_eq!(refusals(&mut town), 0);
}

/// Held back up to two minutes, then refused in words as often as a minute allows messages, then dropped.
#[test]
fn a_flood_of_a_connection_is_told_and_then_costs_no_writes() {
    let mut town = Town::settled(62);
    let id = town.connect();
    let letters = texts(&mut town, id, 60 + 120 + 60 + 20, "x");
    let handled: Vec<Handled> = letters.iter().map(|letter| give(&mut town, letter)).collect();
    assert!(handled[..60].iter().all(|handled| *handled == Handled::Done));
    assert!(handled[60..180].iter().all(|handled| matches!(handled, Handled::Later(_))));
    assert!(handled[180..].iter().all(|handled| *handled == Handled::Done));
    assert_eq!(refusals(&mut town), 60);
    assert_eq!(town.nodes[ALICE].vault.dropped(), 20);
    assert_eq!(received(&mut town, id), 60);
    // What was refused stays refused.
    town.now = town.now.plus_ms(MINUTE_MS);
    assert_eq!(give(&mut town, &letters[180]), Handled::Done);
    assert_eq!(received(&mut town, id), 60);
    assert_eq!(refusals(&mut town), 1, "a repetition gets the answer of the first");
    town.check(ALICE);
}

#[test]
fn the_bytes_of_a_connection_are_counted() {
    let mut town = Town::settled(63);
    let id = town.connect();
    let letters = texts(&mut town, id, 4, &"x".repeat(5000));
    let three: usize = letters[..3].iter().map(|(_, bytes)| bytes.len()).sum();
    let bytes = Rate { count: u32::try_from(three).unwrap(), per_seconds: 3600 };
    let connection = Limit { bytes: Some(bytes), ..Limit::CONNECTION };
    town.nodes[ALICE].limit(Limits { connection, ..Limits::default() });
    for letter in &letters[..3] {
        assert_eq!(give(&mut town, letter), Handled::Done);
        town.nodes[ALICE].crash();
    }
    assert!(matches!(give(&mut town, &letters[3]), Handled::Later(_)));
    town.now = town.now.plus_ms(60 * MINUTE_MS);
    assert_eq!(give(&mut town, &letters[3]), Handled::Done);
}

/// A request has little time, so it is not held back but refused at once.
#[test]
fn requests_of_a_service_over_the_limit_are_refused_in_words() {
    let mut town = Town::settled(64);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "email", "value": "a"})).unwrap();
    town.connect_shop();
    let messages = Rate { count: 6, per_seconds: 60 };
    town.now = town.now.plus_ms(MINUTE_MS);
    let connection = Limit { messages, ..Limit::CONNECTION };
    town.nodes[ALICE].limit(Limits { connection, ..Limits::default() });
    let (before, mut last) = (town.shop.got.len(), None);
    for _ in 0..7 {
        let id = request_id(&mut town);
        let body = town.shop.data_request("email", id);
        let (_, letter) = town.shop.seal("data.request", body, town.now, &mut town.rng);
        town.nodes[ALICE].crash();
        assert_eq!(give(&mut town, &letter), Handled::Done);
        last = Some(letter);
    }
    assert_eq!(give(&mut town, &last.unwrap()), Handled::Done, "it is not answered twice");
    for (subject, bytes) in town.take_inbox(town.shop.guid) {
        town.shop.receive(&subject, &bytes, town.now, &mut town.rng);
    }
    let answers: Vec<_> =
        town.shop.got[before..].iter().map(|(name, body, _)| (name.as_str(), &body["code"])).collect();
    let served = answers.iter().filter(|(name, _)| *name == "data.response").count();
    assert_eq!((served, answers.len()), (6, 7), "{answers:?}");
    assert_eq!(answers.last(), Some(&("event.refused", &json!("rate_limited"))));
}

#[test]
fn a_hundred_messages_that_do_not_open_pause_their_connection_alone() {
    let mut town = Town::settled(65);
    let id = town.connect();
    town.connect_shop();
    let letters = texts(&mut town, id, 70, "x");
    let (subject, bytes) = letters[0].clone();
    let garbage: Letter = (subject.clone(), vec![b'{'; 300]);
    let mut changed = bytes;
    let at = changed.len() - 100;
    changed[at] ^= 1;
    let commits = town.nodes[ALICE].commits();
    for n in 0..100 {
        let letter = if n % 2 == 0 { garbage.clone() } else { (subject.clone(), changed.clone()) };
        assert_eq!(give(&mut town, &letter), Handled::Done);
    }
    assert_eq!(town.nodes[ALICE].commits(), commits, "what does not open causes no write");
    assert_eq!(give(&mut town, &letters[0]), Handled::Done, "a hundred of them change nothing yet");
    let commits = town.nodes[ALICE].commits();
    assert_eq!(give(&mut town, &garbage), Handled::Done);
    assert_eq!(town.nodes[ALICE].vault.dropped(), 101);
    for letter in &letters[1..65] {
        assert_eq!(give(&mut town, letter), Handled::Later(10_000), "nothing is opened in a pause");
    }
    assert_eq!(give(&mut town, &letters[65]), Handled::Done, "no more than that is held back");
    assert_eq!(town.nodes[ALICE].vault.dropped(), 102);
    assert_eq!(town.nodes[ALICE].commits(), commits);
    let request = request_id(&mut town);
    let body = town.shop.data_request("email", request);
    let (_, letter) = town.shop.seal("data.request", body, town.now, &mut town.rng);
    assert_eq!(give(&mut town, &letter), Handled::Done, "others are not paused");
    assert_eq!(town.nodes[ALICE].commits(), commits + 1);
    town.now = town.now.plus_ms(10_000);
    assert_eq!(give(&mut town, &letters[1]), Handled::Done);
    assert_eq!(received(&mut town, id), 2);
}

/// A broker that was killed delivers again what was handled long ago. The keys of its epoch are gone, and good messages behind it
/// must not suffer for that.
#[test]
fn repetitions_from_a_closed_epoch_pause_nobody() {
    let mut town = Town::settled(67);
    let id = town.connect();
    let letters = texts(&mut town, id, 30, "x");
    for letter in &letters {
        assert_eq!(give(&mut town, letter), Handled::Done);
    }
    town.run();
    let _: Value = town.ask(BOB, "connection.rotate", json!({})).unwrap();
    town.run();
    let dropped = town.nodes[ALICE].vault.dropped();
    for _ in 0..5 {
        for letter in &letters {
            assert_eq!(give(&mut town, letter), Handled::Done);
        }
    }
    assert_eq!(town.nodes[ALICE].vault.dropped() - dropped, 150, "the epoch is closed");
    let later = texts(&mut town, id, 1, "later");
    assert_eq!(give(&mut town, &later[0]), Handled::Done);
    assert_eq!(received(&mut town, id), 31);

    // What was never taken up is no repetition.
    let (subject, bytes) = letters[0].clone();
    let mut envelope: Value = serde_json::from_slice(&bytes).unwrap();
    for n in 0..101 {
        envelope["event_id"] = format!("01a1ff6e-a389-7c2d-8bfd-{n:012x}").into();
        give(&mut town, &(subject.clone(), serde_json::to_vec(&envelope).unwrap()));
    }
    let later = texts(&mut town, id, 1, "too late");
    assert_eq!(give(&mut town, &later[0]), Handled::Later(10_000));
}
