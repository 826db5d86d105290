//! A vault with a lock: while it is locked nothing is opened and nothing is lost, and only its member brings it back.

use crate::desk::{Desk, received, until};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::owner::{Owner, unlock};
use crate::town::{ALICE, BOB};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use vettid_wire::control::ControlOutcome;
use vettid_wire::lock::UnlockKind::{Password, Pin};
use vettid_wire::lock::{LockState, UnlockResult};
use vettid_wire::refusal::RefusalCode;

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_a_locked_vault_and_are_handled_once() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    let id = town.connect();
    let texts: Vec<String> = (0..30).map(|n| format!("text {n}")).collect();
    let letters = sealed_texts(&mut town, BOB, ALICE, id, &texts);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let host = desk.run("host-1").await;
    let mut owner = Owner::sign_in(&desk, &town, ALICE).await;
    let mut mailbox = Mailbox::open(&desk, &town, BOB).await;
    let sender = Sender::open(&desk, &town, BOB, id).await;
    let without: Result<Value, _> = owner.command(&mut town, ALICE, "vault.lock", json!({})).await.unwrap();
    assert_eq!(without, Err(RefusalCode::NotAvailable), "there is no lock yet");
    owner.set_lock(&mut town, ALICE).await;
    sender.send(&letters[..10]).await;
    mailbox.holds(10).await;
    owner.lock(&mut town, ALICE).await;
    let journal = desk.journal().await;
    let before = journal.last_sequence(town.nodes[ALICE].guid).await.unwrap();
    sender.send(&letters[10..]).await;
    assert!(owner.command::<Value>(&mut town, ALICE, "vault.health", json!({})).await.is_none(), "it answered");
    // The broker has them all, and the vault did nothing: it could only have told by a commit.
    assert_eq!(journal.last_sequence(town.nodes[ALICE].guid).await.unwrap(), before);
    assert_eq!(owner.status().await.state, LockState::Locked);
    assert_eq!(owner.unlock(Pin, &owner.keys.pin).await, UnlockResult::Unlocked);
    mailbox.holds(30).await;
    assert_eq!(owner.status().await.state, LockState::Open);
    assert!(owner.command::<Value>(&mut town, ALICE, "vault.health", json!({})).await.unwrap().is_ok());
    host.stop().await;
    assert_eq!(mailbox.close().await.len(), 30, "one receipt for each text");
    desk.read_back(&mut town, ALICE).await;
    let mut got = received(&mut town, ALICE, id);
    got.sort();
    let mut wanted = texts;
    wanted.sort();
    assert_eq!(got, wanted);
    town.check(ALICE);
    let told = town.feed(ALICE).entries.into_iter().map(|entry| entry.summary);
    let told: Vec<_> = told.filter(|summary| summary.contains("lock")).collect();
    assert_eq!(told, ["Your vault was unlocked", "You locked your vault", "The lock of your vault was changed"]);
    desk.broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_pins_leave_the_password_also_when_the_host_is_killed_between() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    desk.publish(&town, ALICE).await;
    let host = desk.run("host-1").await;
    let mut owner = Owner::sign_in(&desk, &town, ALICE).await;
    owner.set_lock(&mut town, ALICE).await;
    owner.lock(&mut town, ALICE).await;
    for _ in 0..3 {
        assert_eq!(owner.unlock(Pin, &owner.keys.wrong_pin).await, UnlockResult::Wrong);
    }
    host.kill().await;
    let host = desk.start("host-1").await;
    assert!(host.members().is_empty() && host.broken().is_empty());
    assert_eq!(host.locked().iter().copied().collect::<Vec<_>>(), [town.nodes[ALICE].guid]);
    let host = Desk::running(host, CancellationToken::new());
    let status = owner.status().await;
    assert_eq!((status.pin_tries_left, status.attempts_total, status.state), (2, 3, LockState::Locked));
    for _ in 0..2 {
        assert_eq!(owner.unlock(Pin, &owner.keys.wrong_pin).await, UnlockResult::Wrong);
    }
    assert_eq!(owner.unlock(Pin, &owner.keys.pin).await, UnlockResult::PasswordRequired, "the right one, too late");
    assert_eq!(owner.unlock(Password, &owner.keys.pin).await, UnlockResult::Wrong);
    assert_eq!(owner.unlock(Password, &owner.keys.password).await, UnlockResult::Unlocked);
    let status = owner.status().await;
    assert_eq!((status.pin_tries_left, status.attempts_total, status.state), (5, 7, LockState::Open));
    host.stop().await;
    desk.read_back(&mut town, ALICE).await;
    town.now = vettid_nats::clock::now();
    let told = town.feed(ALICE).entries.remove(0).summary;
    assert_eq!(told, "Your vault was unlocked, after 6 wrong PINs or passwords");
    desk.broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_attempt_does_not_unlock() {
    let mut desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    desk.publish(&town, ALICE).await;
    let host = desk.run("host-1").await;
    let mut owner = Owner::sign_in(&desk, &town, ALICE).await;
    owner.set_lock(&mut town, ALICE).await;
    owner.lock(&mut town, ALICE).await;
    let (recorded, reply) = owner.sealed(unlock(Pin, &owner.keys.pin)).await;
    assert_eq!(owner.send(&recorded, &reply).await.result, UnlockResult::Unlocked);
    owner.lock(&mut town, ALICE).await;
    let before = owner.status().await;
    owner.replay(&recorded).await;
    // The lane serves in order: the status that is asked for afterwards shows what came of it.
    assert_eq!(owner.status().await, before);
    let health = desk.command("host-1", "health.request", json!({})).await;
    let ControlOutcome::Done(health) = health else { panic!("no health") };
    assert_eq!((&health["vaults"], &health["locked"]), (&json!(0), &json!(1)));
    // What services ask of a locked vault is refused, and no other host is told to make it.
    for command in ["vault.deploy", "vault.enroll"] {
        let params = match command {
            "vault.deploy" => json!({"guid": town.nodes[ALICE].guid}),
            _ => json!({
                "guid": town.nodes[ALICE].guid, "session_id": town.nodes[ALICE].guid, "token": "x",
                "services_url": "https://services.test", "expires_at": "2100-01-01T00:00:00.000Z",
            }),
        };
        assert_eq!(desk.command("host-1", command, params).await, ControlOutcome::Refused, "{command}");
    }
    host.stop().await;
    let host = desk.run("host-1").await;
    owner.replay(&recorded).await;
    assert_eq!(owner.status().await.state, LockState::Locked, "after a restart");
    assert_eq!(owner.unlock(Pin, &owner.keys.pin).await, UnlockResult::Unlocked);
    host.stop().await;
    desk.broker.shut().await;
}

/// A vault with a lock that stopped for another reason than its lock comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlocked_vault_comes_back_after_a_failure() {
    let mut desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    desk.publish(&town, ALICE).await;
    let host = desk.run("host-1").await;
    let mut owner = Owner::sign_in(&desk, &town, ALICE).await;
    owner.set_lock(&mut town, ALICE).await;
    // The lock was set while it ran, then it was unlocked: in both cases the host has the key in memory only.
    for unlocked_first in [false, true] {
        if unlocked_first {
            owner.lock(&mut town, ALICE).await;
            assert_eq!(owner.unlock(Pin, &owner.keys.pin).await, UnlockResult::Unlocked);
        }
        // Somebody else continues the journal: the next commit of the host is not taken.
        desk.read_back(&mut town, ALICE).await;
        let last = desk.journal().await.last_sequence(town.nodes[ALICE].guid).await.unwrap();
        town.now = vettid_nats::clock::now();
        let set = json!({"field": "colour", "value": unlocked_first});
        let _: Value = town.ask(ALICE, "data.set", set.clone()).unwrap();
        let node = &town.nodes[ALICE];
        let record = node.records().last().unwrap().clone();
        desk.journal().await.commit(node.guid, last, record.into()).await.unwrap();
        let before = desk.reloads("host-1").await;
        assert!(owner.command::<Value>(&mut town, ALICE, "data.set", set).await.is_none(), "a lost race is answered");
        let asked = tokio::sync::Mutex::new(desk);
        until("it comes back", || async { asked.lock().await.reloads("host-1").await > before }).await;
        desk = asked.into_inner();
        assert!(owner.command::<Value>(&mut town, ALICE, "vault.health", json!({})).await.unwrap().is_ok());
    }
    host.stop().await;
    desk.broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_locks_itself_when_its_owner_is_away() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    desk.publish(&town, ALICE).await;
    let host = desk.run("host-1").await;
    let mut owner = Owner::sign_in(&desk, &town, ALICE).await;
    owner.set_lock(&mut town, ALICE).await;
    for wrong in [0, 7 * 24 * 60 + 1] {
        let auto = owner.command::<Value>(&mut town, ALICE, "vault.lock.auto", json!({"idle_minutes": wrong})).await;
        assert_eq!(auto.unwrap(), Err(RefusalCode::InvalidRequest));
    }
    let auto = owner.command::<Value>(&mut town, ALICE, "vault.lock.auto", json!({"idle_minutes": 1})).await;
    auto.unwrap().unwrap();
    let started = tokio::time::Instant::now();
    owner.until_locked().await;
    assert!(started.elapsed() > Duration::from_secs(58), "locked after {:?}", started.elapsed());
    assert_eq!(owner.unlock(Pin, &owner.keys.pin).await, UnlockResult::Unlocked);
    host.stop().await;
    desk.broker.shut().await;
}
