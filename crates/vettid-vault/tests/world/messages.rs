//! Messages between two vaults: how far each came, what is missing, and what is told of it.

use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MessageList, MessageState, MessageView, Sent};

pub(crate) fn say(town: &mut Town, who: usize, id: ConnectionId, text: &str) -> EventId {
    let sent: Sent = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
    sent.message_id
}

pub(crate) fn list(town: &mut Town, who: usize, id: ConnectionId) -> MessageList {
    town.ask(who, "messaging.list", json!({"connection_id": id})).unwrap()
}

pub(crate) fn state(town: &mut Town, who: usize, id: ConnectionId, message: EventId) -> MessageState {
    let body = json!({"connection_id": id, "message_id": message});
    town.ask::<MessageView>(who, "messaging.get", body).unwrap().state()
}

#[test]
fn a_message_is_sent_delivered_and_read() {
    let mut town = Town::settled(60);
    let id = town.connect();
    town.away = Some(BOB);
    let message = say(&mut town, ALICE, id, "hello");
    assert_eq!(state(&mut town, ALICE, id, message), MessageState::Sent);
    town.away = None;
    town.run();
    assert_eq!(state(&mut town, ALICE, id, message), MessageState::Delivered);
    assert_eq!(list(&mut town, BOB, id).unread, 1);
    let marked: Value = town.ask(BOB, "messaging.read", json!({"connection_id": id})).unwrap();
    assert_eq!(marked, json!({"marked": 1, "has_more": false}));
    town.run();
    assert_eq!(state(&mut town, ALICE, id, message), MessageState::Read);
    assert_eq!(list(&mut town, BOB, id).unread, 0);
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

#[test]
fn whoever_switched_it_off_tells_nobody_what_was_read() {
    let mut town = Town::settled(61);
    let id = town.connect();
    let settings: Value =
        town.ask(BOB, "messaging.settings", json!({"connection_id": id, "read_receipts": false})).unwrap();
    assert_eq!(settings, json!({"read_receipts": false, "is_disappearing": false}));
    let message = say(&mut town, ALICE, id, "hello");
    town.run();
    let sent = town.log.len();
    let _: Value = town.ask(BOB, "messaging.read", json!({"connection_id": id})).unwrap();
    town.run();
    let left = town.log[sent..].iter().filter(|post| post.subject.to_string().contains("MessageSpace")).count();
    assert_eq!(left, 0);
    assert_eq!(state(&mut town, ALICE, id, message), MessageState::Delivered);
    let _: Value = town.ask(BOB, "messaging.settings", json!({"connection_id": id, "read_receipts": true})).unwrap();
    let message = say(&mut town, ALICE, id, "again");
    town.run();
    let _: Value = town.ask(BOB, "messaging.read", json!({"connection_id": id})).unwrap();
    town.run();
    assert_eq!(state(&mut town, ALICE, id, message), MessageState::Read);
}

#[test]
fn a_message_that_the_operator_kept_back_is_missed() {
    let mut town = Town::settled(62);
    let id = town.connect();
    for text in ["one", "two", "three"] {
        say(&mut town, ALICE, id, text);
    }
    let bob = town.nodes[BOB].guid;
    let mut inbox = town.take_inbox(bob);
    inbox.remove(1);
    inbox.into_iter().for_each(|(subject, bytes)| town.post(subject, bytes));
    town.run();
    assert_eq!(list(&mut town, BOB, id).missing, 0, "it may be late");
    town.now = town.now.plus_ms(2 * MINUTE_MS);
    town.resume(BOB, true);
    assert_eq!(list(&mut town, BOB, id).missing, 1);
    assert_eq!(town.texts(BOB, id, "received"), [(1, "one".to_owned()), (3, "three".to_owned())]);
}

/// The broker took the message, but nobody ever confirmed it.
#[test]
fn what_is_not_delivered_in_thirty_days_is_told_once() {
    let mut town = Town::settled(63);
    let id = town.connect();
    town.away = Some(BOB);
    let message = say(&mut town, ALICE, id, "hello");
    let bob = town.nodes[BOB].guid;
    town.take_inbox(bob);
    let told = |town: &mut Town| {
        let about = |summary: &str| summary.contains("was not delivered within 30 days");
        town.feed(ALICE).entries.iter().filter(|entry| about(&entry.summary)).count()
    };
    let pass = |town: &mut Town, ms: i64| {
        town.now = town.now.plus_ms(ms);
        town.tick();
        town.resume(ALICE, true);
        (state(town, ALICE, id, message), told(town))
    };
    assert_eq!(pass(&mut town, 10 * DAY_MS), (MessageState::Sent, 0));
    assert_eq!(pass(&mut town, 20 * DAY_MS - MINUTE_MS), (MessageState::Sent, 0));
    assert_eq!(pass(&mut town, 2 * MINUTE_MS), (MessageState::Failed, 1));
    assert_eq!(pass(&mut town, 5 * DAY_MS), (MessageState::Failed, 1));
    town.check(ALICE);
}

#[test]
fn replies_and_reactions_reach_the_other_side() {
    let mut town = Town::settled(64);
    let id = town.connect();
    let message = say(&mut town, ALICE, id, "hello");
    town.run();
    let reply = json!({"connection_id": id, "text": "hi", "reply_to": message});
    let _: Sent = town.ask(BOB, "messaging.send", reply).unwrap();
    for symbol in ["👍", "🎉"] {
        let reaction = json!({"connection_id": id, "message_id": message, "symbol": symbol});
        let _: Value = town.ask(BOB, "messaging.react", reaction).unwrap();
    }
    town.run();
    let messages = list(&mut town, ALICE, id).messages;
    assert_eq!(messages[0].peer_reaction.as_deref(), Some("🎉"));
    assert_eq!((messages[1].text.as_str(), messages[1].reply_to), ("hi", Some(message)));
    let back = json!({"connection_id": id, "message_id": message});
    let _: Value = town.ask(BOB, "messaging.react", back).unwrap();
    town.run();
    assert_eq!(list(&mut town, ALICE, id).messages[0].peer_reaction, None);
    assert_eq!(list(&mut town, BOB, id).messages[0].own_reaction, None);
}

/// Both sides want it: the message goes on both sides at its time, from the list, the state and the feed.
#[test]
fn what_both_want_to_disappear_leaves_nothing_on_either_side() {
    let mut town = Town::settled(65);
    let id = town.connect();
    for who in [ALICE, BOB] {
        let wish = json!({"connection_id": id, "disappear_after_s": 600});
        let _: Value = town.ask(who, "messaging.settings", wish).unwrap();
        town.run();
    }
    let before: Vec<_> = [ALICE, BOB].iter().map(|&who| entries(&mut town, who)).collect();
    let canary = "this will not stay";
    say(&mut town, ALICE, id, canary);
    town.run();
    assert_eq!(list(&mut town, BOB, id).messages[0].text, canary);
    town.now = town.now.plus_ms(9 * MINUTE_MS);
    (0..3).for_each(|_| town.tick());
    assert_eq!((list(&mut town, ALICE, id).messages.len(), list(&mut town, BOB, id).messages.len()), (1, 1));
    town.now = town.now.plus_ms(MINUTE_MS);
    (0..3).for_each(|_| town.tick());
    for who in [ALICE, BOB] {
        assert!(list(&mut town, who, id).messages.is_empty());
        assert_eq!(entries(&mut town, who), before[who]);
        let state = town.nodes[who].vault.state().all();
        let holds = |value: &Vec<u8>| String::from_utf8_lossy(value).contains(canary);
        let left: Vec<_> =
            state.iter().filter(|(_, value)| value.as_ref().is_some_and(holds)).map(|(key, _)| key).collect();
        assert!(left.is_empty(), "{left:?}");
        town.check(who);
    }
}

/// Entries of the feed about messages.
fn entries(town: &mut Town, who: usize) -> usize {
    let about = |kind: &str| ["messaging.text", "messaging.send"].contains(&kind);
    town.feed(who).entries.iter().filter(|entry| about(entry.event_type.as_str())).count()
}
