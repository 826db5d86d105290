//! Invitation, handshake, contract, key confirmation; and what must not become a connection.

use crate::world::desk::Desk;
use crate::world::member::{Member, rng};
use crate::world::{Running, World};
use std::time::Duration;
use vettid_core::handshake::Closing;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::signature::{self, Context};
use vettid_gateway::gateway::StartError;
use vettid_gateway::versions::NotNewer;
use vettid_nats::profiles::read_profile;
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::{ConnectionState, Ready};
use vettid_wire::contract::Acceptance;
use vettid_wire::handshake::{Invitation, InvitationKind, SpaceUri};
use vettid_wire::json;
use vettid_wire::profile::SignedProfile;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_connects_under_the_contract() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;

    let invited = gateway.invite().await;
    let invitation = Invitation::read(&invited.link).unwrap();
    assert_eq!(invitation.kind, InvitationKind::Service);
    assert_eq!(invitation.inviter_fp, gateway.gateway().fingerprint());
    assert_eq!(invited.expires_at.since_ms(invited.created_at), 600_000);

    let mut handshake = member.begin(&invited.link).await;
    handshake.send(&handshake.hs1).await;
    let hs2 = member.next_hs2(&handshake).await;
    let offered = member.review(&mut handshake, &hs2);
    assert_eq!(offered.contract, gateway.gateway().contract());
    let shown = offered.profile.service.clone().unwrap();
    assert_eq!((shown.origins, shown.contract), (vec!["https://shop.example".to_owned()], offered.contract.clone()));
    assert_eq!(gateway.connection(handshake.hs_id.connection_id()).await.state, ConnectionState::Requested);

    let acceptance = member.acceptance(&handshake, &offered, &["email"]);
    let closing =
        Closing { jwt: Some(member.credential_for(&offered)), acceptance: Some(acceptance.clone()), device_sig: None };
    let hs3 = member.finish(&mut handshake, closing);
    handshake.send(&hs3).await;
    let mut service = member.established(handshake, offered).await;
    let ready = member.next_event(&mut service, "connection.ready").await;
    let ready: Ready = json::from_value(ready.body).unwrap();
    let counter = ready.counter_signature.unwrap();
    assert_eq!(counter.acceptance_hash, Base64Url::new(h256(&json::canonical(&acceptance).unwrap())));
    let key = vettid_crypto::identity::VerifyingKey::from_typed(&shown_key(&service_profile(&service).await)).unwrap();
    signature::check(Context::ContractCounter, &key, counter).unwrap();

    let view = gateway.until(service.connection_id, ConnectionState::Active).await;
    assert_eq!((view.member, view.display_name.as_str()), (member.guid(), "Alice"));
    assert_eq!((view.contract_version, view.optional_fields_accepted), (1, vec!["email".to_owned()]));
    assert_eq!(world.desk.registrations(), 1);
    gateway.stop().await;
    world.shut().await;
}

pub(crate) fn shown_key(profile: &SignedProfile) -> vettid_wire::key::TypedKey {
    profile.key_record.signing_key.clone()
}

/// The profile as a connection reads it in the service's space.
pub(crate) async fn service_profile(service: &crate::world::member::Service) -> SignedProfile {
    let bytes = read_profile(&service.connection, service.guid).await.unwrap().unwrap();
    let profile: SignedProfile = json::read(&bytes).unwrap();
    vettid_crypto::profile::verify(profile.clone(), vettid_nats::clock::now()).unwrap();
    profile
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_good_for_one_member() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let (mut first, mut second) = (Member::new(&world).await, Member::new(&world).await);
    let invited = gateway.invite().await;
    let (one, two) = (first.begin(&invited.link).await, second.begin(&invited.link).await);
    one.send(&one.hs1).await;
    first.next_hs2(&one).await;
    two.send(&two.hs1).await;
    // The first message once more is answered in order, so the second one was looked at before.
    one.send(&one.hs1).await;
    first.next_hs2(&one).await;
    assert!(second.nothing_within(Duration::from_millis(300)).await);
    assert_eq!(gateway.gateway().connection_of(invited.invite_id), Some(one.hs_id.connection_id()));
    gateway.stop().await;
    world.shut().await;
}

/// Sends a first message that must lead nowhere. The message of another member behind it shows that it was looked at.
async fn refused_opening(world: &World, gateway: &Running, change: impl FnOnce(&mut vettid_core::handshake::Opening)) {
    let (member, other) = (Member::new(world).await, Member::new(world).await);
    let (invited, next) = (gateway.invite().await, gateway.invite().await);
    let handshake = member.begin_with(&invited.link, change).await;
    handshake.send(&handshake.hs1).await;
    let behind = other.begin(&next.link).await;
    behind.send(&behind.hs1).await;
    assert_eq!(gateway.until_answered(next.invite_id).await, behind.hs_id.connection_id());
    assert_eq!(gateway.gateway().connection_of(invited.invite_id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_without_what_a_service_needs_leads_nowhere() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    refused_opening(&world, &gateway, |opening| opening.claim = None).await;
    refused_opening(&world, &gateway, |opening| opening.pairwise_key = None).await;
    refused_opening(&world, &gateway, |opening| opening.nkey_pub = Some("nobody".to_owned())).await;
    refused_opening(&world, &gateway, |opening| {
        let claim = opening.claim.as_mut().unwrap();
        claim.messagespace_uri = SpaceUri::new("tls://169.254.169.254:80", claim.messagespace_uri.guid()).unwrap();
    })
    .await;
    let other = Member::new(&world).await.guid();
    refused_opening(&world, &gateway, |opening| {
        let claim = opening.claim.as_mut().unwrap();
        claim.messagespace_uri = SpaceUri::new(claim.messagespace_uri.endpoint(), other).unwrap();
    })
    .await;
    gateway.stop().await;
    world.shut().await;
}

/// Goes through the handshake with a changed acceptance; the connection must not come to be.
async fn refused_acceptance(
    world: &World,
    gateway: &Running,
    change: impl FnOnce(&Member, Acceptance) -> Option<Acceptance>,
) {
    let mut member = Member::new(world).await;
    let mut handshake = member.begin(&gateway.invite().await.link).await;
    handshake.send(&handshake.hs1).await;
    let hs2 = member.next_hs2(&handshake).await;
    let offered = member.review(&mut handshake, &hs2);
    let acceptance = change(&member, member.acceptance(&handshake, &offered, &["email"]));
    let jwt = Some(member.credential_for(&offered));
    let hs3 = member.finish(&mut handshake, Closing { jwt, acceptance, device_sig: None });
    handshake.send(&hs3).await;
    gateway.until(handshake.hs_id.connection_id(), ConnectionState::Aborted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_of_something_else_makes_no_connection() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    refused_acceptance(&world, &gateway, |_, _| None).await;
    let changes: [fn(&mut Acceptance); 8] = [
        |a| a.contract_hash = Base64Url::new([0; 32]),
        |a| a.contract_version = 2,
        |a| a.service_id = "other-shop".parse().unwrap(),
        |a| a.service_fp = a.member_fp,
        |a| a.member_fp = a.service_fp,
        |a| a.optional_fields_accepted = vec!["address".to_owned()],
        |a| a.optional_fields_accepted = vec!["email".to_owned(), "email".to_owned()],
        |a| a.sequence = 2,
    ];
    for change in changes {
        refused_acceptance(&world, &gateway, |member, mut acceptance| {
            change(&mut acceptance);
            Some(member.resigned(acceptance))
        })
        .await;
    }
    // Not signed by the member, or changed after it was signed.
    refused_acceptance(&world, &gateway, |_, acceptance| {
        let other = SigningKey::random(&mut rng());
        let unsigned = Acceptance { key_id: other.key_id(), ..acceptance };
        Some(json::from_value(signature::sign_object(Context::ContractAccept, &other, &unsigned).unwrap()).unwrap())
    })
    .await;
    refused_acceptance(&world, &gateway, |_, acceptance| {
        Some(Acceptance { optional_fields_accepted: vec![], ..acceptance })
    })
    .await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_for_another_key_makes_no_connection() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut handshake = member.begin(&gateway.invite().await.link).await;
    handshake.send(&handshake.hs1).await;
    let hs2 = member.next_hs2(&handshake).await;
    let offered = member.review(&mut handshake, &hs2);
    let acceptance = Some(member.acceptance(&handshake, &offered, &[]));
    let jwt = Some(handshake.invitation.token.clone());
    let hs3 = member.finish(&mut handshake, Closing { jwt, acceptance, device_sig: None });
    handshake.send(&hs3).await;
    gateway.until(handshake.hs_id.connection_id(), ConnectionState::Aborted).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_registers_once_and_only_with_the_right_token_at_the_right_desk() {
    let mut world = World::start().await;
    let token = world.config.services.join_token_file.clone().unwrap();
    let right = std::fs::read_to_string(&token).unwrap();
    std::fs::write(&token, "wrong").unwrap();
    let refused = Running::start(world.config.clone()).await;
    assert!(matches!(refused.err(), Some(StartError::Registration(_))));
    // Another desk with another authority.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Desk::open(&world.broker, elsewhere.path()).await;
    let own = std::mem::replace(&mut world.config.services.url, other.url());
    std::fs::write(&token, &right).unwrap();
    let refused = Running::start(world.config.clone()).await.err();
    assert!(matches!(refused, Some(StartError::Registration(_))), "{refused:?}");
    assert_eq!(other.registrations(), 0);
    world.config.services.url = own;
    let gateway = world.gateway().await;
    let guid = gateway.gateway().guid();
    gateway.stop().await;
    std::fs::remove_file(&token).unwrap();
    let gateway = world.gateway().await;
    assert_eq!((gateway.gateway().guid(), world.desk.registrations()), (guid, 1));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_contract_needs_a_version_of_its_own() {
    let world = World::start().await;
    world.gateway().await.stop().await;
    let text = std::fs::read_to_string(&world.config.contract).unwrap();
    let wider = text.replace("\"consent\"", "\"required\"");
    std::fs::write(&world.config.contract, &wider).unwrap();
    assert!(matches!(
        Running::start(world.config.clone()).await.err(),
        Some(StartError::NotNewer(NotNewer::Version(1)))
    ));
    std::fs::write(&world.config.contract, wider.replace("\"contract_version\": 1", "\"contract_version\": 2"))
        .unwrap();
    let gateway = world.gateway().await;
    assert_eq!(gateway.gateway().contract().contract_version, 2);
    gateway.stop().await;
    std::fs::write(&world.config.contract, wider.replace("\"description\"", "\"descripton\": 1, \"description\""))
        .unwrap();
    assert!(matches!(Running::start(world.config.clone()).await.err(), Some(StartError::Offer(_))));
    world.shut().await;
}
