//! Profiles on a connection, both ways: the newest one of the member counts, and the member hears what changes of the service.

use crate::requests::connected;
use crate::world::member::{Member, Service, rng};
use crate::world::{PATIENCE, Running};
use serde_json::json;
use std::time::Duration;
use vettid_crypto::identity::SigningKey;
use vettid_gateway::view::ProfileView;
use vettid_nats::clock;
use vettid_wire::json;
use vettid_wire::profile::{MAX_LIFE_MS, ProfileChanged, SignedProfile};

/// What the gateway shows of the member once something holds for it.
async fn shown(gateway: &Running, service: &Service, holds: impl Fn(&ProfileView) -> bool) -> (String, ProfileView) {
    let reached = async {
        loop {
            let view = gateway.connection(service.connection_id).await;
            match view.profile {
                Some(profile) if holds(&profile) => return (view.display_name, profile),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap()
}

async fn tell(service: &mut Service, profile: SignedProfile) {
    service.deliver("profile.changed", ProfileChanged { profile }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_profile_of_a_member_counts() {
    let (world, gateway, member, mut service) = connected().await;
    let of = |name: &str, sequence| member.profile_of(&member.signing, name, sequence, clock::now());
    let (name, first) = shown(&gateway, &service, |_| true).await;
    assert_eq!((name.as_str(), first.sequence, first.is_stale), ("Alice", 1, false), "the handshake brought it");

    tell(&mut service, of("Alicia", 5)).await;
    let (name, newer) = shown(&gateway, &service, |profile| profile.sequence == 5).await;
    assert_eq!((name.as_str(), &newer.public["first_name"]), ("Alicia", &json!("Alicia")));
    tell(&mut service, of("Alice before", 4)).await;
    let (name, kept) = shown(&gateway, &service, |profile| profile.is_stale).await;
    assert_eq!((name.as_str(), kept.sequence), ("Alicia", 5), "an earlier one is marked, and takes nothing away");

    let dropped = gateway.gateway().dropped_events();
    tell(&mut service, member.profile_of(&SigningKey::random(&mut rng()), "Mallory", 8, clock::now())).await;
    tell(&mut service, SignedProfile { sequence: 9, ..of("Forged", 7) }).await;
    let before = clock::now().plus_ms(-MAX_LIFE_MS - 1);
    tell(&mut service, member.profile_of(&member.signing, "Expired", 10, before)).await;
    tell(&mut service, of("Ally", 6)).await;
    let (name, last) = shown(&gateway, &service, |profile| profile.sequence == 6).await;
    assert_eq!((name.as_str(), last.is_stale), ("Ally", false), "the next good one takes the mark off");
    assert_eq!(gateway.gateway().dropped_events(), dropped + 2);
    gateway.kill();
    let gateway = world.gateway().await;
    let (name, kept) = shown(&gateway, &service, |_| true).await;
    assert_eq!((name.as_str(), kept), ("Ally", last), "it is stored");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_hear_what_changes_of_the_service_and_nothing_else() {
    let (mut world, gateway, mut member, mut service) = connected().await;
    gateway.stop().await;
    let gateway = world.gateway().await;
    assert!(member.nothing_within(Duration::from_millis(500)).await, "nothing changed");
    gateway.stop().await;
    world.config.name = "Better Shop".to_owned();
    let gateway = world.gateway().await;
    let told = next(&mut member, &mut service).await;
    assert_eq!(told.public.first_name, "Better Shop");
    let told = vettid_crypto::profile::verify(told, clock::now()).unwrap();
    assert_eq!(told.fingerprint(), gateway.gateway().fingerprint());
    assert!(told.get().sequence > 1);
    gateway.stop().await;
    world.shut().await;
}

async fn next(member: &mut Member, service: &mut Service) -> SignedProfile {
    let changed = member.next_event(service, "profile.changed").await;
    json::from_value::<ProfileChanged>(changed.body).unwrap().profile
}
