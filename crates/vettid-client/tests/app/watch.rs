//! A watch shows each entry of the feed once and in order, whatever is lost.

use crate::world::World;
use std::time::Duration;
use tokio::time::Instant;
use vettid_client::watch::{Watch, Watched};
use vettid_wire::event::{Nothing, VaultHealth};

type Watching<'a> = Watch<'a, crate::world::WorldPorts>;

fn happen(world: &World, summary: &str) {
    let posts = world.vault.lock().unwrap().happen(world.clock.time(), summary);
    world.broker.deliver(posts);
}

/// The summaries of the next entries, remarks left out.
async fn entries(watch: &mut Watching<'_>, count: usize) -> Vec<String> {
    let mut summaries = Vec::new();
    while summaries.len() < count {
        if let Watched::Entry(entry) = watch.next().await.unwrap() {
            summaries.push(entry.summary);
        }
    }
    summaries
}

#[tokio::test(start_paused = true)]
async fn entries_come_as_they_are_made() {
    let world = World::enrolled().await;
    happen(&world, "before");
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    happen(&world, "one");
    happen(&world, "two");
    assert_eq!(entries(&mut watch, 2).await, ["one", "two"]);
    // Other commands run beside it.
    world.app().command::<VaultHealth>(Nothing {}).await.unwrap();
    happen(&world, "three");
    assert_eq!(entries(&mut watch, 1).await, ["three"]);
}

#[tokio::test(start_paused = true)]
async fn lost_and_repeated_pushes_leave_no_gap() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    world.broker.fault(|post| if post.0.to_string().contains("feed.item") { vec![] } else { vec![post] });
    happen(&world, "one");
    happen(&world, "two");
    world.broker.fault(|post| vec![post.clone(), post]);
    happen(&world, "three");
    happen(&world, "four");
    assert_eq!(entries(&mut watch, 4).await, ["one", "two", "three", "four"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_anew_and_nothing_is_missed() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    world.broker.wires.lock().unwrap().down = true;
    world.broker.cut();
    happen(&world, "while away");
    assert!(matches!(watch.next().await.unwrap(), Watched::Away { retry_ms: 1_000, .. }));
    assert!(matches!(watch.next().await.unwrap(), Watched::Away { retry_ms: 2_000, .. }));
    world.broker.wires.lock().unwrap().down = false;
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    assert_eq!(entries(&mut watch, 1).await, ["while away"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_connection_made_itself_anew_is_fetched() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    // A vault that learned that nobody hears it pushes nothing more until it is asked.
    world.broker.fault(|post| if post.0.to_string().contains("feed.item") { vec![] } else { vec![post] });
    happen(&world, "one");
    happen(&world, "two");
    let begin = Instant::now();
    world.broker.break_and_mend();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    assert_eq!(entries(&mut watch, 2).await, ["one", "two"]);
    assert!(begin.elapsed() < Duration::from_secs(1), "it waited for its access to end");
    world.broker.no_fault();
    happen(&world, "three");
    assert_eq!(entries(&mut watch, 1).await, ["three"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_renews_its_access_in_time() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    // Each half life it connects again with a fresh credential; the broker of this test refuses dead ones.
    for _ in 0..6 {
        assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    }
    assert!(
        world.clock.time().since_ms(vettid_wire::time::Timestamp::from_unix_ms(1_800_000_000_000)) > 48 * 3_600_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_session_does_not_disturb_a_watch() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    world.vault.lock().unwrap().forget_session();
    world.app().command::<VaultHealth>(Nothing {}).await.unwrap();
    happen(&world, "under the new session");
    assert_eq!(entries(&mut watch, 1).await, ["under the new session"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_and_fetched_is_shown_once() {
    let world = World::enrolled().await;
    let app = world.app();
    let mut watch = app.watch();
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
    world.broker.cut();
    // Something happens after the new connection listens and before it asks for what it missed.
    let clock = world.clock.clone();
    let mut happened = false;
    world.broker.wires.lock().unwrap().before = Some(Box::new(move |subject, vault| {
        if happened || !subject.to_string().ends_with("feed.list") {
            return vec![];
        }
        happened = true;
        vault.happen(clock.time(), "in between")
    }));
    assert!(matches!(watch.next().await.unwrap(), Watched::Away { .. }));
    assert_eq!(entries(&mut watch, 1).await, ["in between"]);
    world.broker.wires.lock().unwrap().before = None;
    happen(&world, "after");
    assert_eq!(entries(&mut watch, 1).await, ["after"]);
}
