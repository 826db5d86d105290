//! Credentials on the real server: revoked, expired, renewed, foreign. And what the server forbids, as errors.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_core::grants::trust::{SignedAccount, SignedDeletion};
use vettid_nats::clock;
use vettid_nats::connection::{Action, ConnectError, Connection, ConnectionState, RequestError};
use vettid_nats::provisioner::ProvisionError;
use vettid_testkit::broker::TestServer;
use vettid_testkit::operator::fresh_key;
use vettid_testkit::space::{Placement, Space, fresh_event};
use vettid_wire::id::ConnectionId;
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

const SOON: Duration = Duration::from_secs(10);

fn phone() -> MemberIdentity {
    MemberIdentity::App("phone".parse().unwrap())
}

fn tablet() -> MemberIdentity {
    MemberIdentity::App("tablet".parse().unwrap())
}

fn late() -> Timestamp {
    Timestamp::from_unix_ms(i64::MAX)
}

async fn reaches(connection: &Connection, wanted: ConnectionState) {
    let mut state = connection.state();
    tokio::time::timeout(SOON, state.wait_for(|state| *state == wanted)).await.unwrap().unwrap();
}

/// The server's answer to a request that nobody listens to: proof that the connection is in use.
async fn works(connection: &Connection, space: &Space) {
    let nowhere = Subject::ForVault(space.member, "not.known".parse().unwrap());
    let outcome = connection.request(&nowhere, Bytes::new(), SOON).await;
    assert!(matches!(outcome, Err(RequestError::NobodyListens)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_user_is_cut_off_at_once_and_nobody_else() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let stolen = Arc::new(fresh_key().unwrap());
    let credential = member.credential_of(&phone(), stolen.clone(), late()).unwrap();
    let endpoint = broker.endpoint().unwrap();
    let live = Connection::open(&endpoint, credential.clone()).await.unwrap();
    let bystander = broker.join(&member, &tablet()).await.unwrap();
    works(&live, &member).await;

    let (account, mut claims) = member.claims(&broker.operator).remove(0);
    claims.revoke(stolen.public(), clock::now());
    broker.push(&account, &claims).await.unwrap();

    reaches(&live, ConnectionState::Refused).await;
    assert!(matches!(Connection::open(&endpoint, credential).await, Err(ConnectError::Refused)));
    works(&bystander, &member).await;
    assert_eq!(*bystander.state().borrow(), ConnectionState::Connected);

    // A token issued after the revocation counts again: the key itself was not lost.
    let second = claims.revocations.values().copied().max().unwrap();
    tokio::time::timeout(SOON, async {
        while clock::now().unix_seconds() <= second {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let fresh = member.credential_of(&phone(), stolen, late()).unwrap();
    live.renew(fresh).await.unwrap();
    works(&live, &member).await;
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_until_it_is_lost_does_not_come_back_after_it_was_cut_off() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let user = Arc::new(fresh_key().unwrap());
    let credential = member.credential_of(&phone(), user.clone(), late()).unwrap();
    let live = Connection::open_until_lost(&broker.endpoint().unwrap(), credential, 1).await.unwrap();
    works(&live, &member).await;
    let (account, mut claims) = member.claims(&broker.operator).remove(0);
    claims.revoke(user.public(), clock::now());
    broker.push(&account, &claims).await.unwrap();
    tokio::time::timeout(SOON, live.over()).await.unwrap();
    // Nobody tells it to close: it is through with its tries.
    reaches(&live, ConnectionState::Closed).await;
    live.close().await.unwrap();
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_dropped_and_not_offered_again() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let user = Arc::new(fresh_key().unwrap());
    let short = member.credential_of(&phone(), user.clone(), clock::now().plus_ms(2_000)).unwrap();
    let connection = Connection::open(&broker.endpoint().unwrap(), short.clone()).await.unwrap();
    works(&connection, &member).await;
    reaches(&connection, ConnectionState::Refused).await;
    assert!(short.is_expired(clock::now()));
    assert!(matches!(Connection::open(&broker.endpoint().unwrap(), short).await, Err(ConnectError::Refused)));
    assert_eq!(*connection.state().borrow(), ConnectionState::Refused, "no token, no connect");

    let fresh = member.credential_of(&phone(), user, late()).unwrap();
    connection.renew(fresh).await.unwrap();
    works(&connection, &member).await;
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_ahead_and_subscriptions_live_on() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let user = Arc::new(fresh_key().unwrap());
    let first = member.credential_of(&phone(), user.clone(), clock::now().plus_ms(600_000)).unwrap();
    let app = Connection::open(&broker.endpoint().unwrap(), first).await.unwrap();
    let mut pushes = app.subscribe(&Pattern::ForApp(Some(member.member), None)).await.unwrap();

    let second = member.credential_of(&phone(), user, late()).unwrap();
    app.renew(second.clone()).await.unwrap();
    assert_eq!(app.credential().expires_at(), second.expires_at());
    works(&app, &member).await;

    let host = broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap();
    let subject = Subject::ForApp(member.member, "feed.item".parse().unwrap(), fresh_event());
    host.publish(&subject, "push".into()).await.unwrap();
    let push = tokio::time::timeout(SOON, pushes.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(push.subject, subject);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_forbids_is_an_error_of_the_operation_long_before_a_timeout() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let bob = broker.space(Placement::Hosted).await.unwrap();
    let app = broker.join(&alice, &phone()).await.unwrap();
    let forbidden = Subject::ForVault(bob.member, "data.get".parse().unwrap());
    let hour = Duration::from_secs(3600);
    let before_timeout =
        |operation| async move { tokio::time::timeout(Duration::from_secs(20), operation).await.unwrap() };

    for _ in 0..2 {
        let outcome = before_timeout(app.request(&forbidden, Bytes::new(), hour)).await;
        let Err(RequestError::Denied(denial)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((denial.action, denial.subject), (Action::Publish, forbidden.to_string()));
    }
    // Known by now, so that even sending without an answer fails.
    assert!(matches!(app.publish(&forbidden, Bytes::new()).await, Err(RequestError::Denied(_))));

    let pattern = Pattern::ForApp(Some(bob.member), None);
    let mut subscription = app.subscribe(&pattern).await.unwrap();
    let denial = tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!((denial.action, denial.subject), (Action::Subscribe, pattern.to_string()));
    assert!(matches!(app.subscribe(&pattern).await, Err(RequestError::Denied(_))));
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_forbidden_is_reported() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let peer = broker.join(&alice, &MemberIdentity::Connection(ConnectionId::from_bytes([7; 16]))).await.unwrap();
    let mut denials = peer.denials();
    let other = Subject::ForOwner(alice.member, ConnectionId::from_bytes([8; 16]), "event.refused".parse().unwrap());
    peer.publish(&other, Bytes::new()).await.unwrap();
    let denial = tokio::time::timeout(SOON, denials.recv()).await.unwrap().unwrap();
    assert_eq!(denial.subject, other.to_string());
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_strangers_are_refused() {
    let broker = TestServer::start().await.unwrap();
    let endpoint = broker.endpoint().unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();

    // A token that names the member's account but was signed by somebody else's key.
    let stranger = Space::new(Placement::Hosted).unwrap();
    let unknown_account = stranger.credential(&phone()).unwrap();
    assert!(Connection::open(&endpoint, unknown_account).await.is_err());

    // The right token, presented by somebody without its key.
    let owner = Arc::new(fresh_key().unwrap());
    let jwt = member.mint(&phone(), owner.public(), late()).unwrap().jwt;
    let bare = vettid_core::grants::credential::Credential::bearer(&phone(), member.member, jwt, clock::now());
    assert!(bare.is_err(), "only an invitation works without a key");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_stored_shown_deleted_and_erased_for_the_operator_alone() {
    let broker = TestServer::start().await.unwrap();
    let provisioner = broker.provisioner().unwrap();
    let service = broker.space(Placement::Service).await.unwrap();
    let account = service.message_account.clone();
    let own = broker.join(&service, &MemberIdentity::HomeService(service.member)).await.unwrap();
    assert!(provisioner.stored(account.as_str()).await.unwrap().is_some());

    let impostor = fresh_key().unwrap();
    let forged = SignedDeletion::sign(vec![account.clone()], clock::now(), &impostor).unwrap();
    assert!(matches!(provisioner.delete(&forged).await, Err(ProvisionError::Refused(_))));

    let order = SignedDeletion::sign(vec![account.clone()], clock::now(), &broker.operator.signing).unwrap();
    provisioner.delete(&order).await.unwrap();
    reaches(&own, ConnectionState::Refused).await;
    assert_eq!(provisioner.stored(account.as_str()).await.unwrap(), None);
    provisioner.erase(account.as_str()).await.unwrap();

    let kept = broker.folder().join("broker").join("streams").join("jetstream").join(account.as_str());
    tokio::time::timeout(SOON, async {
        while kept.join("streams").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_operator_did_not_sign_lets_nobody_in() {
    let broker = TestServer::start().await.unwrap();
    let endpoint = broker.endpoint().unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let app = broker.join(&member, &phone()).await.unwrap();

    // The member's own account, but with the keys of a thief.
    let mut thief = Space::new(Placement::Hosted).unwrap();
    thief.member = member.member;
    thief.owner_account = member.owner_account.clone();
    let (account, claims) = thief.claims(&broker.operator).remove(0);
    let impostor = fresh_key().unwrap();
    let forged = SignedAccount::sign(&claims, &account, clock::now(), &impostor).unwrap();
    // The server keeps what it is given, but believes only the operator.
    broker.provisioner().unwrap().push(&forged).await.unwrap();

    let outcome = Connection::open(&endpoint, thief.credential(&phone()).unwrap()).await;
    assert!(matches!(outcome, Err(ConnectError::Refused)), "{outcome:?}");
    works(&app, &member).await;
    works(&broker.join(&member, &tablet()).await.unwrap(), &member).await;
    broker.shut().await;
}
