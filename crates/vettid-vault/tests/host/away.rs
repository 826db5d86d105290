//! An app that does not listen: its vault pushes nothing to it until it sends something, and then everything.

use crate::desk::{Desk, PATIENCE, until};
use crate::mailbox::{Mailbox, Sender, sealed_texts};
use crate::owner::Owner;
use crate::town::{ALICE, BOB, Town};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::connection::{Connection, Subscription};
use vettid_testkit::space::fresh_event;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

/// Puts marks between the pushes of a vault.
struct Marker {
    connection: Connection,
    guid: MemberId,
    count: u32,
}

impl Marker {
    async fn mark(&mut self) -> String {
        self.count += 1;
        let mark = format!("mark {}", self.count);
        let subject = Subject::ForApp(self.guid, "feed.item".parse().unwrap(), fresh_event());
        self.connection.publish(&subject, mark.clone().into()).await.unwrap();
        mark
    }

    /// How many pushes came before a mark that is made now.
    async fn pushed(&mut self, pushes: &mut Subscription) -> usize {
        let (mark, mut count) = (self.mark().await, 0);
        loop {
            let push = timeout(PATIENCE, pushes.next()).await.unwrap().unwrap().unwrap();
            if push.payload == mark {
                return count;
            }
            count += usize::from(!push.payload.starts_with(b"mark "));
        }
    }
}

/// Whatever the vault pushed before has left before the answer to this.
async fn visit(owner: &Owner, town: &mut Town) {
    let health: Result<Value, _> = owner.command(town, ALICE, "vault.health", json!({})).await.unwrap();
    health.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_does_not_listen_is_pushed_nothing_until_it_sends_something() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "elsewhere"]);
    let id = town.connect();
    let texts: Vec<String> = (0..12).map(|n| format!("text {n}")).collect();
    let letters = sealed_texts(&mut town, BOB, ALICE, id, &texts);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let host = desk.run("host-1").await;
    let owner = Owner::sign_in(&desk, &town, ALICE).await;
    let mut mailbox = Mailbox::open(&desk, &town, BOB).await;
    let sender = Sender::open(&desk, &town, BOB, id).await;
    let connection = desk.broker.connect(OperatorRole::HostPublishing, "marker").await.unwrap();
    let mut marker = Marker { connection, guid: town.nodes[ALICE].guid, count: 0 };
    // One after the other, each with its receipt: long before the last one the vault knows that nobody heard of the first.
    for (n, letter) in letters[..4].iter().enumerate() {
        sender.send(std::slice::from_ref(letter)).await;
        mailbox.holds(n + 1).await;
    }

    // Listening alone is not enough: what was missed has to be asked for.
    let mut pushes = owner.hear("feed.item").await;
    until("the app listens", async || {
        marker.mark().await;
        timeout(Duration::from_millis(200), pushes.next()).await.is_ok()
    })
    .await;
    sender.send(&letters[4..8]).await;
    mailbox.holds(8).await;
    visit(&owner, &mut town).await;
    assert_eq!(marker.pushed(&mut pushes).await, 0);

    sender.send(&letters[8..]).await;
    mailbox.holds(12).await;
    visit(&owner, &mut town).await;
    assert_eq!(marker.pushed(&mut pushes).await, 4);
    host.stop().await;
    desk.broker.shut().await;
}
