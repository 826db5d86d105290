//! Epoch rotation between vaults, and between a vault and a service.

use crate::town::{ALICE, BOB, DAY_MS, Faults, Town};
use serde_json::{Value, json};
use vettid_crypto::identity::SigningKey;
use vettid_vault::manager::Event;
use vettid_wire::connection::RotationReport;
use vettid_wire::envelope::Envelope;
use vettid_wire::id::ConnectionId;
use vettid_wire::inventory::{HealthReport, KeyInventory, KeyUse};
use vettid_wire::subject::Subject;

/// The epoch of the last envelope that a vault sent on its connections.
fn epoch(town: &Town, who: usize) -> u64 {
    let guid = town.nodes[1 - who].guid;
    let to_peer = |subject: &Subject| matches!(subject, Subject::ForOwner(to, ..) if *to == guid);
    let sent = town.log.iter().rev().filter(|post| to_peer(&post.subject));
    sent.filter_map(|post| Envelope::read(post.bytes.as_bytes()).ok()).map(|sent| sent.encryption.epoch).next().unwrap()
}

fn write(town: &mut Town, who: usize, id: ConnectionId, text: &str) {
    let _: Value = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
}

fn rotate(town: &mut Town, who: usize, body: Value) -> RotationReport {
    town.ask(who, "connection.rotate", body).unwrap()
}

#[test]
fn the_owner_has_new_keys_made_at_once() {
    let mut town = Town::settled(70);
    let id = town.connect();
    let report = rotate(&mut town, ALICE, json!({"connection_id": id}));
    assert_eq!((report.begun.clone(), report.stragglers.len()), (vec![id], 0));
    let again = rotate(&mut town, ALICE, json!({}));
    assert_eq!((again.begun.len(), again.stragglers[0].connection_id), (0, id), "the other side did not answer yet");
    town.run();
    for (who, text) in [(ALICE, "a"), (BOB, "b")] {
        write(&mut town, who, id, text);
        town.run();
        assert_eq!(epoch(&town, who), 1);
    }
    assert_eq!(town.texts(BOB, id, "received"), [(1, "a".to_owned())]);
    assert_eq!(town.texts(ALICE, id, "received"), [(1, "b".to_owned())]);
    assert_eq!(rotate(&mut town, BOB, json!({})).begun, [id], "nobody is a straggler any more");
    town.run();
    town.check(ALICE);
    town.check(BOB);
}

#[test]
fn keys_are_renewed_every_week_with_nobody_doing_anything() {
    let mut town = Town::settled(71);
    let id = town.connect();
    town.tick();
    let mut epochs = vec![];
    for _ in 0..5 {
        for _ in 0..7 {
            town.now = town.now.plus_ms(DAY_MS);
            town.tick();
            town.run();
        }
        epochs.push(epoch(&town, ALICE).min(epoch(&town, BOB)));
    }
    assert_eq!(epochs, [1, 2, 3, 4, 5]);
    town.resume(ALICE, true);
    write(&mut town, ALICE, id, "after five weeks");
    town.run();
    town.resume(BOB, true);
    assert_eq!(town.texts(BOB, id, "received"), [(1, "after five weeks".to_owned())]);
    // What an idle vault commits for this: about once a day.
    let before = town.nodes[ALICE].commits();
    (0..3600).for_each(|_| town.tick());
    assert!(town.nodes[ALICE].commits() - before <= 2);
}

#[test]
fn both_begin_at_once_on_bad_days_and_nothing_is_lost() {
    for seed in 0..5 {
        let mut town = Town::settled(7_000 + seed);
        town.faults = Faults { lose: 15, repeat: 25, crash: 8, reorder: true };
        let id = town.connect();
        for n in 0..4 {
            for who in [ALICE, BOB] {
                rotate(&mut town, who, json!({"connection_id": id}));
                write(&mut town, who, id, &format!("{n}"));
            }
            if n % 2 == 0 {
                town.run();
            }
        }
        town.run();
        let expected: Vec<_> = (0..4).map(|n| (n + 1, format!("{n}"))).collect();
        for who in [ALICE, BOB] {
            assert_eq!(town.texts(who, id, "received"), expected, "seed {seed}");
            town.check(who);
        }
        town.faults = Faults::default();
        write(&mut town, ALICE, id, "last");
        write(&mut town, BOB, id, "last");
        town.run();
        let epochs = [ALICE, BOB].map(|who| epoch(&town, who));
        assert!(epochs[0] == epochs[1] && epochs[0] >= 2, "seed {seed}: {epochs:?}");
    }
}

#[test]
fn a_service_rotates_with_its_members_and_a_foreign_signature_is_refused() {
    let mut town = Town::settled(72);
    let id = town.connect_shop();
    rotate(&mut town, ALICE, json!({"connection_id": id}));
    town.run();
    assert_eq!(town.shop.channel.as_ref().unwrap().epoch(), 1);
    // Whoever has the keys of the epoch, but not the service's own, begins nothing.
    let stored = serde_json::to_vec(town.shop.channel.as_ref().unwrap()).unwrap();
    let thief = SigningKey::random(&mut town.rng);
    let (subject, bytes) = town.shop.rotate(Some(&thief), town.now, &mut town.rng);
    town.post(subject, bytes);
    town.run();
    let (name, body) = town.shop.last();
    assert_eq!((name, body["code"].as_str()), ("event.refused", Some("invalid_request")));
    town.shop.channel = Some(serde_json::from_slice(&stored).unwrap());
    town.now = town.now.plus_ms(1000);
    // The honest one passes over the sequence that the thief used.
    let (subject, bytes) = town.shop.rotate(None, town.now, &mut town.rng);
    town.post(subject, bytes);
    town.run();
    assert_eq!(town.shop.channel.as_ref().unwrap().epoch(), 2);
    town.handle(ALICE, &[Event::Tick]);
    town.check(ALICE);
}

#[test]
fn the_owner_sees_how_connections_are_kept_and_every_key_without_its_private_half() {
    let mut town = Town::settled(73);
    let id = town.connect();
    for _ in 0..8 {
        town.pass_half_day();
        town.pass_half_day();
    }
    town.resume(ALICE, true);
    let health: HealthReport = town.ask(ALICE, "connection.health", json!({"connection_id": id})).unwrap();
    let [one] = &health.connections[..] else { panic!("one connection") };
    assert_eq!((one.epoch, one.straggles_since, one.display_name.as_str()), (1, None, "Bob"));
    assert!(one.credential_until > Some(town.now) && one.next_rotation > Some(town.now));
    let keys: KeyInventory = town.ask(ALICE, "key.list", json!({})).unwrap();
    assert_eq!((keys.keys.len(), keys.more_after), (17, None));
    let epoch = keys.keys.iter().find(|key| key.role == KeyUse::Epoch).unwrap();
    assert_eq!((epoch.connection_id, epoch.next_rotation), (Some(id), one.next_rotation));
    let before = epoch.id.clone();
    rotate(&mut town, ALICE, json!({}));
    town.run();
    let keys: KeyInventory = town.ask(ALICE, "key.list", json!({})).unwrap();
    assert!(keys.keys.iter().all(|key| key.id != before), "the old key is not there any more");
}
