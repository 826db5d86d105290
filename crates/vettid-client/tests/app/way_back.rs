//! An app whose credential for the broker is dead gets back to its vault with the help of services, and only with it.

use crate::broker::ADDRESS;
use crate::vault::{HOUR_MS, Vault};
use crate::world::World;
use vettid_client::command::CommandError;
use vettid_client::services::ServicesError;
use vettid_client::transport::TransportError;
use vettid_client::watch::Watched;
use vettid_wire::event::{MessagingSend, Nothing, VaultHealth};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::messaging::SendText;

const MOVED: &str = "tls://broker.test:4223";

async fn send(world: &World) -> Result<(), CommandError> {
    let request = SendText::new(ConnectionId::from_bytes([5; 16]), "once");
    world.app().command::<MessagingSend>(request).await.map(drop)
}

async fn health(world: &World) -> Result<(), CommandError> {
    world.app().command::<VaultHealth>(Nothing {}).await.map(drop)
}

fn texts(world: &World) -> usize {
    world.vault.lock().unwrap().texts.len()
}

fn renewals(world: &World) -> usize {
    world.operator.inner.lock().unwrap().steps.iter().filter(|step| **step == "renew-bootstrap").count()
}

/// The events that were published over the connection before the newest, and over the newest one.
fn published(world: &World) -> (Vec<String>, Vec<String>) {
    let wires = world.broker.wires.lock().unwrap();
    let [.., before, newest] = wires.published_before[..] else { panic!("{:?}", wires.published_before) };
    let event = |(subject, _): &(vettid_wire::subject::Subject, Vec<u8>)| {
        subject.to_string().split_once(".forVault.").unwrap().1.to_owned()
    };
    let events: Vec<_> = wires.published.iter().map(event).collect();
    (events[before..newest].to_vec(), events[newest..].to_vec())
}

#[tokio::test(start_paused = true)]
async fn after_thirty_hours_a_command_works() {
    let world = World::enrolled().await;
    world.clock.set(30 * HOUR_MS);
    send(&world).await.unwrap();
    assert_eq!((texts(&world), renewals(&world)), (1, 1));
    let (back, onward) = published(&world);
    assert_eq!(back, ["session.start", "session.finish"], "only the handshake goes over the bootstrap credential");
    assert_eq!(onward, ["messaging.send"]);
    assert!(!world.vault.lock().unwrap().limited);
    // The credential that came of it is kept.
    health(&world).await.unwrap();
    assert_eq!(renewals(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_forgot_the_session_is_no_obstacle() {
    let world = World::enrolled().await;
    world.clock.set(30 * HOUR_MS);
    world.vault.lock().unwrap().forget_session();
    send(&world).await.unwrap();
    assert_eq!(texts(&world), 1);
    assert!(!world.vault.lock().unwrap().limited);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_the_broker_refuses_is_replaced_under_the_running_session() {
    let world = World::enrolled().await;
    world.broker.wires.lock().unwrap().refusals = 1;
    send(&world).await.unwrap();
    assert_eq!((texts(&world), renewals(&world)), (1, 1));
    assert_eq!(published(&world), (vec!["session.refresh".into()], vec!["messaging.send".into()]));
    // The same, and the vault does not know the session any more.
    world.broker.wires.lock().unwrap().refusals = 1;
    world.vault.lock().unwrap().forget_session();
    send(&world).await.unwrap();
    let (back, onward) = published(&world);
    assert_eq!(onward, ["messaging.send"]);
    assert!(back.contains(&"session.start".to_owned()), "{back:?}");
    assert!(back.iter().all(|event| event.starts_with("session.")), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn services_that_refuse_are_told() {
    let world = World::enrolled().await;
    world.clock.set(24 * HOUR_MS);
    for status in [403, 404] {
        world.operator.inner.lock().unwrap().refuses_renewal = Some(status);
        let error = send(&world).await.unwrap_err();
        assert!(matches!(error, CommandError::CredentialDead { .. }), "{error}");
    }
    assert!(send(&world).await.unwrap_err().to_string().contains("away too long"));
    world.operator.inner.lock().unwrap().refuses_renewal = Some(429);
    let error = send(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::Services(ServicesError::Refused { status: 429 })), "{error}");
    world.operator.inner.lock().unwrap().refuses_renewal = None;
    world.operator.inner.lock().unwrap().loses = Some("renew-bootstrap");
    let error = send(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::Services(ServicesError::Unreachable(_))), "{error}");
    assert_eq!(texts(&world), 0);
    world.operator.inner.lock().unwrap().loses = None;
    send(&world).await.unwrap();
    assert_eq!(texts(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_for_good_is_told() {
    let world = World::enrolled().await;
    world.broker.wires.lock().unwrap().refusals = 4;
    for _ in 0..2 {
        let error = send(&world).await.unwrap_err();
        assert!(matches!(error, CommandError::Transport(TransportError::NotAuthorized(_))), "{error}");
    }
    assert_eq!(texts(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_to_somebody_else_is_not_taken() {
    let world = World::enrolled().await;
    world.clock.set(30 * HOUR_MS);
    world.operator.inner.lock().unwrap().leads_to = Some(MemberId::from_bytes([9; 16]));
    let sign_ins = world.broker.wires.lock().unwrap().sign_ins.len();
    let error = send(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::Services(ServicesError::Unreadable(_))), "{error}");
    assert_eq!(world.broker.wires.lock().unwrap().sign_ins.len(), sign_ins);
}

#[tokio::test(start_paused = true)]
async fn a_vault_without_shared_secrets_takes_no_command_after_the_way_back() {
    let world = World::enrolled().await;
    world.clock.set(30 * HOUR_MS);
    let forget = |vault: &mut Vault| {
        vault.forget_session();
        vault.resumes.clear();
    };
    forget(&mut world.vault.lock().unwrap());
    assert!(matches!(send(&world).await, Err(CommandError::LimitedSession)));
    assert_eq!(texts(&world), 0);
}

/// The broker moves, and services know or do not know it.
fn move_broker(world: &World, services_say: &'static str) {
    world.broker.wires.lock().unwrap().moved_to = Some(MOVED);
    world.operator.inner.lock().unwrap().broker = services_say;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_has_moved_is_found_once_and_for_all() {
    let world = World::enrolled().await;
    move_broker(&world, MOVED);
    send(&world).await.unwrap();
    assert_eq!((texts(&world), renewals(&world)), (1, 1));
    assert_eq!(published(&world), (vec!["session.refresh".into()], vec!["messaging.send".into()]));
    health(&world).await.unwrap();
    assert_eq!(renewals(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_nobody_finds_is_told_as_such() {
    let world = World::enrolled().await;
    let is_unreachable =
        |error: &CommandError| matches!(error, CommandError::Transport(TransportError::Unreachable(_)));
    move_broker(&world, ADDRESS);
    let error = send(&world).await.unwrap_err();
    assert!(is_unreachable(&error), "services know no other place: {error}");
    move_broker(&world, MOVED);
    for status in [404, 429] {
        world.operator.inner.lock().unwrap().refuses_renewal = Some(status);
        let error = send(&world).await.unwrap_err();
        assert!(is_unreachable(&error), "services refuse: {error}");
    }
    world.operator.inner.lock().unwrap().refuses_renewal = None;
    world.operator.inner.lock().unwrap().loses = Some("renew-bootstrap");
    let error = send(&world).await.unwrap_err();
    assert!(is_unreachable(&error), "services do not answer: {error}");
    assert_eq!(texts(&world), 0);
    world.operator.inner.lock().unwrap().loses = None;
    send(&world).await.unwrap();
    assert_eq!(texts(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_finds_its_way_back_and_waits_for_services() {
    let world = World::enrolled().await;
    world.clock.set(30 * HOUR_MS);
    world.operator.inner.lock().unwrap().loses = Some("renew-bootstrap");
    let app = world.app();
    let mut watch = app.watch();
    assert!(matches!(watch.next().await.unwrap(), Watched::Away { .. }));
    world.operator.inner.lock().unwrap().loses = None;
    assert_eq!(watch.next().await.unwrap(), Watched::Connected);
}
