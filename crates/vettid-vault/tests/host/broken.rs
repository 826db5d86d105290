//! Vaults that cannot start: their host runs without them, says which they are, and refuses for them.

use crate::desk::{Desk, received, stranger};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::town::{ALICE, BOB};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use vettid_wire::control::ControlOutcome;

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_broken_does_not_hold_up_the_others() {
    let mut desk = Desk::open().await;
    let mut town = desk.town(["host-1", "host-1"]);
    let id = town.connect();
    let letters = sealed_texts(&mut town, BOB, ALICE, id, &["hello".into()]);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let (bob, nobody) = (town.nodes[BOB].guid, stranger());
    // Bob's journal goes on with what he never wrote; of a third vault the sealed storage key is damaged.
    let journal = desk.journal().await;
    let last = journal.last_sequence(bob).await.unwrap();
    journal.commit(bob, last, vec![7; 200].into()).await.unwrap();
    std::fs::write(desk.state("host-1").join(format!("vaults/{nobody}.sealed")), b"damaged").unwrap();
    let host = desk.start("host-1").await;
    assert_eq!(host.members(), [town.nodes[ALICE].guid]);
    assert_eq!(host.broken().keys().copied().collect::<Vec<_>>(), [bob, nobody]);
    let running = Desk::running(host, CancellationToken::new());
    let mut mailbox = Mailbox::open(&desk, &town, BOB).await;
    Sender::open(&desk, &town, BOB, id).await.send(&letters).await;
    mailbox.holds(1).await;
    let ControlOutcome::Done(health) = desk.command("host-1", "health.request", json!({})).await else {
        panic!("no health")
    };
    assert_eq!((health["vaults"].clone(), health["broken"].as_object().unwrap().len()), (json!(1), 2));
    for guid in [bob, nobody] {
        let outcome = desk.command("host-1", "vault.deploy", json!({"guid": guid})).await;
        assert_eq!(outcome, ControlOutcome::Refused);
    }
    assert_eq!(journal.load(bob).collect().await.unwrap().len(), town.nodes[BOB].commits() + 1, "nothing was repaired");
    running.stop().await;
    desk.read_back(&mut town, ALICE).await;
    assert_eq!(received(&mut town, ALICE, id), ["hello"]);
    desk.broker.shut().await;
}

/// A storage key that is gone is not made anew over a journal: nothing would ever open under it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_storage_key_is_not_replaced() {
    let mut desk = Desk::open().await;
    let town = desk.town(["host-1", "elsewhere"]);
    desk.publish(&town, ALICE).await;
    let alice = town.nodes[ALICE].guid;
    let sealed = desk.state("host-1").join(format!("vaults/{alice}.sealed"));
    std::fs::remove_file(&sealed).unwrap();
    let running = desk.run("host-1").await;
    for _ in 0..2 {
        let outcome = desk.command("host-1", "vault.deploy", json!({"guid": alice})).await;
        assert_eq!(outcome, ControlOutcome::Refused);
    }
    assert!(!sealed.exists());
    running.stop().await;
    desk.broker.shut().await;
}
