//! Reading a field: served, refused, pending, repeated; and answers that must not count.

use crate::world::member::{Member, Service, other_question};
use crate::world::{PATIENCE, Running, World, eventually};
use std::time::Duration;
use vettid_core::window::Freshness;
use vettid_gateway::gateway::RequestError;
use vettid_gateway::view::Status;
use vettid_nats::clock;
use vettid_wire::connection::{ConnectionState, RevocationNotice, RevocationReason};
use vettid_wire::data::{DataOutcome, DataResponse, Keep};
use vettid_wire::id::ConnectionId;
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;

/// A gateway and a connected member.
pub(crate) async fn connected() -> (World, Running, Member, Service) {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let service = member.connect(&gateway, &["email"]).await;
    (world, gateway, member, service)
}

pub(crate) fn begin(
    gateway: &Running,
    id: ConnectionId,
    field: &'static str,
    wait: Duration,
) -> tokio::task::JoinHandle<vettid_gateway::view::RequestView> {
    gateway.begin(move |gateway| async move { gateway.request_data(id, field, "delivery", wait).await.unwrap() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_served_and_the_disk_is_not_touched() {
    let (world, gateway, mut member, mut service) = connected().await;
    let before = world.log_mark();
    for street in ["Main Street 1", "Side Street 2"] {
        let request = begin(&gateway, service.connection_id, "address", PATIENCE);
        let asked = member.next_event(&mut service, "data.request").await;
        let data = asked.data();
        assert_eq!((data.field.as_str(), data.purpose.as_str()), ("address", "delivery"));
        assert_eq!((data.connection_id, &data.service_id), (service.connection_id, &service.service_id));
        service.serve(&asked, street).await;
        let view = request.await.unwrap();
        assert_eq!(
            view.status,
            Status::Served { field: "address".to_owned(), value: street.into(), keep: Keep::UntilRevoked }
        );
        let id = view.request_id;
        let found = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await }).await;
        assert_eq!(found, Some(view));
    }
    assert_eq!(world.log_mark(), before);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_results() {
    let (world, gateway, mut member, mut service) = connected().await;
    for code in [RefusalCode::NotInContract, RefusalCode::RateLimited, RefusalCode::Denied, RefusalCode::NotAvailable] {
        let request = begin(&gateway, service.connection_id, "ssn", PATIENCE);
        let asked = member.next_event(&mut service, "data.request").await;
        service.answer(&asked, DataOutcome::Refused { code }).await;
        assert_eq!(request.await.unwrap().status, Status::Refused { code, retry_at: None });
    }
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    service.refuse(&asked, "data.request", RefusalCode::ContractMismatch).await;
    assert_eq!(request.await.unwrap().status, Status::Refused { code: RefusalCode::ContractMismatch, retry_at: None });
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_answer_is_sent_again_byte_for_byte() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let first = member.next_event(&mut service, "data.request").await;
    let second = member.next_event(&mut service, "data.request").await;
    assert_eq!((first.freshness, second.freshness), (Freshness::New, Freshness::Seen));
    assert_eq!((first.event_id, &first.bytes), (second.event_id, &second.bytes));
    service.serve(&second, "Main Street 1").await;
    assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
    gateway.stop().await;
    world.shut().await;
}

/// A world whose gateway sends a question again soon, one that an inbox keeps three times at most.
async fn impatient() -> World {
    let mut world = World::start().await;
    world.config.limits.ask_again_ms = 20;
    world.config.limits.ask_times = 3;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_the_inbox_keeps_is_not_sent_for_ever() {
    let world = impatient().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &[]).await;
    let request = gateway.begin_login(service.connection_id, Duration::ZERO);
    assert_eq!(request.await.unwrap().status, Status::Asked);
    for _ in 0..3 {
        member.next_event(&mut service, "auth.challenge").await;
    }
    assert!(member.nothing_within(Duration::from_millis(800)).await);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_no_inbox_keeps_is_sent_until_it_is_answered() {
    let world = impatient().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &[]).await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let first = member.next_event(&mut service, "data.request").await;
    for _ in 0..5 {
        let again = member.next_event(&mut service, "data.request").await;
        assert_eq!((again.event_id, &again.bytes), (first.event_id, &first.bytes));
    }
    service.serve(&first, "Main Street 1").await;
    assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
    // The seventh would leave 1.3 seconds after the sixth.
    assert!(member.nothing_within(Duration::from_millis(1_600)).await);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_heard_reaches_the_vault_when_it_is_there() {
    let (world, gateway, mut member, mut service) = connected().await;
    member.leave().await;
    let observer = world.broker.observe(&member.space.message_account).await.unwrap();
    let mut tap = observer.tap().await.unwrap();
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    while !tap.next().await.unwrap().subject.ends_with("data.request") {}
    member.come_back().await;
    let asked = member.next_event(&mut service, "data.request").await;
    assert_eq!(asked.freshness, Freshness::New);
    service.serve(&asked, "Main Street 1").await;
    assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_request_is_reported_and_its_later_answer_delivered() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "date_of_birth", Duration::from_millis(300));
    let asked = member.next_event(&mut service, "data.request").await;
    let expires_at = clock::now().plus_ms(900_000);
    service.answer(&asked, DataOutcome::Pending { expires_at }).await;
    let view = request.await.unwrap();
    assert_eq!((view.status, view.expires_at), (Status::Pending, expires_at));
    let id = view.request_id;
    let later = gateway.begin(move |gateway| async move { gateway.request(id, PATIENCE).await.unwrap() });
    service.serve(&asked, "1990-01-01").await;
    let served =
        Status::Served { field: "date_of_birth".to_owned(), value: "1990-01-01".into(), keep: Keep::UntilRevoked };
    assert_eq!(later.await.unwrap().status, served);
    // Later answers change nothing.
    service.answer(&asked, DataOutcome::Refused { code: RefusalCode::Denied }).await;
    let dropped = gateway.gateway().dropped_events();
    service.answer(&asked, DataOutcome::Pending { expires_at: clock::now().plus_ms(1000) }).await;
    service.send("event.refused", serde_json::json!({}), None).await;
    eventually(|| gateway.gateway().dropped_events() > dropped).await;
    let again = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await.unwrap() }).await;
    assert_eq!(again.status, served);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_request_survives_a_kill_and_is_asked_again() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "date_of_birth", Duration::from_millis(200));
    let asked = member.next_event(&mut service, "data.request").await;
    service.answer(&asked, DataOutcome::Pending { expires_at: clock::now().plus_ms(900_000) }).await;
    let id = request.await.unwrap().request_id;
    gateway.kill();
    let gateway = world.gateway().await;
    let again = member.next_event(&mut service, "data.request").await;
    assert_eq!((asked.event_id, &asked.bytes), (again.event_id, &again.bytes));
    service.serve(&again, "1990-01-01").await;
    let view = gateway.run(move |gateway| async move { gateway.request(id, PATIENCE).await.unwrap() }).await;
    assert!(matches!(view.status, Status::Served { .. }));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_name_another_question_do_not_count() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    let served = |field: &str, request_id| DataResponse {
        request_id,
        outcome: DataOutcome::Served { field: field.to_owned(), value: "a lie".into(), keep: None },
        proof: None,
    };
    let right_id = asked.data().request_id;
    let wrong_id = vettid_wire::id::RequestId::from_bytes([9; 16]);
    let dropped = gateway.gateway().dropped_events();
    service.send("data.response", served("address", right_id), None).await;
    service.send("data.response", served("address", right_id), Some(other_question(&asked))).await;
    for lie in [served("address", wrong_id), served("email", right_id)] {
        let proven = service.proven(lie, asked.question());
        service.send("data.response", proven, Some(asked.question())).await;
    }
    service
        .send("data.response", serde_json::json!({"request_id": right_id, "outcome": 1}), Some(asked.question()))
        .await;
    service.refuse(&asked, "auth.challenge", RefusalCode::Denied).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 6).await;
    assert!(!request.is_finished());
    service.serve(&asked, "Main Street 1").await;
    let status = request.await.unwrap().status;
    assert_eq!(
        status,
        Status::Served { field: "address".to_owned(), value: "Main Street 1".into(), keep: Keep::UntilRevoked }
    );
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_and_changed_envelopes_do_nothing() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "date_of_birth", Duration::from_millis(200));
    let asked = member.next_event(&mut service, "data.request").await;
    let body = DataResponse {
        request_id: asked.data().request_id,
        outcome: DataOutcome::Refused { code: RefusalCode::Denied },
        proof: None,
    };
    let sealed = service.seal("data.response", &body, Some(other_question(&asked)));
    let id = request.await.unwrap().request_id;
    let dropped = gateway.gateway().dropped_events();
    service.send_bytes("data.response", sealed.clone()).await;
    service.send_bytes("data.response", sealed.clone()).await;
    service.send_bytes("auth.response", sealed.clone()).await;
    service.send_bytes("data.response", b"{}".as_slice().into()).await;
    let mut changed: vettid_wire::envelope::Envelope = json::read(&sealed).unwrap();
    changed.sequence += 1;
    service.send_bytes("data.response", serde_json::to_vec(&changed).unwrap().into()).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 5).await;
    let view = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await.unwrap() }).await;
    assert_eq!(view.status, Status::Asked);
    // A right answer counts once; the same bytes again are a repetition.
    let pending = DataOutcome::Pending { expires_at: clock::now().plus_ms(900_000) };
    let body = DataResponse { request_id: asked.data().request_id, outcome: pending, proof: None };
    let sealed = service.seal("data.response", &body, Some(asked.question()));
    service.send_bytes("data.response", sealed.clone()).await;
    service.send_bytes("data.response", sealed).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 6).await;
    let view = gateway.run(move |gateway| async move { gateway.request(id, Duration::ZERO).await.unwrap() }).await;
    assert_eq!(view.status, Status::Pending);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_cannot_answer_for_another() {
    let (world, gateway, mut member, mut service) = connected().await;
    let mut other = Member::new(&world).await;
    let mut others = other.connect(&gateway, &[]).await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    let dropped = gateway.gateway().dropped_events();
    others.serve(&asked, "a lie").await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 1).await;
    service.serve(&asked, "Main Street 1").await;
    let status = request.await.unwrap().status;
    assert_eq!(
        status,
        Status::Served { field: "address".to_owned(), value: "Main Street 1".into(), keep: Keep::UntilRevoked }
    );
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_no_question_is_shown_at_the_connection() {
    let (world, gateway, member, mut service) = connected().await;
    let event_id = vettid_testkit::space::fresh_event();
    let refused = vettid_wire::refusal::EventRefused {
        event_id,
        event_type: "connection.ready".parse().unwrap(),
        code: RefusalCode::InvalidRequest,
        retry_at: None,
        proof: None,
    };
    let dropped = gateway.gateway().dropped_events();
    service.send("event.refused", refused, None).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 1).await;
    let shown = gateway.connection(service.connection_id).await.last_refusal.unwrap();
    assert_eq!(
        (shown.event_id, shown.event_type.as_str(), shown.code),
        (event_id, "connection.ready", RefusalCode::InvalidRequest)
    );
    drop(member);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_at_once_is_bounded() {
    let mut world = World::start().await;
    world.config.limits.open_requests = 2;
    world.config.limits.open_invitations = 2;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let service = member.connect(&gateway, &[]).await;
    for _ in 0..2 {
        gateway.data(service.connection_id, "address", Duration::ZERO).await;
        gateway.invite().await;
    }
    let id = service.connection_id;
    let third =
        gateway.run(move |gateway| async move { gateway.request_data(id, "address", "x", Duration::ZERO).await }).await;
    assert!(matches!(third, Err(RequestError::TooManyOpen)));
    assert!(gateway.run(|gateway| async move { gateway.invite().await }).await.is_err());
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_to_a_member_is_closed_and_made_again() {
    let mut world = World::start().await;
    world.config.limits.peer_idle_ms = 1;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &[]).await;
    assert_eq!(gateway.gateway().member_connections(), 1);
    eventually(|| gateway.gateway().member_connections() == 0).await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_cut_off_holds_no_connection_and_learns_it_at_once() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = begin(&gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
    assert_eq!(gateway.gateway().member_connections(), 1);
    member.cut_off(&world, &service).await;
    // Long before it would be idle.
    eventually(|| gateway.gateway().member_connections() == 0).await;
    let view = gateway.data(service.connection_id, "address", PATIENCE).await;
    assert_eq!(view.status, Status::Refused { code: RefusalCode::NotConnected, retry_at: None });
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_ends_the_connection() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let request = begin(&gateway, id, "address", PATIENCE);
    member.next_event(&mut service, "data.request").await;
    // A notice that the member did not sign, or for another connection, ends nothing.
    let stranger = vettid_crypto::identity::SigningKey::random(&mut crate::world::member::rng());
    let forged = service.notice(&stranger);
    let dropped = gateway.gateway().dropped_events();
    service.deliver("connection.revoked", forged).await;
    let other = Service { connection_id: ConnectionId::from_bytes([1; 16]), ..service };
    let elsewhere = other.notice(&member.signing);
    let mut service = Service { connection_id: id, ..other };
    service.deliver("connection.revoked", elsewhere).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 2).await;
    assert_eq!(gateway.connection(id).await.state, ConnectionState::Active);

    let notice = service.notice(&member.signing);
    service.deliver("connection.revoked", notice).await;
    gateway.until(id, ConnectionState::Revoked).await;
    assert_eq!(request.await.unwrap().status, Status::Refused { code: RefusalCode::NotConnected, retry_at: None });
    let ask =
        |gateway: vettid_gateway::Gateway| async move { gateway.request_data(id, "address", "x", PATIENCE).await };
    assert!(matches!(gateway.run(ask).await, Err(RequestError::NotConnected)));
    // The end is final: not even a restart brings keys back.
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(gateway.connection(id).await.state, ConnectionState::Revoked);
    assert!(matches!(gateway.run(ask).await, Err(RequestError::NotConnected)));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_ends_the_connection_and_tells_the_member() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let revoke = move |gateway: vettid_gateway::Gateway| async move {
        gateway.revoke(id, RevocationReason::UserRequested).await
    };
    gateway.run(revoke).await.unwrap();
    let told = member.next_event(&mut service, "connection.revoked").await;
    let key =
        vettid_crypto::identity::VerifyingKey::from_typed(&vettid_core_profile(&service).await.key_record.signing_key)
            .unwrap();
    let notice: RevocationNotice =
        vettid_crypto::signature::open(vettid_crypto::signature::Context::Revocation, &key, told.body)
            .unwrap()
            .into_inner();
    assert_eq!((notice.connection_id, notice.reason), (id, RevocationReason::UserRequested));
    assert_eq!(gateway.connection(id).await.state, ConnectionState::Revoked);
    assert!(matches!(gateway.run(revoke).await, Err(RequestError::NotConnected)));
    gateway.stop().await;
    world.shut().await;
}

async fn vettid_core_profile(service: &Service) -> vettid_wire::profile::SignedProfile {
    let bytes = vettid_nats::profiles::read_profile(&service.connection, service.guid).await.unwrap().unwrap();
    json::read(&bytes).unwrap()
}
