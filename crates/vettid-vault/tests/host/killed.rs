//! The broker is killed in the middle of commits.

use crate::desk::{Desk, received};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::town::{ALICE, BOB};
use std::process::Command;
use vettid_nats::server::ServerState;

/// What the broker had acknowledged is not lost, and nothing happens twice: each text is stored once and leads to one receipt.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_the_middle_of_commits_loses_nothing_and_repeats_nothing() {
    const TEXTS: usize = 90;
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    let id = town.connect();
    let texts: Vec<String> = (0..TEXTS).map(|n| format!("text {n}")).collect();
    let letters = sealed_texts(&mut town, BOB, ALICE, id, &texts);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let host = desk.run("host-1").await;
    let mut mailbox = Mailbox::open(&desk, &town, BOB).await;
    let sender = Sender::open(&desk, &town, BOB, id).await;
    let sending = tokio::spawn(async move {
        sender.send(&letters).await;
    });
    let server = desk.broker.server().unwrap();
    let mut state = server.state();
    for kill in 1..=3 {
        mailbox.holds(TEXTS * kill / 5).await;
        state.wait_for(|state| *state == ServerState::Ready).await.unwrap();
        let process = server.process_id().unwrap().to_string();
        assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
        state.wait_for(|state| *state != ServerState::Ready).await.unwrap();
    }
    sending.await.unwrap();
    mailbox.holds(TEXTS).await;
    host.stop().await;
    let receipts = mailbox.close().await;
    desk.read_back(&mut town, ALICE).await;
    let mut got = received(&mut town, ALICE, id);
    got.sort();
    let mut wanted = texts;
    wanted.sort();
    assert_eq!(got, wanted);
    assert_eq!(receipts.len(), TEXTS, "one receipt for each text");
    town.check(ALICE);
    desk.broker.shut().await;
}
