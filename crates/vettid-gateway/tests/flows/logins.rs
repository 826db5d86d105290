//! Logging in: the signed answer, and every answer that only looks like one.

use crate::requests::connected;
use crate::world::member::{Member, rng};
use crate::world::{PATIENCE, World, eventually, login};
use std::time::Duration;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::signature::{Context, check};
use vettid_gateway::gateway::RequestError;
use vettid_gateway::view::Status;
use vettid_wire::auth::{AuthResponse, Decision, MAX_LIFE_MS};
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::login::LoginProof;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_approves_and_denies() {
    let (world, gateway, mut member, mut service) = connected().await;
    for decision in [Decision::Approve, Decision::Deny] {
        let request = gateway.begin_login(service.connection_id, PATIENCE);
        let asked = member.next_event(&mut service, "auth.challenge").await;
        let challenge = asked.login();
        assert_eq!((challenge.origin.as_str(), &challenge.display), ("https://shop.example", &login().display));
        assert_eq!(challenge.session_hash, Base64Url::new([7; 32]));
        assert_eq!(challenge.expires_at.since_ms(challenge.issued_at), MAX_LIFE_MS);
        service.decide(&asked, decision).await;
        match (decision, request.await.unwrap().status) {
            (Decision::Approve, Status::Approved { method, .. }) => assert_eq!(method, ["user"]),
            (Decision::Deny, Status::Denied { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_is_signed_by_the_service_and_new_each_time() {
    let (world, gateway, mut member, mut service) = connected().await;
    let profile = vettid_nats::profiles::read_profile(&service.connection, service.guid).await.unwrap().unwrap();
    let profile: vettid_wire::profile::SignedProfile = vettid_wire::json::read(&profile).unwrap();
    let key = VerifyingKey::from_typed(&profile.key_record.signing_key).unwrap();
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let request = gateway.begin_login(service.connection_id, PATIENCE);
        let asked = member.next_event(&mut service, "auth.challenge").await;
        nonces.push(check(Context::ServiceRequest, &key, asked.login()).unwrap().into_inner().nonce);
        service.decide(&asked, Decision::Approve).await;
        request.await.unwrap();
    }
    assert_ne!(nonces.first(), nonces.last());
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_one_thing_wrong_logs_nobody_in() {
    let (world, gateway, mut member, mut service) = connected().await;
    let request = gateway.begin_login(service.connection_id, PATIENCE);
    let asked = member.next_event(&mut service, "auth.challenge").await;
    let right = service.response(&asked.login(), Decision::Approve);
    let changes: [fn(&mut AuthResponse); 12] = [
        |r| r.request_id = RequestId::from_bytes([0; 16]),
        |r| r.service_id = "other-shop".parse().unwrap(),
        |r| r.connection_id = ConnectionId::from_bytes([0; 16]),
        |r| r.origin = "https://shop.example.evil".to_owned(),
        |r| r.nonce = Base64Url::new([0; 32]),
        |r| r.session_hash = Base64Url::new([0; 32]),
        |r| r.expires_at = r.expires_at.plus_ms(1),
        // Nothing ties the yes to the browser, or something that was not asked for.
        |r| r.proof = None,
        |r| r.decision = Decision::Deny,
        |r| r.proof = Some(LoginProof::SameDevice { code_hash: Base64Url::new([0; 32]), remember: false }),
        |r| {
            let browser_key = TypedKey::new(KeyAlgorithm::P256, [4; 65]).unwrap();
            r.proof = Some(LoginProof::KnownBrowser { browser_key });
        },
        |r| r.auth_time = r.auth_time.plus_ms(10 * 60_000),
    ];
    let dropped = gateway.gateway().dropped_events();
    let pairwise = service.pairwise_again();
    for change in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        service.send_login(&asked, &wrong, &pairwise).await;
    }
    // Signed by the member's identity or by a stranger instead of the key of the connection.
    for key in [&member.signing, &SigningKey::random(&mut rng())] {
        let wrong = AuthResponse { key_id: key.key_id(), ..right.clone() };
        service.send_login(&asked, &wrong, key).await;
    }
    // Not signed at all.
    service.send("auth.response", &right, Some(asked.question())).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 15).await;
    assert!(!request.is_finished());
    service.decide(&asked, Decision::Approve).await;
    assert!(matches!(request.await.unwrap().status, Status::Approved { .. }));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_one_login_does_not_open_another() {
    let (world, gateway, mut member, mut service) = connected().await;
    let first = gateway.begin_login(service.connection_id, PATIENCE);
    let one = member.next_event(&mut service, "auth.challenge").await;
    let old = service.response(&one.login(), Decision::Approve);
    service.decide(&one, Decision::Approve).await;
    first.await.unwrap();
    let second = gateway.begin_login(service.connection_id, Duration::from_secs(60));
    let two = member.next_event(&mut service, "auth.challenge").await;
    let dropped = gateway.gateway().dropped_events();
    let pairwise = service.pairwise_again();
    service.send_login(&two, &old, &pairwise).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 1).await;
    assert!(!second.is_finished());
    service.decide(&two, Decision::Deny).await;
    assert!(matches!(second.await.unwrap().status, Status::Denied { .. }));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_by_a_number_where_numbers_are_off() {
    let mut world = World::start().await;
    world.config.login.numbers = false;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let id = member.connect(&gateway, &[]).await.connection_id;
    let asked = gateway.run(move |gateway| async move { gateway.request_login(id, login(), PATIENCE).await }).await;
    assert!(matches!(asked, Err(RequestError::NoNumbers)), "{asked:?}");
    gateway.stop().await;
    world.shut().await;
}
