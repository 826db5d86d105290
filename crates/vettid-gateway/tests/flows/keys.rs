//! The gateway changes its signing keys on a real broker: with an overlap, over a kill in the middle, and at once where somebody may know them.

use crate::http::Program;
use crate::requests::{begin, connected};
use crate::world::member::{Member, Service};
use crate::world::{PATIENCE, Running};
use serde_json::{Value, json};
use vettid_gateway::view::Status;
use vettid_wire::data::Keep;
use vettid_wire::inventory::{KeyHolder, KeyInventory, KeyPolicy, KeyUse, KeyView};

async fn keys(program: &Program) -> Vec<KeyView> {
    let (status, body) = program.get("/v1/keys").await;
    assert_eq!(status, 200);
    serde_json::from_value::<KeyInventory>(body).unwrap().keys
}

fn one(keys: &[KeyView], role: KeyUse) -> KeyView {
    let mut found = keys.iter().filter(|key| key.role == role && key.connection_id.is_none());
    let key = found.next().unwrap().clone();
    assert!(found.next().is_none());
    key
}

async fn signing(program: &Program) -> [String; 3] {
    let keys = keys(program).await;
    [KeyUse::VaultSigning, KeyUse::ConnectionSigning, KeyUse::ClaimSigning].map(|role| one(&keys, role).id)
}

async fn rotate(program: &Program, cuts_off: bool) {
    let (status, made) = program.post("/v1/keys/rotate", json!({"cuts_off": cuts_off})).await;
    assert!(status == 200 && made["since"].is_string(), "{made}");
}

/// Waits until other keys sign.
async fn changed(program: &Program, before: &[String; 3]) -> [String; 3] {
    let changed = async {
        loop {
            let now = signing(program).await;
            if now != *before {
                return now;
            }
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap()
}

fn issuer(service: &Service) -> String {
    let claims: vettid_wire::base64::Base64Url = service.jwt.as_str().split('.').nth(1).unwrap().parse().unwrap();
    let claims: Value = serde_json::from_slice(claims.as_bytes()).unwrap();
    claims["iss"].as_str().unwrap().to_owned()
}

/// A question there and its answer back.
async fn goes_on(gateway: &Running, member: &mut Member, service: &mut Service) {
    let request = begin(gateway, service.connection_id, "address", PATIENCE);
    let asked = member.next_event(service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    let served =
        Status::Served { field: "address".to_owned(), value: "Main Street 1".into(), keep: Keep::UntilRevoked };
    assert_eq!(request.await.unwrap().status, served);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_the_gateway_is_listed() {
    let (world, gateway, _member, service) = connected().await;
    let program = Program::of(&world, &gateway);
    let all = keys(&program).await;
    assert!(all.iter().all(|key| key.holder == KeyHolder::Gateway));
    for role in [KeyUse::Identity, KeyUse::Session, KeyUse::MessageAccount, KeyUse::BrokerUser, KeyUse::Storage] {
        assert!(!one(&all, role).id.is_empty());
    }
    let signs = one(&all, KeyUse::ConnectionSigning);
    let storage = one(&all, KeyUse::Storage);
    assert!(storage.since.is_some() && storage.since <= signs.since, "made before everything that it seals");
    assert_eq!((signs.policy, &signs.id), (KeyPolicy::Signing, &issuer(&service)));
    assert!(signs.next_rotation > signs.since);
    let of_connection: Vec<_> =
        all.iter().filter(|key| key.connection_id == Some(service.connection_id)).map(|key| key.role).collect();
    assert_eq!(of_connection, [KeyUse::Epoch, KeyUse::Epoch, KeyUse::BrokerUser]);
    gateway.stop().await;
    let gateway = world.gateway().await;
    let after = keys(&Program::of(&world, &gateway)).await;
    assert_eq!(one(&after, KeyUse::Storage), storage, "it is as old as before");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_get_credentials_of_the_new_keys_and_former_ones_last_until_the_next_change() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let first = signing(&program).await;
    let of_first = service.jwt.clone();
    rotate(&program, false).await;
    let second = changed(&program, &first).await;
    assert!(second.iter().all(|key| !first.contains(key)), "all three are new");
    member.take_credential(&mut service).await;
    assert_eq!(issuer(&service), second[1]);
    assert!(member.comes_in(&service, &of_first).await.is_some(), "the overlap");
    goes_on(&gateway, &mut member, &mut service).await;

    let of_second = service.jwt.clone();
    rotate(&program, false).await;
    let third = changed(&program, &second).await;
    member.take_credential(&mut service).await;
    assert_eq!(issuer(&service), third[1]);
    assert!(member.comes_in(&service, &of_second).await.is_some(), "the overlap");
    assert!(member.comes_in(&service, &of_first).await.is_none(), "two changes ago");
    goes_on(&gateway, &mut member, &mut service).await;
    // Invitations are signed by the new key, and the whole handshake works under the new keys.
    Member::new(&world).await.connect(&gateway, &[]).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_know_is_cut_off_at_once_and_everybody_goes_on() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let (first, of_first) = (signing(&program).await, service.jwt.clone());
    rotate(&program, true).await;
    let second = changed(&program, &first).await;
    member.take_credential(&mut service).await;
    assert_eq!(issuer(&service), second[1]);
    assert!(member.comes_in(&service, &of_first).await.is_none());
    // The gateway's own user was cut off with them, and is back.
    goes_on(&gateway, &mut member, &mut service).await;
    assert!(gateway.gateway().is_healthy());
    gateway.stop().await;
    world.shut().await;
}

/// The clock that the upkeep gets is set on; the keys, what is announced, the broker and the member are the real ones.
#[tokio::test(flavor = "multi_thread")]
async fn after_ninety_days_other_keys_sign_and_a_member_answers_with_what_they_signed() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let (first, of_first) = (signing(&program).await, service.jwt.clone());
    let due_at = one(&keys(&program).await, KeyUse::ConnectionSigning).next_rotation.unwrap();
    gateway.gateway().keep_signing_keys(due_at.plus_ms(-1)).await.unwrap();
    assert_eq!(signing(&program).await, first, "a millisecond before");
    assert_eq!(world.desk.rotations(), 0);

    world.desk.is_deaf(true);
    gateway.gateway().keep_signing_keys(due_at).await.unwrap_err();
    assert_eq!(signing(&program).await, first, "services do not know them yet");
    world.desk.is_deaf(false);
    gateway.gateway().keep_signing_keys(due_at.plus_ms(30_000)).await.unwrap();
    let second = signing(&program).await;
    assert!(second.iter().all(|key| !first.contains(key)), "all three are new");
    let signs = one(&keys(&program).await, KeyUse::ConnectionSigning);
    assert_eq!((signs.since, signs.policy), (Some(due_at), KeyPolicy::Signing), "those that waited, not others");
    member.take_credential(&mut service).await;
    assert_eq!(issuer(&service), second[1]);
    goes_on(&gateway, &mut member, &mut service).await;
    assert!(member.comes_in(&service, &of_first).await.is_some(), "the overlap");

    gateway.gateway().keep_signing_keys(due_at.plus_ms(60_000)).await.unwrap();
    assert_eq!(
        (signing(&program).await, world.desk.rotations()),
        (second, 1),
        "nothing is due for another ninety days"
    );
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_services_did_not_confirm_sign_nothing_and_do_after_a_kill() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let first = signing(&program).await;
    world.desk.is_deaf(true);
    rotate(&program, true).await;
    goes_on(&gateway, &mut member, &mut service).await;
    assert_eq!(signing(&program).await, first, "services do not have the new ones");
    gateway.kill();
    world.desk.is_deaf(false);
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let second = signing(&program).await;
    assert_ne!(second, first, "they were kept, and sign from the start");
    member.take_credential(&mut service).await;
    assert_eq!(issuer(&service), second[1]);
    goes_on(&gateway, &mut member, &mut service).await;
    // The services' answer is on record: nothing changes at the next start.
    gateway.stop().await;
    let gateway = world.gateway().await;
    assert_eq!(signing(&Program::of(&world, &gateway)).await, second);
    gateway.stop().await;
    world.shut().await;
}
