//! A message that can be handled never: it overtook the key confirmation that it needs, and that does not come.

use crate::desk::{Desk, received, until};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::town::{ALICE, BOB};
use serde_json::Value;
use vettid_nats::clock;
use vettid_wire::base64::Base64;
use vettid_wire::connection::ConnectionView;
use vettid_wire::subject::Subject;

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_five_times_is_kept_apart_and_the_rest_runs_on() {
    let desk = Desk::open().await;
    let mut town = desk.town(["elsewhere", "host-1"]);
    let id = town.ask_to_connect();
    let _: ConnectionView = town.decide(ALICE, id, true).unwrap();
    town.run();
    let _: ConnectionView = town.decide(BOB, id, true).unwrap();
    let last = town.take_inbox(town.nodes[ALICE].guid);
    town.give(ALICE, last);
    let ready = town.take_inbox(town.nodes[BOB].guid);
    let letters = sealed_texts(&mut town, ALICE, BOB, id, &["poison".into(), "good".into()]);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let host = desk.run("host-1").await;
    let sender = Sender::open(&desk, &town, ALICE, id).await;
    sender.send(&letters[..1]).await;
    let (desk, town) = (&desk, tokio::sync::Mutex::new(town));
    until("the message is in quarantine", || async {
        let mut town = town.lock().await;
        desk.read_back(&mut town, BOB).await;
        town.nodes[BOB].vault.quarantined().unwrap().messages == 1
    })
    .await;
    let mut town = town.into_inner();
    let kept = town.nodes[BOB].vault.state().all();
    let kept = kept.iter().find(|(key, _)| key.starts_with("quarantine/")).unwrap().1.clone().unwrap();
    let kept: (Subject, Base64) = serde_json::from_slice(&kept).unwrap();
    assert_eq!((kept.0, kept.1.as_bytes()), (letters[0].0.clone(), letters[0].1.as_slice()), "sealed as it came");
    town.now = clock::now();
    let told = town.feed(BOB).entries.iter().filter(|entry| entry.event_type.as_str() == "event.quarantined").count();
    assert_eq!(told, 1);
    // What comes after it runs.
    sender.send(&ready).await;
    sender.send(&letters[1..]).await;
    let town = tokio::sync::Mutex::new(town);
    until("the next message is received", || async {
        let mut town = town.lock().await;
        desk.read_back(&mut town, BOB).await;
        received(&mut town, BOB, id) == ["good"]
    })
    .await;
    // The broker does not have the poison any more: nothing of it comes to a host that begins anew.
    host.kill().await;
    let host = desk.run("host-1").await;
    let mut town = town.into_inner();
    sender.send(&sealed_texts(&mut town, ALICE, BOB, id, &["another".into()])).await;
    let town = tokio::sync::Mutex::new(town);
    until("a later message is received", || async {
        let mut town = town.lock().await;
        desk.read_back(&mut town, BOB).await;
        received(&mut town, BOB, id).len() == 2
    })
    .await;
    let mut town = town.into_inner();
    assert_eq!(town.nodes[BOB].vault.quarantined().unwrap().messages, 1);
    assert_eq!(
        received(&mut town, BOB, id),
        ["another", "good"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>()
    );
    host.stop().await;
    // Nothing waits at the broker for whoever begins anew.
    let mut mailbox = Mailbox::open(desk, &town, BOB).await;
    let marker = sealed_texts(&mut town, ALICE, BOB, id, &["marker".into()]);
    sender.send(&marker).await;
    mailbox.holds(1).await;
    assert_eq!(mailbox.close().await, marker);
    let _: Value = town.ask(BOB, "vault.health", serde_json::json!({})).unwrap();
}
