//! A vault on the real server is put back to an earlier state, and comes together with its peer again.

use crate::app::handshake_event;
use crate::desk::{Desk, until};
use crate::owner::Owner;
use crate::town::{ALICE, BOB, Town};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Mutex;
use vettid_nats::clock;
use vettid_testkit::space::fresh_event;
use vettid_vault::host::states::KeptState;
use vettid_wire::id::ConnectionId;
use vettid_wire::json as vjson;
use vettid_wire::messaging::{MessageList, Sent};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::Restoring;
use vettid_wire::session::{HandshakeEvent, VaultHealth};
use vettid_wire::subject::Subject;

async fn write(owner: &Owner, town: &mut Town, who: usize, id: ConnectionId, text: &str) {
    let body = json!({"connection_id": id, "text": text});
    let _: Sent = owner.command(town, who, "messaging.send", body).await.unwrap().unwrap();
}

async fn texts(owner: &Owner, town: &mut Town, who: usize, id: ConnectionId) -> Vec<String> {
    let listed = owner.command::<MessageList>(town, who, "messaging.list", json!({"connection_id": id})).await;
    listed.and_then(Result::ok).map_or_else(Vec::new, |list| list.messages.into_iter().map(|m| m.text).collect())
}

/// A new session over the broker; a vault that was put back does not know the one before.
async fn begin_session(owner: &Owner, town: &mut Town, who: usize) {
    let (mut initiator, mut message) = {
        let (initiator, first) = town.apps[who].resume(false, clock::now(), &mut town.rng);
        (Some(initiator), first)
    };
    for name in ["session.start", "session.finish"] {
        let event_id = fresh_event();
        let subject = Subject::ForVault(town.nodes[who].guid, name.parse().unwrap());
        let answers = Subject::ForApp(town.nodes[who].guid, name.parse().unwrap(), event_id);
        let bytes = handshake_event(event_id, clock::now(), &message);
        let answer = owner.exchange(&subject, answers, &bytes, Duration::from_secs(10)).await.unwrap();
        let event: HandshakeEvent = vjson::read(&answer).unwrap();
        if let (Some(second), Some(initiator)) = (event.handshake, initiator.take()) {
            let second = second.to_bytes().unwrap();
            message = town.apps[who].finish(initiator, &second, clock::now(), &mut town.rng);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_put_back_waits_for_its_owner_and_gets_back_what_it_lost() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "host-2"]);
    let id = town.connect();
    town.run();
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let states = desk.states("host-1").await;
    let kept = states.keep(town.nodes[ALICE].guid).await.unwrap();
    let kept = KeptState::from_bytes(&kept.to_bytes()).unwrap();
    states.close().await.unwrap();
    let (first, second) = (desk.run("host-1").await, desk.run("host-2").await);
    let alice = Owner::sign_in(&desk, &town, ALICE).await;
    let bob = Owner::sign_in(&desk, &town, BOB).await;
    write(&alice, &mut town, ALICE, id, "lost by Alice").await;
    write(&bob, &mut town, BOB, id, "lost, by Bob").await;
    let both = ["lost by Alice".to_owned(), "lost, by Bob".to_owned()];
    let shared = Mutex::new(town);
    let has_both = async |owner: &Owner, who| {
        let mut got = texts(owner, &mut *shared.lock().await, who, id).await;
        got.sort();
        got == both
    };
    until("both have both", || async { has_both(&alice, ALICE).await && has_both(&bob, BOB).await }).await;
    first.stop().await;
    let states = desk.states("host-1").await;
    assert_eq!(states.put_back(&kept).await.unwrap(), 1);
    states.close().await.unwrap();
    let first = desk.run("host-1").await;
    {
        let town = &mut *shared.lock().await;
        begin_session(&alice, town, ALICE).await;
        let locked = alice.command::<Value>(town, ALICE, "messaging.list", json!({"connection_id": id})).await.unwrap();
        assert_eq!(locked.unwrap_err(), RefusalCode::Locked);
        town.now = clock::now();
        let word = town.word(ALICE, 2);
        let restoring: Restoring = alice.command(town, ALICE, "vault.restore", word).await.unwrap().unwrap();
        assert_eq!((restoring.incarnation, restoring.needs_password), (2, false));
    }
    until("Alice has back what she lost", || has_both(&alice, ALICE)).await;
    let town = &mut *shared.lock().await;
    let health: VaultHealth = alice.command(town, ALICE, "vault.health", json!({})).await.unwrap().unwrap();
    assert_eq!((health.incarnation, health.awaits_restore, health.reconciling), (2, false, 0));
    let again = alice.command::<Value>(town, ALICE, "messaging.send", json!({"connection_id": id, "text": "after"}));
    assert!(again.await.unwrap().is_ok());
    first.stop().await;
    second.stop().await;
    desk.broker.shut().await;
}
