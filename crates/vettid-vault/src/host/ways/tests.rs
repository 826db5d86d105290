//! Ways out of a vault against a real broker.

use super::*;
use crate::host::sealer::key_file::KeyFile;
use crate::host::storage_key::StorageKeys;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_testkit::broker::TestServer;
use vettid_testkit::operator::fresh_key;
use vettid_testkit::space::{Placement, fresh_event};
use vettid_wire::base64::Base64;
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// Shorter than the time after which an idle way ends by itself.
const AT_ONCE: Duration = Duration::from_secs(20);

fn post(to: MemberId, id: ConnectionId, number: u64) -> Post {
    Post {
        number,
        route: Route::Peer(id),
        subject: Subject::ForOwner(to, id, "messaging.text".parse().unwrap()),
        event_id: fresh_event(),
        delivery: Delivery::Durable,
        bytes: Base64::new(b"sealed".to_vec()),
        created_at: clock::now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_was_cut_off_ends_at_once() {
    let broker = TestServer::start().await.unwrap();
    let peer = broker.space(Placement::Hosted).await.unwrap();
    let (id, key) = (ConnectionId::from_bytes([7; 16]), Arc::new(fresh_key().unwrap()));
    let identity = MemberIdentity::Connection(id);
    let minted = peer.mint(&identity, key.public(), Timestamp::from_unix_ms(i64::MAX)).unwrap();
    let endpoint = broker.endpoint().unwrap();
    let space = SpaceUri::new(&endpoint.address, peer.member).unwrap();
    let jwt = minted.jwt.as_str().to_owned();
    let door = Door { space, identity, key: Some(key.clone()), jwt, is_refused: false };
    let (work, mut news) = mpsc::channel(QUEUE);
    let (lane, posts) = mpsc::channel(QUEUE);
    let way = tokio::spawn(run(
        Way::Peer { door, endpoint, open: None },
        posts,
        work.downgrade(),
        Arc::new(Notify::new()),
        watch::channel(None).1,
    ));
    lane.send(post(peer.member, id, 1)).await.unwrap();
    assert!(matches!(news.recv().await, Some(Work::Sent(1))));

    let (account, mut claims) = peer.claims(&broker.operator).remove(1);
    claims.revoke(key.public(), clock::now());
    broker.push(&account, &claims).await.unwrap();
    timeout(AT_ONCE, lane.closed()).await.unwrap();
    timeout(AT_ONCE, way).await.unwrap().unwrap();
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_way_ends_as_soon_as_there_is_something_else_to_show() {
    let broker = TestServer::start().await.unwrap();
    let (peer, other) =
        (broker.space(Placement::Hosted).await.unwrap(), broker.space(Placement::Hosted).await.unwrap());
    let (id, key) = (ConnectionId::from_bytes([7; 16]), Arc::new(fresh_key().unwrap()));
    let identity = MemberIdentity::Connection(id);
    let foreign = other.mint(&identity, key.public(), Timestamp::from_unix_ms(i64::MAX)).unwrap();
    let endpoint = broker.endpoint().unwrap();
    let space = SpaceUri::new(&endpoint.address, peer.member).unwrap();
    let jwt = format!("{}x", foreign.jwt.as_str());
    let door = Door { space, identity, key: Some(key.clone()), jwt, is_refused: false };
    let (work, mut news) = mpsc::channel(QUEUE);
    let (lane, posts) = mpsc::channel(QUEUE);
    let is_renewed = Arc::new(Notify::new());
    let way = Way::Peer { door, endpoint, open: None };
    let way = tokio::spawn(run(way, posts, work.downgrade(), is_renewed.clone(), watch::channel(None).1));
    lane.send(post(peer.member, id, 1)).await.unwrap();
    assert!(matches!(news.recv().await, Some(Work::NotSent(1))));
    assert!(!way.is_finished());
    is_renewed.notify_one();
    timeout(AT_ONCE, way).await.unwrap().unwrap();
    broker.shut().await;
}

/// The broker of the peer cannot be reached, so posts pile up on the way. Then the connection ends, and the broker is there again.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_on_the_way_to_a_peer_whose_connection_ended_is_dropped_but_for_the_notice() {
    let broker = TestServer::start().await.unwrap();
    let peer = broker.space(Placement::Home).await.unwrap();
    let home = MemberIdentity::HomeMessage(peer.member);
    let reader = broker.join(&peer, &home).await.unwrap();
    let mut inbox = inbox::Inbox::open(&reader, home.name().as_str(), inbox::Members::All).await.unwrap();
    let (id, key) = (ConnectionId::from_bytes([7; 16]), Arc::new(fresh_key().unwrap()));
    let identity = MemberIdentity::Connection(id);
    let minted = peer.mint(&identity, key.public(), Timestamp::from_unix_ms(i64::MAX)).unwrap();
    let endpoint = broker.endpoint().unwrap();
    let space = SpaceUri::new(&endpoint.address, peer.member).unwrap();
    let jwt = minted.jwt.as_str().to_owned();
    // Whoever connects here waits for ever: nobody answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = Endpoint { address: format!("tls://{}", silent.local_addr().unwrap()), ..endpoint.clone() };
    let door = Door { space, identity, key: Some(key), jwt, is_refused: false };
    let (work, mut news) = mpsc::channel(QUEUE);
    let (lane, posts) = mpsc::channel(QUEUE);
    let (gate, is_ended) = watch::channel(None);
    let way = Way::Peer { door, endpoint: nowhere, open: None };
    let post = |number| Post {
        delivery: if number == 0 { Delivery::BestEffort } else { Delivery::Durable },
        bytes: Base64::new(vec![u8::try_from(number).unwrap()]),
        ..post(peer.member, id, number)
    };
    for number in [1, 0, 2, 3] {
        lane.send(post(number)).await.unwrap();
    }
    let first = tokio::spawn(run(way, posts, work.downgrade(), Arc::new(Notify::new()), is_ended));
    // The way is on its first attempt; everything is still in it.
    let (held, _) = timeout(AT_ONCE, silent.accept()).await.unwrap().unwrap();
    gate.send_replace(Some(Ended { connection: id, notice: Some(3) }));
    for dropped in [1, 2] {
        let news = timeout(AT_ONCE, news.recv()).await.unwrap();
        assert!(matches!(news, Some(Work::NotSent(number)) if number == dropped), "{dropped}");
    }
    first.abort();
    drop((held, silent));

    // The same on a way whose broker is there: the notice alone arrives.
    let door = Door {
        space: SpaceUri::new(&endpoint.address, peer.member).unwrap(),
        identity: MemberIdentity::Connection(id),
        key: Some(Arc::new(fresh_key().unwrap())),
        jwt: String::new(),
        is_refused: false,
    };
    let user = door.key.clone().unwrap();
    let minted = peer.mint(&door.identity, user.public(), Timestamp::from_unix_ms(i64::MAX)).unwrap();
    let door = Door { jwt: minted.jwt.as_str().to_owned(), ..door };
    let (lane, posts) = mpsc::channel(QUEUE);
    for number in [4, 0, 5, 6, 7] {
        lane.send(post(number)).await.unwrap();
    }
    let (gate, is_ended) = watch::channel(Some(Ended { connection: id, notice: Some(6) }));
    let way = Way::Peer { door, endpoint, open: None };
    let second = tokio::spawn(run(way, posts, work.downgrade(), Arc::new(Notify::new()), is_ended));
    let arrived = timeout(AT_ONCE, inbox.next()).await.unwrap().unwrap();
    assert_eq!(arrived.payload.as_ref(), [6]);
    drop(lane);
    timeout(AT_ONCE, second).await.unwrap().unwrap();
    drop(gate);
    assert!(timeout(Duration::from_millis(200), inbox.next()).await.is_err(), "something else arrived");
    broker.shut().await;
}

fn lane() -> (Lane, mpsc::Receiver<Post>) {
    let (posts, way) = mpsc::channel(QUEUE);
    let (is_renewed, gate) = (Arc::new(Notify::new()), watch::channel(None).0);
    (Lane { posts, token: None, is_renewed, gate }, way)
}

#[tokio::test]
async fn only_what_has_an_open_way_leaves_before_memory_follows() {
    let broker = TestServer::start().await.unwrap();
    let space = broker.space(Placement::Home).await.unwrap();
    let publisher = broker.join(&space, &MemberIdentity::HomeOwner(space.member)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sealer = KeyFile::open_or_create(&folder.path().join("host.key"), &mut UnwrapErr(SysRng)).unwrap();
    let keys = StorageKeys::new(folder.path().join("vaults"), Box::new(sealer)).unwrap();
    let brokers = Arc::new(Brokers::open(&keys, broker.endpoint().unwrap(), Arc::default()).unwrap());
    let kem = KemSecretKey::generate(Suite::X25519, &mut UnwrapErr(SysRng)).unwrap().public_key();
    let fingerprint = SigningKey::random(&mut UnwrapErr(SysRng)).verifying_key().fingerprint();
    let (work, _news) = mpsc::channel(QUEUE);
    let services = Arc::new(ServicesKeys { fingerprint, kem });
    let sender = Sender { publisher, brokers, services, work: work.downgrade() };
    let mut ways = Ways::new(space.member, sender, Visits::default());

    let [open, closed, new] = [1, 2, 3].map(|byte| ConnectionId::from_bytes([byte; 16]));
    let (kept, mut posts) = lane();
    // As a way does: it has what it was given at hand as soon as it runs.
    let (taken, mut way) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(post) = posts.recv().await {
            taken.send(post.number).unwrap();
        }
    });
    ways.lanes.insert(Route::Peer(open), kept);
    ways.lanes.insert(Route::Peer(closed), lane().0);
    let post = |number, id| post(space.member, id, number);
    let posts = vec![post(1, new), post(2, open), post(3, closed), post(4, open), post(2, open)];
    let others = ways.send_on_open(posts).await;
    // Nothing has waited since then, so whatever is here left before the vault went on.
    let left: Vec<_> = std::iter::from_fn(|| way.try_recv().ok()).collect();
    assert_eq!(others.iter().map(|post| post.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(left, [2, 4], "in their order, and once");
    broker.shut().await;
}
