//! A vault that comes back from an earlier state: it waits for its owner's word, its peers believe nobody else, and what cannot
//! be known any more is not done again.

use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::resync;
use vettid_crypto::identity::SigningKey;

use vettid_vault::manager::{Event, Handled};
use vettid_vault::outbox::Post;
use vettid_wire::connection::{ConnectionState, ConnectionView};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MessageList, MessageView, MessagingSettings, Sent};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::{RestoreVault, Restoring};
use vettid_wire::session::VaultHealth;
use vettid_wire::subject::Subject;

fn write(town: &mut Town, who: usize, id: ConnectionId, text: &str) -> EventId {
    let sent: Sent = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
    sent.message_id
}

fn message(town: &mut Town, who: usize, id: ConnectionId, message_id: EventId) -> MessageView {
    town.ask(who, "messaging.get", json!({"connection_id": id, "message_id": message_id})).unwrap()
}

fn health(town: &mut Town, who: usize) -> VaultHealth {
    town.ask(who, "vault.health", json!({})).unwrap()
}

fn told(town: &mut Town, who: usize, what: &str) -> usize {
    town.feed(who).entries.iter().filter(|entry| entry.summary.contains(what)).count()
}

#[test]
fn a_vault_that_was_put_back_takes_and_sends_nothing_before_its_owners_word() {
    let mut town = Town::settled(3_100);
    let id = town.connect();
    write(&mut town, ALICE, id, "waits in the outbox");
    let backup = town.nodes[ALICE].backup();
    town.run();
    write(&mut town, BOB, id, "for Alice");
    let waiting = town.take_inbox(town.nodes[ALICE].guid);
    town.nodes[ALICE].put_back(town.now, &mut town.rng, &backup);
    town.resume(ALICE, false);
    assert_eq!(town.nodes[ALICE].vault.waiting().unwrap(), [], "nothing leaves");
    let handled = town.give(ALICE, waiting.clone()).unwrap();
    assert!(handled.iter().all(|done| matches!(done, Handled::Later(_))), "it comes again: {handled:?}");
    let limited = town.ask::<Value>(ALICE, "connection.list", json!({})).unwrap_err();
    assert_eq!(limited, RefusalCode::Locked, "the app cannot prove a session that the vault does not know");
    // The word of somebody else, of another vault, of no higher incarnation.
    let stranger = SigningKey::random(&mut town.rng);
    let said = |town: &Town, number, key: &SigningKey| RestoreVault {
        incarnation: resync::incarnation(town.nodes[ALICE].guid, number, town.now, key).unwrap(),
        credential: None,
    };
    let forged = said(&town, 2, &stranger);
    assert_eq!(town.ask::<Value>(ALICE, "vault.restore", forged).unwrap_err(), RefusalCode::NotAllowed);
    let of_bob = town.word(BOB, 2);
    assert_eq!(town.ask::<Value>(ALICE, "vault.restore", of_bob).unwrap_err(), RefusalCode::NotAllowed);
    let same = town.word(ALICE, 1);
    assert_eq!(town.ask::<Value>(ALICE, "vault.restore", same).unwrap_err(), RefusalCode::Conflict);
    let word = town.word(ALICE, 2);
    let expected = Restoring { incarnation: 2, needs_password: false };
    assert_eq!(town.ask::<Restoring>(ALICE, "vault.restore", &word).unwrap(), expected);
    assert_eq!(town.ask::<Restoring>(ALICE, "vault.restore", &word).unwrap(), expected, "said twice");
    waiting.into_iter().for_each(|(subject, bytes)| town.post(subject, bytes));
    let health = health(&mut town, ALICE);
    assert_eq!((health.incarnation, health.awaits_restore, health.reconciling), (2, false, 1));
    town.run();
    assert_eq!(town.texts(ALICE, id, "received"), [(1, "for Alice".to_owned())]);
    assert_eq!(town.texts(BOB, id, "received"), [(1, "waits in the outbox".to_owned())]);
    let again = town.word(ALICE, 3);
    assert_eq!(town.ask::<Value>(ALICE, "vault.restore", again).unwrap_err(), RefusalCode::NotAllowed, "not put back");
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

#[test]
fn both_conversations_end_equal_with_reactions_receipts_and_numbers() {
    let mut town = Town::settled(3_101);
    let id = town.connect();
    let early = write(&mut town, ALICE, id, "early");
    town.run();
    let backup = town.nodes[ALICE].backup();
    // The keys of the earlier state are closed on both sides.
    for _ in 0..3 {
        let _: Value = town.ask(BOB, "connection.rotate", json!({})).unwrap();
        town.run();
    }
    let lost = write(&mut town, ALICE, id, "lost");
    let answer = write(&mut town, BOB, id, "answer");
    town.run();
    let react = |message_id, symbol: &str| json!({"connection_id": id, "message_id": message_id, "symbol": symbol});
    let _: Value = town.ask(BOB, "messaging.react", react(lost, "👍")).unwrap();
    let _: Value = town.ask(BOB, "messaging.react", react(early, "☕")).unwrap();
    let _: Value = town.ask(ALICE, "messaging.react", react(answer, "❤")).unwrap();
    let _: Value = town.ask(BOB, "messaging.read", json!({"connection_id": id})).unwrap();
    let wish = json!({"connection_id": id, "disappear_after_s": 86_400});
    let _: MessagingSettings = town.ask(BOB, "messaging.settings", wish).unwrap();
    town.run();
    town.restore(ALICE, &backup);
    let view: ConnectionView = town.view(ALICE, id);
    assert_eq!(view.state, ConnectionState::Reconciling);
    let refused = town.ask::<Value>(ALICE, "messaging.send", json!({"connection_id": id, "text": "early"}));
    assert_eq!(refused.unwrap_err(), RefusalCode::NotConnected, "which numbers are free is not known yet");
    town.run();
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Active);
    let [back, before, theirs] = [lost, early, answer].map(|message_id| message(&mut town, ALICE, id, message_id));
    assert!(back.is_returned && back.delivered_at.is_some() && back.read_at.is_some(), "{back:?}");
    assert_eq!((back.peer_reaction.as_deref(), before.peer_reaction.as_deref()), (Some("👍"), Some("☕")));
    assert!(!before.is_returned && before.read_at.is_some() && !theirs.is_returned);
    let settings: MessagingSettings = town.ask(ALICE, "messaging.settings", json!({"connection_id": id})).unwrap();
    assert_eq!(settings.peer_disappear_after_s, Some(86_400));
    // The next reaction holds over the one that Alice does not know of any more, and the next number is free.
    let _: Value = town.ask(ALICE, "messaging.react", react(answer, "🎉")).unwrap();
    write(&mut town, ALICE, id, "after");
    town.run();
    assert_eq!(message(&mut town, BOB, id, answer).peer_reaction.as_deref(), Some("🎉"));
    let texts = ["early", "lost", "after"].map(str::to_owned);
    let expected: Vec<_> = (1..).zip(texts).collect();
    for (who, direction) in [(ALICE, "sent"), (BOB, "received")] {
        assert_eq!(town.texts(who, id, direction), expected, "{direction}");
    }
    assert_eq!(town.unreadable, 0);
    assert_eq!(told(&mut town, BOB, "Alice restored their vault"), 1);
    assert_eq!(told(&mut town, ALICE, "gives back what you wrote"), 1);
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

#[test]
fn what_comes_too_late_is_sent_anew_and_a_repeated_ask_changes_nothing() {
    let mut town = Town::settled(3_102);
    let id = town.connect();
    town.run();
    let backup = town.nodes[ALICE].backup();
    write(&mut town, ALICE, id, "before");
    town.run();
    // What the former vault sent last arrives after its owner restored it.
    write(&mut town, ALICE, id, "late");
    let late = town.take_inbox(town.nodes[BOB].guid);
    town.restore(ALICE, &backup);
    town.run();
    assert_eq!(town.texts(BOB, id, "received"), [(1, "before".to_owned())]);
    late.into_iter().for_each(|(subject, bytes)| town.post(subject, bytes));
    town.run();
    let expected = [(1, "before".to_owned()), (2, "late".to_owned())];
    assert_eq!(town.texts(BOB, id, "received"), expected, "it came by its writer, under a number of its own");
    assert_eq!(town.texts(ALICE, id, "sent"), expected);
    let bob = town.nodes[BOB].guid;
    let subject: Subject = Subject::ForOwner(bob, id, "connection.resync".parse().unwrap());
    let replayed: Vec<_> = town.log.iter().filter(|post| post.subject == subject).cloned().collect();
    assert!(!replayed.is_empty());
    for post in replayed {
        town.post(post.subject, post.bytes.as_bytes().to_vec());
    }
    town.run();
    town.resume(ALICE, true);
    write(&mut town, ALICE, id, "still here");
    town.run();
    assert_eq!(
        town.texts(BOB, id, "received").len(),
        3,
        "an ask that was answered changes nothing when it comes again"
    );
    assert_eq!(told(&mut town, BOB, "Alice restored their vault"), 1);
}

#[test]
fn both_restored_at_once_and_one_restored_twice_come_together() {
    let mut town = Town::settled(3_103);
    let id = town.connect();
    write(&mut town, ALICE, id, "one");
    town.run();
    let backups = [ALICE, BOB].map(|who| town.nodes[who].backup());
    write(&mut town, BOB, id, "known to Bob's app alone");
    write(&mut town, ALICE, id, "two");
    town.run();
    town.restore(ALICE, &backups[ALICE]);
    town.restore(BOB, &backups[BOB]);
    town.run();
    let views = [ALICE, BOB].map(|who| town.view(who, id).state);
    assert_eq!(views, [ConnectionState::Active; 2]);
    assert_eq!(town.texts(ALICE, id, "sent"), [(1, "one".to_owned())], "neither side has it any more");
    write(&mut town, BOB, id, "three");
    town.run();
    town.restore(ALICE, &backups[ALICE]);
    town.run();
    let _: Value = town.ask(ALICE, "connection.rotate", json!({})).unwrap();
    write(&mut town, ALICE, id, "four");
    town.run();
    assert_eq!(town.texts(ALICE, id, "received"), town.texts(BOB, id, "sent"));
    assert_eq!(town.texts(BOB, id, "received").last().unwrap().1, "four");
    town.now = town.now.plus_ms(2 * MINUTE_MS);
    for who in [ALICE, BOB] {
        let list: MessageList = town.ask(who, "messaging.list", json!({"connection_id": id})).unwrap();
        assert_eq!(list.missing, 0);
        town.check(who);
    }
}

#[test]
fn a_peer_that_was_away_for_long_answers_by_the_way_back() {
    let mut town = Town::settled(3_104);
    let id = town.connect();
    town.tick();
    for _ in 0..10 {
        town.pass_half_day();
    }
    [ALICE, BOB].into_iter().for_each(|who| town.resume(who, true));
    let backup = town.nodes[ALICE].backup();
    write(&mut town, BOB, id, "lost");
    town.run();
    // The credential of the earlier state ran out since.
    for _ in 0..24 {
        town.pass_half_day();
    }
    town.resume(BOB, true);
    town.restore(ALICE, &backup);
    town.run();
    assert_eq!(town.texts(ALICE, id, "received"), [(1, "lost".to_owned())]);
    town.now = town.now.plus_ms(DAY_MS);
    town.handle(ALICE, &[Event::Tick]);
    town.check(ALICE);
}
