//! Faults of the program in a task that owes something to somebody: it begins anew without a restart. The fault is a log that
//! panics over a line, as one may whose outlet is gone.

use crate::http::Program;
use crate::requests::{begin, connected};
use crate::world::member::Member;
use crate::world::receiver::Receiver;
use crate::world::{PATIENCE, World, eventually};
use reqwest::Method;
use serde_json::json;
use std::fmt;
use std::sync::{Mutex, Once};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use vettid_gateway::view::Status;
use vettid_wire::auth::Decision;
use vettid_wire::connection::{ConnectionState, RevocationReason};
use vettid_wire::data::{DataOutcome, DataResponse, Keep, Snapshot, SnapshotState};

/// Lines over which the log still has to fall, each once.
static TO_COME: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

struct FallingLog;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for FallingLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("vettid_gateway")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut to_come = TO_COME.lock().unwrap();
        let found = to_come.iter().position(|one| *one == line.0);
        let falls = found.map(|place| to_come.remove(place)).is_some();
        drop(to_come);
        assert!(!falls, "the log fell");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The log falls over the next such line.
fn fall_over(line: &'static str) {
    static IN_USE: Once = Once::new();
    IN_USE.call_once(|| tracing::subscriber::set_global_default(FallingLog).unwrap());
    TO_COME.lock().unwrap().push(line);
}

async fn fallen(line: &'static str) {
    eventually(|| !TO_COME.lock().unwrap().contains(&line)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_to_a_webhook_is_sent_again() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    let (_, hook) = program.post("/v1/webhooks", json!({"url": receiver.url("hook")})).await;
    let mut is_first = true;
    receiver.answer(move |_| if std::mem::take(&mut is_first) { 500 } else { 200 });
    fall_over("an event was not taken");
    let path = format!("/v1/webhooks/{}", hook["webhook_id"].as_str().unwrap());
    program.call(Method::POST, &format!("{path}/test"), None).await;
    fallen("an event was not taken").await;
    eventually(|| receiver.all().len() == 2).await;
    let all = receiver.all();
    assert_eq!((&all[0].id, &all[0].body), (&all[1].id, &all[1].body));
    crate::webhooks::until(&program, &path, |body| body["waiting"] == json!(0)).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_and_a_message_delivered() {
    let (mut world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    world.broker.stop().await.unwrap();
    fall_over("a question could not be delivered yet");
    let login = gateway.begin_login(id, 2 * PATIENCE);
    fallen("a question could not be delivered yet").await;
    world.broker.run().await.unwrap();
    let asked = member.next_event(&mut service, "auth.challenge").await;
    service.decide(&asked, Decision::Approve).await;
    assert!(matches!(login.await.unwrap().status, Status::Approved { .. }));

    world.broker.stop().await.unwrap();
    fall_over("a message could not be delivered yet");
    gateway.run(move |gateway| async move { gateway.revoke(id, RevocationReason::UserRequested).await.unwrap() }).await;
    fallen("a message could not be delivered yet").await;
    world.broker.run().await.unwrap();
    member.next_event(&mut service, "connection.revoked").await;
    let view = gateway.run(move |gateway| async move { gateway.connection(id).await.unwrap() }).await;
    assert_eq!(view.state, ConnectionState::Revoked);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_event_is_taken_when_it_comes_again() {
    let (world, gateway, _member, mut service) = connected().await;
    let contract_hash = vettid_core::contract::contract_hash(&gateway.gateway().contract()).unwrap();
    let state = SnapshotState::Value { value: "Elm 1".into(), keep: Keep::UntilRevoked };
    let (connection_id, field) = (service.connection_id, "address".to_owned());
    let sent = Snapshot { connection_id, contract_hash, field, number: 1, state };
    fall_over("an event of a member is taken up");
    service.deliver("data.snapshot", sent).await;
    fallen("an event of a member is taken up").await;
    eventually(|| gateway.gateway().values(connection_id).unwrap().iter().any(|one| one.value == "Elm 1")).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_when_it_comes_again() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    let outcome =
        DataOutcome::Served { field: "address".to_owned(), value: "Elm 1".into(), keep: Some(Keep::UntilRevoked) };
    let body = DataResponse { request_id: asked.data().request_id, outcome, proof: None };
    let body = service.proven(body, asked.question());
    let bytes = service.seal("data.response", body, Some(asked.question()));
    fall_over("an event of a member is taken up");
    service.send_bytes("data.response", bytes.clone()).await;
    fallen("an event of a member is taken up").await;
    // Byte for byte the same: a vault does not sign an answer twice.
    while !request.is_finished() {
        service.send_bytes("data.response", bytes.clone()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(request.await.unwrap().status, Status::Served { value, .. } if value == "Elm 1"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_can_be_answered_again() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let handshake = member.begin(&gateway.invite().await.link).await;
    fall_over("an answer to an invitation is taken up");
    handshake.send(&handshake.hs1).await;
    fallen("an answer to an invitation is taken up").await;
    // It was sent once; the inbox keeps it until it is done.
    member.next_hs2(&handshake).await;
    gateway.stop().await;
    world.shut().await;
}
