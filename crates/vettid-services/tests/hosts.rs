//! Hosts and services: joining, renewing, and what is refused.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::Receiver;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::{AccountKey, AccountPublic, UserKey};
use vettid_crypto::profile;
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, ConnectionState};
use vettid_nats::streams::{self, InitialisationMark, StreamLimits, StreamPlan};
use vettid_testkit::operator::fresh_key;
use vettid_wire::directory::{DirectoryEntry, Level};
use vettid_wire::enrolment::{HostJoined, JoinHost, RegisterService, ServiceRegistered};
use vettid_wire::id::MemberId;
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::SignedProfile;
use world::World;
use world::host::request;

fn user() -> UserKey {
    fresh_key().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_with_the_operators_token_only() {
    let world = World::start().await;
    let host_id = "host-a".parse().unwrap();
    let join = request(&host_id, &user(), &user());
    for token in [None, Some("x"), Some(world.services.service_token().as_str())] {
        assert_eq!(world.post("/v1/hosts", token, &join).await.refusal(), (401, "unauthorized"));
    }
    let joined: HostJoined = world.join(&join).await.ok();
    let life_ms = joined.expires_at.since_ms(clock::now());
    let month_ms = 30 * 24 * 3_600_000;
    assert!((month_ms - 60_000..=month_ms).contains(&life_ms), "{life_ms}");
    let nkey = join.subscriber_nkey.clone();
    for wrong in [
        JoinHost { publisher_nkey: nkey, ..join.clone() },
        JoinHost { host_id: "host-b".parse().unwrap(), ..join.clone() },
    ] {
        assert_eq!(world.join(&wrong).await.refusal(), (409, "conflict"), "{wrong:?}");
    }
    let malformed = JoinHost { subscriber_nkey: "UAAA".into(), ..join };
    assert_eq!(world.join(&malformed).await.refusal(), (400, "invalid_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn join_tokens_are_files_for_the_operators_user_alone() {
    let world = World::start().await;
    for (name, token) in
        [("host.token", world.services.host_token()), ("service.token", world.services.service_token())]
    {
        let path = world.folder.path().join("data/join").join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), token);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let folder = std::fs::metadata(world.folder.path().join("data")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_keeps_the_old_credential_alive_and_new_keys_cut_it_off() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let publishing = host.publishing(&world).await.unwrap();
    let renewed = host.renew(&world).await;
    assert!(renewed.expires_at >= host.joined.expires_at);
    publishing.settle().await.unwrap();

    let other = request(&host.host_id, &user(), &user());
    world.join(&other).await.ok::<HostJoined>();
    let mut state = publishing.state();
    let cut_off = state.wait_for(|state| *state == ConnectionState::Refused);
    tokio::time::timeout(Duration::from_secs(5), cut_off).await.unwrap().unwrap();
    assert!(matches!(host.publishing(&world).await, Err(ConnectError::Refused)));
    let world = world.restart().await;
    assert!(matches!(host.publishing(&world).await, Err(ConnectError::Refused)), "also after a restart");
}

struct TestService {
    account: AccountKey,
    home: AccountKey,
    registration: RegisterService,
}

fn service(name: &str, number: u8) -> TestService {
    let [account, home, connection, claim]: [AccountKey; 4] = std::array::from_fn(|_| fresh_key().unwrap());
    let registration = RegisterService {
        service_id: name.parse().unwrap(),
        guid: MemberId::from_bytes([number; 16]),
        account_nkey: account.public().to_string(),
        vault_signing_nkey: home.public().to_string(),
        connection_signing_nkey: connection.public().to_string(),
        claim_signing_nkey: claim.public().to_string(),
    };
    TestService { account, home, registration }
}

async fn connect(world: &World, service: &TestService) -> Result<Connection, ConnectError> {
    let guid = service.registration.guid;
    let key: Arc<UserKey> = Arc::new(user());
    let identity = MemberIdentity::HomeService(guid);
    let minted = mint::member(&identity, key.public(), service.account.public(), &service.home, clock::now()).unwrap();
    let credential = Credential::member(&identity, guid, key, minted.jwt, clock::now()).unwrap();
    Connection::open(&world.endpoint(), credential).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_registers_connects_and_makes_its_streams() {
    let world = World::start().await;
    let shop = service("shop", 1);
    let token = world.services.service_token();
    for wrong in [None, Some(world.services.host_token().as_str())] {
        assert_eq!(world.post("/v1/services", wrong, &shop.registration).await.refusal(), (401, "unauthorized"));
    }
    assert!(connect(&world, &shop).await.is_err());
    let registered: ServiceRegistered = world.post("/v1/services", Some(&token), &shop.registration).await.ok();
    assert_eq!(registered.nats_endpoint, world.services.nats_endpoint());
    let connection = connect(&world, &shop).await.unwrap();
    let limits = StreamLimits { inbox_bytes: 64 << 20, ..StreamLimits::default() };
    let mark = InitialisationMark::at(world.folder.path().join("shop.made"));
    streams::initialise(&connection, &StreamPlan::home(Receiver::Service, limits), &mark).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(world.post("/v1/services", Some(&token), &shop.registration).await.status, 200, "again is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_takes_nobody_elses_place() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let token = world.services.service_token();
    let shop = service("shop", 1);
    world.post("/v1/services", Some(&token), &shop.registration).await.ok::<ServiceRegistered>();
    let other = service("bank", 2).registration;
    let taken = shop.registration.clone();
    let cases = [
        (RegisterService { account_nkey: other.account_nkey.clone(), ..taken.clone() }, "moved"),
        (RegisterService { account_nkey: taken.account_nkey.clone(), ..other.clone() }, "account of another"),
        (RegisterService { claim_signing_nkey: taken.claim_signing_nkey.clone(), ..other.clone() }, "key of another"),
        (RegisterService { guid: taken.guid, ..other.clone() }, "space of another"),
        (RegisterService { guid: alice.guid, ..other.clone() }, "space of a member"),
        (RegisterService { account_nkey: other.claim_signing_nkey.clone(), ..other.clone() }, "one key twice"),
    ];
    for (case, what) in cases {
        assert_eq!(world.post("/v1/services", Some(&token), &case).await.refusal(), (409, "conflict"), "{what}");
    }
    let malformed = RegisterService { account_nkey: user().public().to_string(), ..other };
    assert_eq!(world.post("/v1/services", Some(&token), &malformed).await.refusal(), (400, "invalid_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_taken_in_has_room_for_its_streams() {
    let world = World::start().await;
    let token = world.services.service_token();
    let shops: Vec<_> = (1..=3).map(|number| service(&format!("shop-{number}"), number)).collect();
    for shop in &shops[..2] {
        world.post("/v1/services", Some(&token), &shop.registration).await.ok::<ServiceRegistered>();
    }
    let full = world.post("/v1/services", Some(&token), &shops[2].registration).await;
    assert_eq!(full.refusal(), (503, "no_room"));
    for shop in &shops[..2] {
        let connection = connect(&world, shop).await.unwrap();
        let limits = StreamLimits { inbox_bytes: 64 << 20, ..StreamLimits::default() };
        let mark = InitialisationMark::at(world.folder.path().join(format!("{}.made", shop.registration.service_id)));
        streams::initialise(&connection, &StreamPlan::home(Receiver::Service, limits), &mark).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_says_who_it_is_and_where_services_are() {
    let world = World::start().await;
    let shop = service("shop", 1);
    let token = world.services.service_token();
    world.post("/v1/services", Some(&token), &shop.registration).await.ok::<ServiceRegistered>();
    let entry: DirectoryEntry = world.get("/v1/registry/services/shop", None).await.ok();
    let messagespace_uri = format!("{}/{}", world.services.nats_endpoint(), shop.registration.guid);
    assert_eq!((entry.service_id.as_str(), entry.guid), ("shop", shop.registration.guid));
    assert_eq!((entry.messagespace_uri, entry.standing.level), (messagespace_uri, Level::Unverified));
    for unknown in ["bank", "Shop", "%2e%2e", "a.b"] {
        let answer = world.get(&format!("/v1/registry/services/{unknown}"), None).await;
        assert_eq!(answer.refusal(), (404, "not_found"), "{unknown}");
    }
    let profile = world.get("/v1/registry/profile", None).await.ok::<SignedProfile>();
    let verified = profile::verify(profile.clone(), clock::now()).unwrap();
    assert_eq!(verified.key_record().record().role, KeyRole::Registry);
    assert_eq!(world.get("/v1/registry/profile", None).await.ok::<SignedProfile>(), profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_operator_are_refused_from_everybody() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let account: AccountPublic = vettid_crypto::nats::user::UserClaims::received(
        &vettid_crypto::nats::token::UserJwt::unchecked(host.joined.publisher_jwt.clone()),
        clock::now(),
    )
    .unwrap()
    .account;
    let token = world.services.service_token();
    let bad = RegisterService { account_nkey: account.to_string(), ..service("shop", 1).registration };
    assert_eq!(world.post("/v1/services", Some(&token), &bad).await.refusal(), (409, "conflict"));
    host.publishing(&world).await.unwrap().settle().await.unwrap();
}
