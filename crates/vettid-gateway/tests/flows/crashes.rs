//! The gateway is killed at each message of the handshake and starts again from its state. What it sends after that is byte
//! for byte what it would have sent, and the member ends up connected once.

use crate::requests::begin;
use crate::world::member::Member;
use crate::world::{PATIENCE, World, eventually};
use vettid_core::window::Freshness;
use vettid_gateway::view::Status;
use vettid_wire::connection::{ConnectionState, Ready};
use vettid_wire::handshake::{HandshakeMessage, Step};
use vettid_wire::json;

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_message() {
    let world = World::start().await;
    let mut gateway = world.gateway().await;
    let invited = gateway.invite().await;
    gateway.kill();
    let mut member = Member::new(&world).await;
    let mut handshake = member.begin(&invited.link).await;
    // Sent while nobody is there: the inbox keeps it.
    handshake.send(&handshake.hs1).await;
    gateway = world.gateway().await;
    let hs2 = member.next_hs2(&handshake).await;
    let offered = member.review(&mut handshake, &hs2);
    let hs3 = member.agree(&mut handshake, &offered, &[]);
    handshake.send(&hs3).await;
    gateway.until(handshake.hs_id.connection_id(), ConnectionState::Active).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_storing_and_sending_the_second_message() {
    between_storing_and_sending_the_second_message(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_killed_between_storing_and_sending_the_second_message() {
    between_storing_and_sending_the_second_message(World::start_on_postgres().await).await;
}

async fn between_storing_and_sending_the_second_message(world: World) {
    let mut member = Member::new(&world).await;
    let mut seen = Vec::new();
    // Killed as soon as the state has grown: the message may or may not have left. Several times, to meet both cases.
    for _ in 0..4 {
        let gateway = world.gateway().await;
        let mut handshake = member.begin(&gateway.invite().await.link).await;
        let before = world.log_mark();
        handshake.send(&handshake.hs1).await;
        eventually(|| world.log_mark() != before).await;
        gateway.kill();
        let gateway = world.gateway().await;
        let hs2 = member.next_hs2(&handshake).await;
        // The first message again: the same second message again.
        handshake.send(&handshake.hs1).await;
        assert_eq!(member.next_hs2(&handshake).await, hs2);
        seen.push(hs2.clone());
        let offered = member.review(&mut handshake, &hs2);
        let hs3 = member.agree(&mut handshake, &offered, &[]);
        handshake.send(&hs3).await;
        let mut service = member.established(handshake, offered).await;
        let ready = member.next_event(&mut service, "connection.ready").await;
        let ready: Ready = json::from_value(ready.body).unwrap();
        assert_eq!(ready.connection_id, service.connection_id);
        gateway.until(service.connection_id, ConnectionState::Active).await;
        gateway.stop().await;
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_second_and_the_third_message() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut handshake = member.begin(&gateway.invite().await.link).await;
    handshake.send(&handshake.hs1).await;
    let hs2 = member.next_hs2(&handshake).await;
    gateway.kill();
    let offered = member.review(&mut handshake, &hs2);
    let hs3 = member.agree(&mut handshake, &offered, &[]);
    handshake.send(&hs3).await;
    let gateway = world.gateway().await;
    let mut service = member.established(handshake, offered).await;
    // The second message may come once more, if its delivery was not noted before the kill.
    let ready = next_ready(&mut member, &mut service).await;
    assert_eq!(ready.connection_id, service.connection_id);
    gateway.until(service.connection_id, ConnectionState::Active).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_storing_and_sending_the_key_confirmation() {
    between_storing_and_sending_the_key_confirmation(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_killed_between_storing_and_sending_the_key_confirmation() {
    between_storing_and_sending_the_key_confirmation(World::start_on_postgres().await).await;
}

async fn between_storing_and_sending_the_key_confirmation(world: World) {
    let mut member = Member::new(&world).await;
    for _ in 0..4 {
        let gateway = world.gateway().await;
        let mut handshake = member.begin(&gateway.invite().await.link).await;
        handshake.send(&handshake.hs1).await;
        let hs2 = member.next_hs2(&handshake).await;
        let offered = member.review(&mut handshake, &hs2);
        let hs3 = member.agree(&mut handshake, &offered, &[]);
        let id = handshake.hs_id.connection_id();
        settled(&world).await;
        let before = world.log_mark();
        handshake.send(&hs3).await;
        eventually(|| world.log_mark() != before).await;
        gateway.kill();
        let gateway = world.gateway().await;
        // The third message once more changes nothing.
        handshake.send(&hs3).await;
        let mut service = member.established(handshake, offered).await;
        let ready = next_ready(&mut member, &mut service).await;
        assert_eq!(ready.connection_id, id);
        gateway.until(id, ConnectionState::Active).await;
        // The sequence of the confirmation is not used again.
        let request = begin(&gateway, id, "address", PATIENCE);
        let asked = next_new(&mut member, &mut service).await;
        service.serve(&asked, "Main Street 1").await;
        assert!(matches!(request.await.unwrap().status, Status::Served { .. }));
        gateway.stop().await;
    }
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_are_never_used_twice_over_kills() {
    let world = World::start().await;
    let mut gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &[]).await;
    for round in 0..4 {
        for _ in 0..3 {
            let request = begin(&gateway, service.connection_id, "address", PATIENCE);
            let asked = member.next_event(&mut service, "data.request").await;
            assert_eq!(asked.freshness, Freshness::New, "{round}");
            service.serve(&asked, "Main Street 1").await;
            request.await.unwrap();
        }
        gateway.kill();
        gateway = world.gateway().await;
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_changed_on_its_way_ends_the_handshake() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let handshake = member.begin(&gateway.invite().await.link).await;
    handshake.send(&handshake.hs1).await;
    member.next_hs2(&handshake).await;
    let mut other = HandshakeMessage::read(&handshake.hs1).unwrap();
    assert!(matches!(other.step, Step::Hs1(_)));
    let mut sealed = other.c.into_bytes();
    sealed.push(0);
    other.c = vettid_wire::base64::Base64::new(sealed);
    handshake.send(&other.to_bytes().unwrap()).await;
    gateway.until(handshake.hs_id.connection_id(), ConnectionState::Aborted).await;
    gateway.stop().await;
    world.shut().await;
}

/// The key confirmation; a second message that comes once more is passed over.
async fn next_ready(member: &mut Member, service: &mut crate::world::member::Service) -> Ready {
    loop {
        let (subject, bytes) = member.next().await;
        if subject.to_string().ends_with("connection.ready") {
            let envelope = vettid_wire::envelope::Envelope::read(&bytes).unwrap();
            let opened = service.channel.open(&subject, &envelope).unwrap();
            return json::from_value(opened.content.body).unwrap();
        }
    }
}

/// The next question; a key confirmation that comes once more is passed over, and its sequence is known.
async fn next_new(member: &mut Member, service: &mut crate::world::member::Service) -> crate::world::member::Asked {
    loop {
        let (subject, bytes) = member.next().await;
        let envelope = vettid_wire::envelope::Envelope::read(&bytes).unwrap();
        let opened = service.channel.open(&subject, &envelope).unwrap();
        if subject.to_string().ends_with("connection.ready") {
            assert_eq!(opened.freshness, Freshness::Seen);
            continue;
        }
        assert_eq!(opened.freshness, Freshness::New);
        let event_id = envelope.event_id;
        return crate::world::member::Asked { event_id, body: opened.content.body, bytes, freshness: opened.freshness };
    }
}

/// Waits until the delivery of the second message is noted, so that the next growth of the state is another thing.
async fn settled(world: &World) {
    let mut last = None;
    loop {
        let now = Some(world.log_mark());
        if now == last {
            return;
        }
        last = now;
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
}
