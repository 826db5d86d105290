//! A vault has a user cut off, and nobody else can.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::UserKey;
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, ConnectionState, RequestError};
use vettid_testkit::operator::fresh_key;
use vettid_wire::enrolment::RevokeUser;
use vettid_wire::event::{self, EventRow as _};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::subject::Subject;
use world::World;
use world::host::{TestHost, VaultOfTest, stranger};
use world::letter::Letter;

struct AppOfTest {
    key: Arc<UserKey>,
    credential: Credential,
}

impl AppOfTest {
    fn of(guid: MemberId, vault: &VaultOfTest) -> Self {
        let key: Arc<UserKey> = Arc::new(fresh_key().unwrap());
        let identity = MemberIdentity::App("phone".parse().unwrap());
        let account = vault.owner_account.public();
        let minted = mint::member(&identity, key.public(), account, &vault.app_signing, clock::now()).unwrap();
        let credential = Credential::member(&identity, guid, key.clone(), minted.jwt, clock::now()).unwrap();
        Self { key, credential }
    }

    async fn open(&self, world: &World) -> Result<Connection, ConnectError> {
        Connection::open(&world.endpoint(), self.credential.clone()).await
    }

    fn request(&self, vault: &VaultOfTest) -> RevokeUser {
        RevokeUser {
            account_nkey: vault.owner_account.public().to_string(),
            user_nkey: self.key.public().to_string(),
            revoked_at: clock::now(),
        }
    }
}

fn letter<'a>(guid: MemberId, vault: &'a VaultOfTest, request: &RevokeUser) -> Letter<'a> {
    Letter::new::<event::RevokeUser>(guid, vault, request)
}

struct PeerOfTest {
    key: Arc<UserKey>,
    credential: Credential,
}

impl PeerOfTest {
    fn of(guid: MemberId, vault: &VaultOfTest, id: ConnectionId) -> Self {
        let key: Arc<UserKey> = Arc::new(fresh_key().unwrap());
        let identity = MemberIdentity::Connection(id);
        let account = vault.message_account.public();
        let minted = mint::member(&identity, key.public(), account, &vault.connection_signing, clock::now()).unwrap();
        let credential = Credential::member(&identity, guid, key.clone(), minted.jwt, clock::now()).unwrap();
        Self { key, credential }
    }

    async fn open(&self, world: &World) -> Result<Connection, ConnectError> {
        Connection::open(&world.endpoint(), self.credential.clone()).await
    }
}

fn subject(guid: MemberId) -> Subject {
    Subject::ForServices(guid, event::RevokeUser::ROW.event_type())
}

async fn vault(world: &World, host: &TestHost, name: &str) -> (MemberId, Arc<VaultOfTest>) {
    let member = world.member(name).await;
    member.app(world).await;
    (member.guid, host.vault(member.guid))
}

async fn is_cut_off(connection: &Connection) {
    let mut state = connection.state();
    let refused = state.wait_for(|state| *state == ConnectionState::Refused);
    tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_user_is_cut_off_at_once_and_for_good() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let (guid, alice) = vault(&world, &host, "alice").await;
    let publishing = host.publishing(&world).await.unwrap();
    let (lost, kept) = (AppOfTest::of(guid, &alice), AppOfTest::of(guid, &alice));
    let (lost_phone, kept_phone) = (lost.open(&world).await.unwrap(), kept.open(&world).await.unwrap());
    let revoked =
        letter(guid, &alice, &lost.request(&alice)).send::<event::RevokeUser>(&host.joined, &publishing).await.unwrap();
    assert_eq!(revoked.user_nkey, lost.key.public().to_string());
    is_cut_off(&lost_phone).await;
    assert!(matches!(lost.open(&world).await, Err(ConnectError::Refused)));
    assert_eq!(*kept_phone.state().borrow(), ConnectionState::Connected);
    kept.open(&world).await.unwrap();

    // A new code pushes the account again, and the revocation with it; so does a restart.
    let world = world.restart().await;
    assert!(matches!(lost.open(&world).await, Err(ConnectError::Refused)));
    kept.open(&world).await.unwrap();
}

/// What a connection was let in with is worth nothing once the connection ended, however long it would still run.
#[tokio::test(flavor = "multi_thread")]
async fn the_credential_of_an_ended_connection_is_refused() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let (guid, alice) = vault(&world, &host, "alice").await;
    let publishing = host.publishing(&world).await.unwrap();
    let peers = [1, 2].map(|n| PeerOfTest::of(guid, &alice, ConnectionId::from_bytes([n; 16])));
    let [ended, other] = &peers;
    let (ended_way, other_way) = (ended.open(&world).await.unwrap(), other.open(&world).await.unwrap());
    let request = RevokeUser {
        account_nkey: alice.message_account.public().to_string(),
        user_nkey: ended.key.public().to_string(),
        revoked_at: clock::now(),
    };
    letter(guid, &alice, &request).send::<event::RevokeUser>(&host.joined, &publishing).await.unwrap();
    is_cut_off(&ended_way).await;
    assert!(matches!(ended.open(&world).await, Err(ConnectError::Refused)));
    assert_eq!(*other_way.state().borrow(), ConnectionState::Connected);
    other.open(&world).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pushing_an_account_again_keeps_its_revocations() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let member = world.member("alice").await;
    member.app(&world).await;
    let alice = host.vault(member.guid);
    let publishing = host.publishing(&world).await.unwrap();
    let lost = AppOfTest::of(member.guid, &alice);
    letter(member.guid, &alice, &lost.request(&alice))
        .send::<event::RevokeUser>(&host.joined, &publishing)
        .await
        .unwrap();
    member.app(&world).await;
    assert!(matches!(lost.open(&world).await, Err(ConnectError::Refused)));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_requests_get_no_answer_and_have_no_effect() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let (guid, alice) = vault(&world, &host, "alice").await;
    let (bobs_guid, bob) = vault(&world, &host, "bob").await;
    let publishing = host.publishing(&world).await.unwrap();
    let app = AppOfTest::of(guid, &alice);
    let phone = app.open(&world).await.unwrap();
    let request = app.request(&alice);
    let genuine = || letter(guid, &alice, &request);
    let other = stranger();
    let mut in_future = request.clone();
    in_future.revoked_at = clock::now().plus_ms(3_600_000);
    let mut unknown_user = request.clone();
    unknown_user.user_nkey = "*".into();
    let mut more = genuine();
    more.body.insert("extra".into(), true.into());
    let forged = [
        ("signed by a stranger", Letter { signer: &other, ..genuine() }),
        ("signed and sealed by a stranger", Letter { signer: &other, sender: &other, ..genuine() }),
        ("bob in his own name, about alice", letter(bobs_guid, &bob, &request)),
        ("bob in her name", Letter { signer: &bob.identity, sender: &bob.identity, ..genuine() }),
        ("sealed for another subject", Letter { subject_in_header: subject(bobs_guid), ..genuine() }),
        ("of a member who is not", Letter { guid: MemberId::from_bytes([9; 16]), ..genuine() }),
        ("in the future", letter(guid, &alice, &in_future)),
        ("everybody", letter(guid, &alice, &unknown_user)),
        ("an unknown field", more),
    ];
    let outcomes = forged.map(|(what, letter)| {
        let (joined, publishing) = (host.joined.clone(), publishing.clone());
        async move { (what, letter.send::<event::RevokeUser>(&joined, &publishing).await) }
    });
    for (what, outcome) in join_all(outcomes).await {
        assert!(matches!(outcome, Err(RequestError::TimedOut)), "{what}: {outcome:?}");
    }
    assert_eq!(*phone.state().borrow(), ConnectionState::Connected);
    app.open(&world).await.unwrap();
    genuine().send::<event::RevokeUser>(&host.joined, &publishing).await.unwrap();
    is_cut_off(&phone).await;
}
