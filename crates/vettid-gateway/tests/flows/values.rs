//! Values that a member's vault hands out unasked: kept as long as they may be, and then gone, from the disk as well.

use crate::requests::{begin, connected};
use crate::world::member::Service;
use crate::world::{PATIENCE, Running, World, eventually};
use serde_json::Value;
use std::time::Duration;
use vettid_nats::clock;
use vettid_store::state::Rows;
use vettid_wire::connection::{ConnectionState, RevocationReason};
use vettid_wire::data::{DataOutcome, Keep, Snapshot, SnapshotState};

pub(crate) fn snapshot(gateway: &Running, service: &Service, number: u64, state: SnapshotState) -> Snapshot {
    let contract_hash = vettid_core::contract::contract_hash(&gateway.gateway().contract()).unwrap();
    let (connection_id, field) = (service.connection_id, "address".to_owned());
    Snapshot { connection_id, contract_hash, field, number, state }
}

pub(crate) fn value(text: &str, keep: Keep) -> SnapshotState {
    SnapshotState::Value { value: text.into(), keep }
}

fn kept(gateway: &Running, service: &Service) -> Vec<Value> {
    let values = gateway.gateway().values(service.connection_id).unwrap();
    values.into_iter().map(|value| value.value).collect()
}

/// The contents of rows that were not there before; waits for the first.
async fn added(world: &World, before: &Rows) -> Vec<Vec<u8>> {
    let found = async {
        loop {
            let now = world.rows().await;
            let new: Vec<_> = now.into_iter().filter(|(name, _)| !before.contains_key(name)).collect();
            if !new.is_empty() {
                return new.into_iter().map(|(_, sealed)| sealed).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

/// Whether any piece of these rows is in a file of the state. They begin with 4 bytes that are the same in each.
fn are_on_disk(world: &World, rows: &[Vec<u8>]) -> bool {
    rows.iter().any(|row| is_on_disk(world, &row[4..]))
}

fn is_on_disk(world: &World, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(&world.config.state).unwrap();
    let present: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default()).collect();
    let holds = |piece: &[u8]| present.iter().any(|file| file.windows(piece.len()).any(|window| window == piece));
    bytes.chunks_exact(64).any(holds)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_value_is_kept_over_a_kill_and_an_earlier_one_never_comes_back() {
    let (world, gateway, member, mut service) = connected().await;
    for (number, text) in [(1, "Elm 1"), (3, "Elm 3"), (2, "Elm 2"), (3, "Elm 4")] {
        let sent = snapshot(&gateway, &service, number, value(text, Keep::UntilRevoked));
        service.deliver("data.snapshot", sent).await;
    }
    let mut other = snapshot(&gateway, &service, 9, value("a lie", Keep::UntilRevoked));
    other.contract_hash = vettid_wire::base64::Base64Url::new([0; 32]);
    let dropped = gateway.gateway().dropped_events();
    service.deliver("data.snapshot", other).await;
    eventually(|| gateway.gateway().dropped_events() > dropped).await;
    assert_eq!(kept(&gateway, &service), ["Elm 3"]);
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(kept(&gateway, &service), ["Elm 3"]);
    let before = world.rows().await;
    let gone = snapshot(&gateway, &service, 4, SnapshotState::Gone);
    service.deliver("data.snapshot", gone).await;
    eventually(|| kept(&gateway, &service).is_empty()).await;
    let now = world.rows().await;
    let changed: Vec<_> = before.into_iter().filter(|(name, sealed)| now.get(name) != Some(sealed)).collect();
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|(_, sealed)| !is_on_disk(&world, &sealed[4..])));
    drop(member);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_gone_from_memory_and_disk_when_its_time_or_its_connection_is_over() {
    let (world, gateway, member, mut service) = connected().await;
    let empty = world.rows().await;
    let until = clock::now().plus_ms(1_500);
    let sent = snapshot(&gateway, &service, 1, value("Elm 1", Keep::TimeLimited { until }));
    service.deliver("data.snapshot", sent).await;
    eventually(|| kept(&gateway, &service) == ["Elm 1"]).await;
    let rows = added(&world, &empty).await;
    assert!(are_on_disk(&world, &rows));
    // Not given out any more at once; off the disk within a round of the gateway.
    eventually(|| kept(&gateway, &service).is_empty()).await;
    assert!(clock::now() >= until);
    eventually(|| !are_on_disk(&world, &rows)).await;

    let sent = snapshot(&gateway, &service, 2, value("Elm 2", Keep::UntilRevoked));
    service.deliver("data.snapshot", sent).await;
    eventually(|| kept(&gateway, &service) == ["Elm 2"]).await;
    let rows = added(&world, &empty).await;
    assert!(are_on_disk(&world, &rows));
    let notice = service.notice(&member.signing);
    service.deliver("connection.revoked", notice).await;
    gateway.until(service.connection_id, ConnectionState::Revoked).await;
    eventually(|| kept(&gateway, &service).is_empty() && !are_on_disk(&world, &rows)).await;
    gateway.kill();
    let gateway = world.gateway().await;
    assert!(kept(&gateway, &service).is_empty());
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_as_soon_as_the_end_is_stored_nothing_is_kept() {
    let (world, gateway, mut member, mut service) = connected().await;
    let empty = world.rows().await;
    let sent = snapshot(&gateway, &service, 1, value("Elm 1", Keep::UntilRevoked));
    service.deliver("data.snapshot", sent).await;
    let mut rows = added(&world, &empty).await;
    let request = begin(&gateway, service.connection_id, "address", Duration::from_millis(200));
    let asked = member.next_event(&mut service, "data.request").await;
    let id = request.await.unwrap().request_id;
    let before = world.rows().await;
    service.serve(&asked, "Elm 2").await;
    rows.extend(added(&world, &before).await);
    eventually(|| kept(&gateway, &service) == ["Elm 1"]).await;
    assert!(rows.iter().all(|row| is_on_disk(&world, &row[4..])));
    let mark = world.log_mark();
    let connection = service.connection_id;
    let ending = gateway.begin(move |gateway| async move {
        gateway.revoke(connection, RevocationReason::UserRequested).await.unwrap();
    });
    eventually(|| world.log_mark() != mark).await;
    gateway.kill();
    drop(ending);
    let gateway = world.gateway().await;
    gateway.until(connection, ConnectionState::Revoked).await;
    assert!(kept(&gateway, &service).is_empty());
    let seen = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await }).await;
    assert_eq!(seen, None);
    assert!(!are_on_disk(&world, &rows));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_answer_to_a_request_is_gone_from_the_disk_when_its_time_is_over() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "date_of_birth", Duration::from_millis(200));
    let asked = member.next_event(&mut service, "data.request").await;
    service.answer(&asked, DataOutcome::Pending { expires_at: clock::now().plus_ms(900_000) }).await;
    let id = request.await.unwrap().request_id;
    let before = world.rows().await;
    let keep = Some(Keep::TimeLimited { until: clock::now().plus_ms(2_000) });
    let (field, value) = ("date_of_birth".to_owned(), "1990-01-01".into());
    service.answer(&asked, DataOutcome::Served { field, value, keep }).await;
    let rows = added(&world, &before).await;
    assert!(are_on_disk(&world, &rows));
    eventually(|| !are_on_disk(&world, &rows)).await;
    let seen = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await }).await;
    assert_eq!(seen, None);
    gateway.stop().await;
    world.shut().await;
}
