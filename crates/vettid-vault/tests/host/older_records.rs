//! After many commits the state is stored as a whole, and what is older leaves the journal while the vault goes on.

use crate::desk::{Desk, until};
use crate::owner::Owner;
use crate::town::{ALICE, BOB, Town};
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_nats::journal::StoredRecord;
use vettid_wire::contract::Rate;
use vettid_wire::data::FieldView;

/// More than a vault keeps before it stores its state.
const COMMITS: usize = 2_000;

/// A vault with so many commits that its host stores its state at once.
fn fill(town: &mut Town, who: usize) {
    let messages = Rate { count: 1_000_000, per_seconds: 60 };
    let session = Limit { messages, bytes: None, ..Limit::SESSION };
    town.nodes[who].limit(Limits { session, ..Limits::default() });
    // The limit of before counts no more after a moment.
    town.now = town.now.plus_ms(1_000);
    while town.nodes[who].commits() <= COMMITS {
        let number = town.nodes[who].commits();
        let _: Value = town.ask(who, "data.set", json!({"field": "number", "value": number})).unwrap();
    }
}

async fn stored(desk: &Desk, town: &Town, who: usize) -> Vec<StoredRecord> {
    desk.journal().await.load(town.nodes[who].guid).collect().await.unwrap()
}

async fn number(owner: &Owner, town: &mut Town, who: usize) -> Value {
    let held = owner.command::<FieldView>(town, who, "data.get", json!({"field": "number"})).await;
    held.unwrap().unwrap().value
}

/// Alice's vault removes all of it and comes back from what is left; that of Bob is killed as soon as it has begun to.
#[tokio::test(flavor = "multi_thread")]
async fn older_records_go_while_the_vault_goes_on_and_it_comes_back_from_any_part_of_them() {
    let desk = Desk::open().await;
    let mut town = desk.town(["host-1", "host-2"]);
    for who in [ALICE, BOB] {
        fill(&mut town, who);
        desk.publish(&town, who).await;
    }
    let last = json!(COMMITS);

    let host = desk.run("host-1").await;
    until("Alice's older records are gone", async || stored(&desk, &town, ALICE).await.len() < 10).await;
    let alice = Owner::sign_in(&desk, &town, ALICE).await;
    assert_eq!(number(&alice, &mut town, ALICE).await, last);
    host.kill().await;
    let host = desk.run("host-1").await;
    assert_eq!(number(&alice, &mut town, ALICE).await, last);

    // The second time, of records that this host wrote itself.
    for value in 1..=COMMITS {
        let set = json!({"field": "number", "value": value + COMMITS});
        alice.command::<Value>(&mut town, ALICE, "data.set", set).await.unwrap().unwrap();
    }
    until("Alice's next older records are gone", async || stored(&desk, &town, ALICE).await.len() < 50).await;
    host.kill().await;
    let host = desk.run("host-1").await;
    assert_eq!(number(&alice, &mut town, ALICE).await, json!(2 * COMMITS));
    host.stop().await;

    let whole = stored(&desk, &town, BOB).await;
    let host = desk.run("host-2").await;
    until("some of Bob's older records are gone", async || stored(&desk, &town, BOB).await[0] != whole[0]).await;
    host.kill().await;
    let left = stored(&desk, &town, BOB).await;
    let host = desk.run("host-2").await;
    let bob = Owner::sign_in(&desk, &town, BOB).await;
    assert_eq!(number(&bob, &mut town, BOB).await, last, "{} of {} records were left", left.len(), whole.len());
    host.stop().await;
    desk.broker.shut().await;
}
