//! The inbox of a gateway is gone on the broker while everything else works: the gateway says that it does not, until the inbox is back.

use crate::http::Program;
use crate::losses::until_ready;
use crate::world::World;
use std::fs;
use std::path::{Path, PathBuf};
use vettid_testkit::broker::TestServer;

/// The folders of all inboxes of a broker.
fn inboxes(folder: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    inside.flat_map(|path| if path.ends_with("INBOX") { vec![path] } else { inboxes(&path) }).collect()
}

/// Moves folders while the broker is down.
async fn moved(broker: &mut TestServer, moves: impl Iterator<Item = (PathBuf, PathBuf)>) {
    broker.stop().await.unwrap();
    moves.for_each(|(from, to)| fs::rename(from, to).unwrap());
    broker.run().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_its_inbox_is_not_ready_until_it_is_back() {
    let mut world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    assert_eq!(until_ready(&program, true).await, "[]");
    let (there, shelf) = (inboxes(world.broker.folder()), tempfile::tempdir_in(world.broker.folder()).unwrap());
    assert!(!there.is_empty());
    let away: Vec<_> = (0..there.len()).map(|number| shelf.path().join(number.to_string())).collect();
    moved(&mut world.broker, there.iter().cloned().zip(away.iter().cloned())).await;
    let deaf = async {
        while !until_ready(&program, false).await.contains("the inbox on the broker cannot be opened") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(3 * crate::world::PATIENCE, deaf).await.unwrap();
    assert_eq!(program.get("/healthz").await.0.as_u16(), 503);
    moved(&mut world.broker, away.into_iter().zip(there)).await;
    assert_eq!(until_ready(&program, true).await, "[]");
    assert_eq!(program.get("/healthz").await.0.as_u16(), 200);
    // What arrives is heard.
    let mut member = crate::world::member::Member::new(&world).await;
    member.connect(&gateway, &[]).await;
    gateway.stop().await;
    world.shut().await;
}
