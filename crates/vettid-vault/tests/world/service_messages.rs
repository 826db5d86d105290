//! Messages of the shop: taken once, told unless muted, so many in any hour and no more, and never a word about who reads them.

use crate::contracts::{answer, offer};
use crate::enforcement::refused;
use crate::flows::{request_id, send};
use crate::shop::contract;
use crate::town::{ALICE, Faults, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::contract::contract_hash;
use vettid_wire::contract::{Contract, Permission};
use vettid_wire::event::{EventRow, FeedItem};
use vettid_wire::feed::{MarkedEntry, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::service_message::{MessageAccepted, ServiceMessageList, ServiceMessageView};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

const SEND: &str = "service_message.send";
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn writes(number: Option<u32>) -> Contract {
    let mut contract = contract();
    contract.permissions.push(Permission::SendMessages);
    contract.notifications_per_hour = number;
    contract
}

fn town_with(seed: u64, contract: Contract) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    town.shop.contract = contract;
    let id = town.connect_shop();
    (town, id)
}

fn message(town: &Town, id: RequestId, subject: &str) -> Value {
    json!({"message_id": id, "service_id": "demo-shop", "connection_id": town.shop.connection_id.unwrap(),
        "contract_hash": contract_hash(&town.shop.contract).unwrap(), "kind": "information", "subject": subject,
        "text": "It comes on Tuesday."})
}

/// The shop writes; its receipt.
fn taken(town: &mut Town, body: Value) -> MessageAccepted {
    let id = body["message_id"].clone();
    let answer = send(town, SEND, body);
    assert_eq!(town.shop.last().0, "service_message.accepted", "{answer}");
    town.shop.check_proof(&answer);
    assert_eq!(answer["message_id"], id);
    vjson::from_value(answer).unwrap()
}

fn write(town: &mut Town, subject: &str) -> MessageAccepted {
    let id = request_id(town);
    let body = message(town, id, subject);
    taken(town, body)
}

fn list(town: &mut Town) -> ServiceMessageList {
    town.ask(ALICE, "service_message.list", json!({"limit": 100})).unwrap()
}

fn subjects(town: &mut Town) -> Vec<String> {
    list(town).messages.into_iter().map(|message| message.subject).collect()
}

/// How often an app was told of something in the feed.
fn pushes(town: &Town) -> usize {
    let is_push =
        |subject: &Subject| matches!(subject, Subject::ForApp(_, name, _) if *name == FeedItem::ROW.event_type());
    town.answers.values().flatten().filter(|(subject, _)| is_push(subject)).count()
}

#[test]
fn a_message_is_taken_told_read_and_removed_and_the_shop_learns_the_first_alone() {
    let (mut town, id) = town_with(1, writes(Some(3)));
    let before = pushes(&town);
    let at = town.now;
    let accepted = write(&mut town, "See https://shop.example");
    assert!((at..=town.now).contains(&accepted.accepted_at));
    assert_eq!(pushes(&town), before + 1);
    let told = town.feed(ALICE).entries.remove(0);
    assert_eq!((told.severity, told.summary.as_str()), (Severity::Info, "Shop wrote: See https[:]//shop.example"));
    let listed = list(&mut town);
    assert!(listed.muted.is_empty());
    let [summary] = listed.messages.as_slice() else { panic!("{listed:?}") };
    assert_eq!((summary.notified, summary.read_at, summary.message_id), (true, None, accepted.message_id));
    let answers = town.shop.got.len();
    let named = json!({"connection_id": id, "message_id": accepted.message_id});
    town.now = town.now.plus_ms(MINUTE_MS);
    let view: ServiceMessageView = town.ask(ALICE, "service_message.read", named.clone()).unwrap();
    assert_eq!((view.text.as_str(), view.message.read_at.is_some()), ("It comes on Tuesday.", true));
    let unread: ServiceMessageList =
        town.ask(ALICE, "service_message.list", json!({"unread": true, "limit": 9})).unwrap();
    assert!(unread.messages.is_empty());
    let _: Value = town.ask(ALICE, "service_message.remove", named.clone()).unwrap();
    assert!(subjects(&mut town).is_empty());
    for name in ["service_message.read", "service_message.remove"] {
        assert_eq!(town.ask::<Value>(ALICE, name, named.clone()), Err(RefusalCode::NotFound));
    }
    town.run();
    assert_eq!(town.shop.got.len(), answers, "the shop hears nothing of what became of its message");
    town.check(ALICE);
}

#[test]
fn the_same_message_is_taken_once_and_another_under_its_id_never() {
    let (mut town, id) = town_with(2, writes(Some(1)));
    let message_id = request_id(&mut town);
    let body = message(&town, message_id, "One");
    let first = taken(&mut town, body.clone());
    let before = pushes(&town);
    for _ in 0..3 {
        town.now = town.now.plus_ms(MINUTE_MS);
        let again = taken(&mut town, body.clone());
        assert_eq!(again.accepted_at, first.accepted_at);
    }
    assert_eq!((subjects(&mut town), pushes(&town)), (vec!["One".to_owned()], before));
    let other = message(&town, message_id, "Another");
    assert_eq!(refused(&mut town, SEND, other).0, RefusalCode::Conflict);
    // Removed it stays removed.
    let _: Value =
        town.ask(ALICE, "service_message.remove", json!({"connection_id": id, "message_id": message_id})).unwrap();
    assert_eq!(taken(&mut town, body).accepted_at, first.accepted_at);
    assert!(subjects(&mut town).is_empty());
    town.check(ALICE);
}

/// The refusal of one message more, and when it says that there is room again.
fn one_too_many(town: &mut Town) -> Timestamp {
    let id = request_id(town);
    let body = message(town, id, "Too many");
    let found = refused(town, SEND, body);
    let notifications = Some("notifications".to_owned());
    assert_eq!(found, (RefusalCode::RateLimited, Severity::Warning, notifications));
    vjson::from_value(town.shop.last().1["retry_at"].clone()).unwrap()
}

#[test]
fn what_is_over_the_number_is_refused_with_a_time_and_never_comes_later() {
    let (mut town, _) = town_with(3, writes(Some(2)));
    let first = write(&mut town, "First").accepted_at;
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    let second = write(&mut town, "Second").accepted_at;
    let retry_at = one_too_many(&mut town);
    assert_eq!(retry_at, first.plus_ms(HOUR_MS));
    town.now = retry_at.plus_ms(-1);
    assert_eq!(one_too_many(&mut town), retry_at);
    town.now = retry_at;
    write(&mut town, "Third");
    assert_eq!(one_too_many(&mut town), second.plus_ms(HOUR_MS));
    town.nodes[ALICE].crash();
    assert_eq!(one_too_many(&mut town), second.plus_ms(HOUR_MS));
    town.now = town.now.plus_ms(24 * HOUR_MS);
    town.tick();
    town.run();
    assert_eq!(subjects(&mut town), ["Third", "Second", "First"]);
    town.check(ALICE);
}

#[test]
fn each_check_refuses_in_its_order() {
    let wanted = |code, severity, check: &str| (code, severity, Some(check.to_owned()));
    let try_one = |contract: Contract, change: fn(&mut Value)| {
        let (mut town, _) = town_with(4, contract);
        let id = request_id(&mut town);
        let mut body = message(&town, id, "One");
        change(&mut body);
        let found = refused(&mut town, SEND, body);
        assert!(subjects(&mut town).is_empty());
        found
    };
    let as_is = |_: &mut Value| {};
    let permission = wanted(RefusalCode::NotInContract, Severity::Alarm, "permission");
    assert_eq!(try_one(contract(), as_is), permission);
    assert_eq!(try_one(writes(None), as_is), permission);
    assert_eq!(try_one(Contract { notifications_per_hour: Some(2), ..contract() }, as_is), permission);
    let other = |body: &mut Value| body["contract_hash"] = "A".repeat(43).into();
    let mismatch = wanted(RefusalCode::ContractMismatch, Severity::Notice, "contract_current");
    assert_eq!(try_one(contract(), other), mismatch);
    for change in [
        (|body| body["text"] = "a\u{202e}b".into()) as fn(&mut Value),
        |body| body["subject"] = "a\u{1b}[31mb".into(),
        |body| body["text"] = "x".repeat(4_001).into(),
        |body| body["subject"] = "".into(),
    ] {
        assert_eq!(try_one(writes(Some(2)), change).0, RefusalCode::InvalidRequest);
    }
    assert_eq!(try_one(writes(Some(2)), |body| body["service_id"] = "other".into()).0, RefusalCode::NotAllowed);
    assert_eq!(try_one(writes(Some(2)), |body| body["extra"] = 1.into()).0, RefusalCode::InvalidRequest);
}

#[test]
fn a_muted_service_is_stored_in_silence_and_does_not_learn_it() {
    let (mut town, id) = town_with(5, writes(Some(3)));
    let until = town.now.plus_ms(30 * MINUTE_MS);
    let mute = |town: &mut Town, mute: Value| {
        let body = json!({"connection_id": id, "mute": mute});
        town.ask::<Value>(ALICE, "service_message.mute", body).map(drop)
    };
    let past = town.now;
    assert_eq!(mute(&mut town, json!({"until": past})), Err(RefusalCode::InvalidRequest));
    mute(&mut town, json!({"until": until})).unwrap();
    assert_eq!(list(&mut town).muted.len(), 1);
    let before = pushes(&town);
    write(&mut town, "In silence");
    assert_eq!(pushes(&town), before, "nobody is told");
    let entry = town.feed(ALICE).entries.remove(0);
    let marked: MarkedEntry = town.ask(ALICE, "feed.get", json!({"number": entry.number})).unwrap();
    assert!(marked.is_read, "it does not count as unseen: {marked:?}");
    assert!(!list(&mut town).messages[0].notified);
    town.now = until;
    assert!(list(&mut town).muted.is_empty(), "the time of the mute is over");
    write(&mut town, "Aloud");
    assert_eq!((pushes(&town), list(&mut town).messages[0].notified), (before + 1, true));
    // Without an end it holds until the owner says otherwise; the number of the hour counts all the same.
    mute(&mut town, json!({})).unwrap();
    let before = pushes(&town);
    write(&mut town, "In silence again");
    assert_eq!(pushes(&town), before);
    one_too_many(&mut town);
    mute(&mut town, Value::Null).unwrap();
    assert!(list(&mut town).muted.is_empty());
    town.check(ALICE);
}

#[test]
fn a_rule_may_deny_messages_and_a_frozen_contract_gives_none() {
    let (mut town, id) = town_with(6, writes(Some(9)));
    write(&mut town, "Before");
    let rule = json!({"rule": {"rule_id": "no-letters", "outcome": "deny", "event_type": SEND}});
    let _: Value = town.ask(ALICE, "rule.set", rule).unwrap();
    let denied = request_id(&mut town);
    let body = message(&town, denied, "Denied");
    assert_eq!(refused(&mut town, SEND, body).0, RefusalCode::Denied);
    let _: Value = town.ask(ALICE, "rule.remove", json!({"rule_id": "no-letters"})).unwrap();
    write(&mut town, "Allowed");
    let next = Contract { contract_version: 2, ..writes(Some(1)) };
    offer(&mut town, &next);
    let frozen = request_id(&mut town);
    let body = message(&town, frozen, "Frozen");
    assert_eq!(refused(&mut town, SEND, body).0, RefusalCode::ContractFrozen);
    answer(&mut town, id, &next, true, &[]).unwrap();
    town.shop.contract = next;
    // What was sent under the version before counts in the hour of the new one.
    one_too_many(&mut town);
    town.now = town.now.plus_ms(HOUR_MS);
    write(&mut town, "After");
    assert_eq!(subjects(&mut town), ["After", "Allowed", "Before"]);
    town.check(ALICE);
}

#[test]
fn a_message_that_waited_too_long_is_refused_and_after_the_end_nothing_comes() {
    let (mut town, id) = town_with(7, writes(Some(9)));
    write(&mut town, "In time");
    town.shop.expires_at = Some(town.now.plus_ms(-1));
    let late = request_id(&mut town);
    let body = message(&town, late, "Late");
    assert_eq!(refused(&mut town, SEND, body).0, RefusalCode::Expired);
    town.shop.expires_at = None;
    let _: Value = town.ask(ALICE, "service_message.mute", json!({"connection_id": id, "mute": {}})).unwrap();
    let _: Value =
        town.ask(ALICE, "connection.revoke", json!({"connection_id": id, "reason": "user_requested"})).unwrap();
    town.run();
    let count = town.shop.got.len();
    let over = request_id(&mut town);
    let body = message(&town, over, "Over");
    send(&mut town, SEND, body);
    assert_eq!(town.shop.got.len(), count);
    // What was written stays with its owner; nobody is muted any more.
    assert_eq!(subjects(&mut town), ["In time"]);
    assert!(list(&mut town).muted.is_empty());
    let again = town.ask::<Value>(ALICE, "service_message.mute", json!({"connection_id": id, "mute": {}}));
    assert_eq!(again, Err(RefusalCode::NotFound));
    town.check(ALICE);
}

#[test]
fn on_a_bad_day_each_message_is_stored_once() {
    for seed in 20..32 {
        let (mut town, _) = town_with(seed, writes(Some(60)));
        town.faults = Faults { lose: 15, repeat: 30, crash: 15, reorder: true };
        let mut letters = Vec::new();
        for number in 0..8 {
            let id = request_id(&mut town);
            let body = message(&town, id, &format!("Number {number}"));
            for _ in 0..2 {
                let (_, letter) = town.shop.seal(SEND, body.clone(), town.now, &mut town.rng);
                letters.push(letter);
            }
        }
        for (subject, bytes) in letters {
            town.post(subject, bytes);
        }
        town.run();
        town.faults = Faults::default();
        town.run();
        let mut found = subjects(&mut town);
        found.sort();
        assert_eq!(found, (0..8).map(|number| format!("Number {number}")).collect::<Vec<_>>(), "seed {seed}");
        town.check(ALICE);
    }
}
