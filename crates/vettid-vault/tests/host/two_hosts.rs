//! Two hosts serve one vault: the journal decides who goes on, and the other loads what was decided.

use crate::desk::{Desk, received, until};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::town::{ALICE, BOB};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_for_one_vault_each_event_has_one_effect() {
    const TEXTS: usize = 40;
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    let id = town.connect();
    let texts: Vec<String> = (0..TEXTS).map(|n| format!("text {n:02}")).collect();
    let letters = sealed_texts(&mut town, BOB, ALICE, id, &texts);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    desk.copy_keys("host-1", "host-2");
    let (first, second) = (desk.run("host-1").await, desk.run("host-2").await);
    let mut mailbox = Mailbox::open(&desk, &town, BOB).await;
    let sender = Sender::open(&desk, &town, BOB, id).await;
    let (one, rest) = letters.split_at(TEXTS / 2);
    for letter in one.chunks(1) {
        sender.send(letter).await;
    }
    mailbox.holds(TEXTS / 2).await;
    // Whoever lost a race stopped and loaded the vault again.
    let asked = tokio::sync::Mutex::new(desk);
    until("a host lost a race and loaded the vault again", || async {
        let mut desk = asked.lock().await;
        desk.reloads("host-1").await + desk.reloads("host-2").await > 0
    })
    .await;
    let desk = asked.into_inner();
    // The one that stays goes on from what the other committed.
    first.kill().await;
    sender.send(rest).await;
    mailbox.holds(TEXTS).await;
    second.stop().await;
    let receipts = mailbox.close().await;
    assert_eq!(receipts.len(), TEXTS, "one receipt for each text");
    desk.read_back(&mut town, ALICE).await;
    let mut got = received(&mut town, ALICE, id);
    got.sort();
    assert_eq!(got, texts);
    town.check(ALICE);
    desk.broker.shut().await;
}
