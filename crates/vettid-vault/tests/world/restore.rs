//! A vault that comes back from an earlier state: it waits for its owner's word, its peers believe nobody else, and what cannot
//! be known any more is not done again.

use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use crate::wallet::Wallet;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::channel::Channel;
use vettid_core::credential::RESTORE;
use vettid_core::resync;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{Context, sign_object};
use vettid_vault::manager::{Event, Handled};
use vettid_wire::connection::{ConnectionState, ConnectionView};
use vettid_wire::credential::{CredentialStatus, ReplenishKeys, ReplenishedKeys, UseStatus};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MessageList, MessageView, MessagingSettings, Sent};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::{KnownCredential, RestoreVault, Restoring};
use vettid_wire::session::VaultHealth;
use vettid_wire::subject::Subject;

const PASSWORD: &str = "correct horse battery";

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
    let _: Value = town.ask(ALICE, "profile.update", json!({"public": {"first_name": "Alicia"}})).unwrap();
    town.tick();
    town.run();
    assert_eq!(town.view(BOB, id).display_name, "Alicia");
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
    for _ in 0..2 {
        town.tick();
        town.run();
    }
    let view = town.view(BOB, id);
    assert_eq!((view.display_name.as_str(), view.profile_stale), ("Alice", false), "what she says today");
    let [back, before, theirs] = [lost, early, answer].map(|message_id| message(&mut town, ALICE, id, message_id));
    assert!(back.is_returned && back.delivered_at.is_some() && back.read_at.is_some(), "{back:?}");
    assert_eq!((back.peer_reaction.as_deref(), before.peer_reaction.as_deref()), (Some("👍"), Some("☕")));
    assert!(!before.is_returned && before.read_at.is_some() && !theirs.is_returned);
    let settings: MessagingSettings = town.ask(ALICE, "messaging.settings", json!({"connection_id": id})).unwrap();
    assert_eq!(settings.peer_disappear_after_s, Some(86_400));
    // What was said again was said under the id that it had.
    let subject = Subject::ForOwner(town.nodes[ALICE].guid, id, "messaging.reaction".parse().unwrap());
    let said = town.log.iter().filter(|post| post.subject == subject);
    let reactions: Vec<EventId> = said.map(|post| post.event_id).collect();
    let ids: BTreeSet<EventId> = reactions.iter().copied().collect();
    assert!(ids.len() == 2 && reactions.len() >= 4, "{reactions:?}");
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
    assert_eq!(told(&mut town, BOB, "restored their vault"), 1);
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

/// Where there is a credential, the vault goes on only with the password, and with a version that the earlier state holds.
#[test]
fn the_password_of_the_credential_has_to_follow() {
    let mut town = Town::settled(3_105);
    let id = town.connect();
    let mut wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    let backup = town.nodes[ALICE].backup();
    write(&mut town, BOB, id, "lost");
    town.run();
    town.nodes[ALICE].put_back(town.now, &mut town.rng, &backup);
    town.resume(ALICE, false);
    let version = wallet.package().cek_version;
    let word = |town: &Town, version: Option<u64>| {
        let known = |version| KnownCredential { version, highest_version: version, epoch: 1, attempts_total: 40 };
        RestoreVault { credential: version.map(known), ..town.word(ALICE, 2) }
    };
    let ask = |town: &mut Town, word: RestoreVault| town.ask::<Restoring>(ALICE, "vault.restore", word);
    let (none, other, right) = (word(&town, None), word(&town, Some(version + 5)), word(&town, Some(version)));
    wallet.prepare(&mut town, "session.restore", PASSWORD, |_, _| json!({}));
    assert_eq!(wallet.send(&mut town).unwrap_err(), RefusalCode::OnHold, "the password serves nothing else");
    wallet.holder.give_up();
    assert_eq!(ask(&mut town, none).unwrap_err(), RefusalCode::InvalidRequest);
    assert_eq!(ask(&mut town, other).unwrap_err(), RefusalCode::NotAvailable, "the state does not hold that version");
    let expected = Restoring { incarnation: 2, needs_password: true };
    assert_eq!(ask(&mut town, right.clone()).unwrap(), expected);
    // No transaction key of before is trusted.
    let fresh: ReplenishedKeys =
        town.ask(ALICE, "credential.utk.replenish", ReplenishKeys { live_key_ids: vec![] }).unwrap();
    wallet.holder.replenished(fresh);
    assert_eq!(ask(&mut town, right).unwrap(), expected, "said twice, the keys stay");
    let nothing = |_, _: &mut Town| json!({});
    let wrong = wallet.run::<Value>(&mut town, RESTORE, "wrong horse battery", nothing);
    assert_eq!(wrong.unwrap_err(), UseStatus::WrongPassword);
    assert_eq!(town.nodes[ALICE].vault.identity().incarnation, 1, "nothing goes on");
    wallet.run::<Value>(&mut town, RESTORE, PASSWORD, nothing).unwrap().unwrap();
    let health = health(&mut town, ALICE);
    assert_eq!((health.incarnation, health.awaits_restore), (2, false));
    let status: CredentialStatus = town.ask(ALICE, "credential.status", json!({})).unwrap();
    assert_eq!(status.credential_epoch, 2);
    assert!(status.attempts_total >= 42, "attempts that the state does not know of count: {status:?}");
    town.run();
    assert_eq!(town.texts(ALICE, id, "received"), [(1, "lost".to_owned())]);
    town.check(ALICE);
}

/// An old copy may still open epochs that are not closed; it does not name another app with them.
#[test]
fn nobody_names_another_app_under_keys_of_an_earlier_epoch() {
    let mut town = Town::settled(3_106);
    let id = town.connect();
    town.run();
    let stored = |town: &Town| -> Value {
        let state = town.nodes[ALICE].vault.state().all();
        serde_json::from_slice(state[&format!("channel/connection/{id}")].as_ref().unwrap()).unwrap()
    };
    let mut copy = stored(&town);
    // A message that never comes keeps the epoch open at Bob's, and leaves a place for another one.
    write(&mut town, ALICE, id, "lost");
    let (_, lost) = town.take_inbox(town.nodes[BOB].guid).pop().unwrap();
    copy["reserved"] = json!(Envelope::read(&lost).unwrap().sequence - 1);
    let _: Value = town.ask(ALICE, "connection.rotate", json!({})).unwrap();
    town.run();
    write(&mut town, ALICE, id, "in the new epoch");
    town.run();
    let known = town.view(BOB, id).profile.unwrap();
    let stranger = SigningKey::random(&mut town.rng).verifying_key().typed();
    let mut profile = serde_json::to_value(&known).unwrap();
    profile["restore_key"] = json!(stranger);
    profile["sequence"] = json!(known.sequence + 5);
    let signed = sign_object(Context::Profile, town.nodes[ALICE].vault.identity().signing_key(), &profile).unwrap();
    let say = |town: &mut Town, channel: Value| {
        let mut channel: Channel = serde_json::from_value(channel).unwrap();
        let (event_id, event_type) = (town.fresh_event(), "profile.changed".parse().unwrap());
        let subject = Subject::ForOwner(town.nodes[BOB].guid, id, event_type);
        let body = json!({"profile": signed});
        let content = Content { body, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let event_type = "profile.changed".parse().unwrap();
        let bytes = channel.seal(town.now, &mut town.rng, &subject, event_id, &event_type, &content).unwrap();
        let before = town.nodes[BOB].vault.dropped();
        town.give(BOB, vec![(subject, bytes)]);
        assert_eq!(town.nodes[BOB].vault.dropped(), before, "it opened");
        town.view(BOB, id).profile.unwrap().restore_key
    };
    assert_eq!(say(&mut town, copy), known.restore_key);
    let running = stored(&town);
    assert_eq!(say(&mut town, running), Some(stranger), "the running epoch is the member's own");
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
    // The keys before go as those of an epoch do.
    let former = |town: &Town| {
        [ALICE, BOB].map(|who| town.nodes[who].vault.state().all().keys().any(|key| key.starts_with("channel/former/")))
    };
    assert_eq!(former(&town), [true; 2]);
    town.now = town.now.plus_ms(31 * DAY_MS);
    for who in [ALICE, BOB] {
        town.handle(who, &[Event::Tick]);
    }
    assert_eq!(former(&town), [false; 2]);
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}
