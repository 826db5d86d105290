//! Durable events on the real server: stored before the sender is told, delivered until they are done, in order, to the
//! host that serves the member.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../raw/mod.rs"]
mod raw;
mod removal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;

use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::api::ApiError;
use vettid_nats::connection::Connection;
use vettid_nats::inbox::{Inbox, InboxError, InboxMessage, Members, deliver};
use vettid_testkit::broker::TestServer;
use vettid_testkit::observer::Power;
use vettid_testkit::space::{Placement, Space, fresh_event};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::subject::Subject;

const HOST: &str = "host-1";
const SOON: Duration = Duration::from_secs(10);

fn peer() -> ConnectionId {
    ConnectionId::from_bytes([7; 16])
}

fn text_for(member: MemberId) -> Subject {
    Subject::ForOwner(member, peer(), "messaging.text".parse().unwrap())
}

async fn sender(broker: &TestServer, space: &Space) -> Connection {
    broker.join(space, &MemberIdentity::Connection(peer())).await.unwrap()
}

async fn send(sender: &Connection, member: MemberId, texts: &[&str]) {
    for text in texts {
        deliver(sender, &text_for(member), fresh_event(), (*text).to_owned().into()).await.unwrap();
    }
}

async fn host(broker: &TestServer, name: &str, members: Members) -> Inbox {
    let connection = broker.connect(OperatorRole::HostSubscribing, name).await.unwrap();
    Inbox::open(&connection, name, members).await.unwrap()
}

async fn next(inbox: &mut Inbox) -> InboxMessage {
    tokio::time::timeout(SOON, inbox.next()).await.unwrap().unwrap()
}

/// The next events, done at once.
async fn take(inbox: &mut Inbox, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let message = next(inbox).await;
        texts.push(String::from_utf8(message.payload.to_vec()).unwrap());
        message.done().await.unwrap();
    }
    texts
}

/// How many events the stream of the hosts holds.
async fn waiting(broker: &TestServer) -> u64 {
    let credential = broker.operator.credential(OperatorRole::HostAdmin, "admin").unwrap();
    number(broker, credential, "$JS.API.STREAM.INFO.INBOX", "/state/messages").await
}

/// How many events the server has sent to the host and not heard of since.
async fn in_hand(broker: &TestServer) -> u64 {
    let credential = broker.operator.credential(OperatorRole::HostSubscribing, HOST).unwrap();
    number(broker, credential, "$JS.API.CONSUMER.INFO.INBOX.host-1", "/num_ack_pending").await
}

async fn number(broker: &TestServer, credential: Credential, api: &'static str, place: &str) -> u64 {
    let client = raw::connect(&broker.endpoint().unwrap(), credential, unbounded_channel().0).await;
    let answer = client.request(api, "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    info.pointer(place).unwrap().as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_delivered_in_order_and_gone_when_they_are_done() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    send(&sender, member.member, &["one", "two", "three"]).await;
    assert_eq!(waiting(&broker).await, 3);
    let mut inbox = host(&broker, HOST, Members::All).await;
    assert_eq!(take(&mut inbox, 3).await, ["one", "two", "three"]);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_sent_twice_is_stored_once() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    let event = fresh_event();
    for _ in 0..3 {
        deliver(&sender, &text_for(member.member), event, "once".into()).await.unwrap();
    }
    assert_eq!(waiting(&broker).await, 1);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_until_it_is_done_or_given_up_and_counts() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    send(&sender, member.member, &["poison"]).await;
    let mut inbox = host(&broker, HOST, Members::All).await;
    for deliveries in 1..=5 {
        let message = next(&mut inbox).await;
        assert_eq!(message.deliveries, deliveries);
        message.in_progress().await.unwrap();
        message.later(Duration::ZERO).await.unwrap();
    }
    let message = next(&mut inbox).await;
    assert_eq!(message.deliveries, 6);
    message.give_up().await.unwrap();
    send(&sender, member.member, &["next"]).await;
    assert_eq!(take(&mut inbox, 1).await, ["next"]);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_survives_a_restart_of_the_server_and_what_was_done_does_not_come_back() {
    let mut broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    let mut inbox = host(&broker, HOST, Members::All).await;
    send(&sender, member.member, &["one"]).await;
    assert_eq!(take(&mut inbox, 1).await, ["one"]);
    inbox.close().await.unwrap();
    send(&sender, member.member, &["two"]).await;
    broker.stop().await.unwrap();
    broker.run().await.unwrap();

    let mut inbox = host(&broker, HOST, Members::All).await;
    assert_eq!(take(&mut inbox, 1).await, ["two"]);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

/// The next events, done soon.
async fn take_soon(inbox: &mut Inbox, count: usize) {
    for _ in 0..count {
        next(inbox).await.done_soon().await.unwrap();
    }
}

/// Waits until the stream of the hosts holds so many events.
async fn left(broker: &TestServer, count: u64) {
    let fewer = async { while waiting(broker).await != count {} };
    tokio::time::timeout(SOON, fewer).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_soon_is_gone_when_nothing_arrives_any_more_and_when_the_inbox_is_closed() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    let mut inbox = host(&broker, HOST, Members::All).await;
    send(&sender, member.member, &["one", "two", "three"]).await;
    take_soon(&mut inbox, 3).await;
    left(&broker, 0).await;

    send(&sender, member.member, &["four", "five"]).await;
    take_soon(&mut inbox, 2).await;
    inbox.close().await.unwrap();
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_closes_gives_back_what_it_fetched_and_the_count_stays() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = sender(&broker, &member).await;
    let mut inbox = host(&broker, HOST, Members::All).await;
    send(&sender, member.member, &["one", "two", "three"]).await;
    let first = next(&mut inbox).await;
    while in_hand(&broker).await < 3 {}
    first.later(Duration::from_millis(500)).await.unwrap();
    inbox.close().await.unwrap();

    let mut inbox = host(&broker, HOST, Members::All).await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        let message = next(&mut inbox).await;
        texts.push((String::from_utf8(message.payload.to_vec()).unwrap(), message.deliveries));
        message.done().await.unwrap();
    }
    texts.sort();
    assert_eq!(texts.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["one", "three", "two"]);
    assert_eq!(texts[0].1, 2, "the first was delivered before");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_taken_on_later_brings_the_events_that_waited() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let bob = broker.space(Placement::Hosted).await.unwrap();
    let (to_alice, to_bob) = (sender(&broker, &alice).await, sender(&broker, &bob).await);
    send(&to_bob, bob.member, &["for bob, early"]).await;
    send(&to_alice, alice.member, &["for alice"]).await;
    let mut inbox = host(&broker, HOST, Members::Only(BTreeSet::from([alice.member]))).await;
    assert_eq!(take(&mut inbox, 1).await, ["for alice"]);

    inbox.attach(bob.member).await.unwrap();
    send(&to_bob, bob.member, &["for bob, late"]).await;
    assert_eq!(take(&mut inbox, 2).await, ["for bob, early", "for bob, late"]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_moves_from_host_to_host_with_everything_undone() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let bob = broker.space(Placement::Hosted).await.unwrap();
    let (to_alice, to_bob) = (sender(&broker, &alice).await, sender(&broker, &bob).await);
    let mut first = host(&broker, HOST, Members::Only(BTreeSet::from([alice.member, bob.member]))).await;
    let mut second = host(&broker, "host-2", Members::Only(BTreeSet::new())).await;

    send(&to_bob, bob.member, &["one"]).await;
    assert_eq!(take(&mut first, 1).await, ["one"]);
    first.detach(bob.member).await.unwrap();
    send(&to_bob, bob.member, &["two"]).await;
    send(&to_alice, alice.member, &["for alice"]).await;
    assert_eq!(take(&mut first, 1).await, ["for alice"]);

    second.attach(bob.member).await.unwrap();
    assert_eq!(take(&mut second, 1).await, ["two"]);
    send(&to_bob, bob.member, &["three"]).await;
    assert_eq!(take(&mut second, 1).await, ["three"]);
    second.detach(bob.member).await.unwrap();
    first.attach(bob.member).await.unwrap();
    send(&to_bob, bob.member, &["four"]).await;
    assert_eq!(take(&mut first, 1).await, ["four"]);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_changed_on_opening_too() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let bob = broker.space(Placement::Hosted).await.unwrap();
    let (to_alice, to_bob) = (sender(&broker, &alice).await, sender(&broker, &bob).await);
    drop(host(&broker, HOST, Members::Only(BTreeSet::from([alice.member]))).await);
    send(&to_bob, bob.member, &["for bob"]).await;
    send(&to_alice, alice.member, &["for alice"]).await;
    let mut both = host(&broker, HOST, Members::Only(BTreeSet::from([alice.member, bob.member]))).await;
    assert_eq!(take(&mut both, 2).await, ["for bob", "for alice"]);
    drop(both);

    send(&to_alice, alice.member, &["again"]).await;
    let mut all = host(&broker, HOST, Members::All).await;
    assert_eq!(take(&mut all, 1).await, ["again"]);
    drop(all);
    send(&to_bob, bob.member, &["last"]).await;
    let mut one = host(&broker, HOST, Members::Only(BTreeSet::from([bob.member]))).await;
    assert_eq!(take(&mut one, 1).await, ["last"]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_who_fills_his_share_is_refused_and_nobody_else() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let flood = sender(&broker, &member).await;
    let mut taken = 0;
    let refused = loop {
        match deliver(&flood, &text_for(member.member), fresh_event(), "flood".into()).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, InboxError::Full), "{refused:?}");
    assert_eq!(taken, 100);
    let other = ConnectionId::from_bytes([8; 16]);
    let modest = broker.join(&member, &MemberIdentity::Connection(other)).await.unwrap();
    let subject = Subject::ForOwner(member.member, other, "messaging.text".parse().unwrap());
    deliver(&modest, &subject, fresh_event(), "hello".into()).await.unwrap();

    // What is done makes room.
    let mut inbox = host(&broker, HOST, Members::All).await;
    take(&mut inbox, 1).await;
    send(&flood, member.member, &["one more"]).await;
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_of_ours_are_removed_and_hold_up_nothing() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let own = sender(&broker, &member).await;
    let credential = broker.intruder(&member.message_account, Power::Everything).await.unwrap();
    let client = raw::connect(&broker.endpoint().unwrap(), credential, unbounded_channel().0).await;
    let odd = text_for(member.member).to_string().replace(&peer().to_string(), "not-an-id");
    client.request(odd, "odd".into()).await.unwrap();
    assert_eq!(waiting(&broker).await, 1);
    send(&own, member.member, &["good"]).await;
    let mut inbox = host(&broker, HOST, Members::All).await;
    assert_eq!(take(&mut inbox, 1).await, ["good"]);
    assert_eq!(inbox.foreign(), 1);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_lives_through_a_killed_server() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let mut inbox = host(&broker, HOST, Members::All).await;
    let sender = sender(&broker, &member).await;
    send(&sender, member.member, &["before"]).await;
    let process = broker.server().unwrap().process_id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
    assert_eq!(retaken(&mut inbox).await, "before");
    let mut state = sender.state();
    state.wait_for(|state| *state == vettid_nats::connection::ConnectionState::Connected).await.unwrap();
    send(&sender, member.member, &["after"]).await;
    assert_eq!(retaken(&mut inbox).await, "after");
    broker.shut().await;
}

/// The next event, however often it takes until it is done.
async fn retaken(inbox: &mut Inbox) -> String {
    tokio::time::timeout(Duration::from_secs(90), async {
        loop {
            let message = inbox.next().await.unwrap();
            let text = String::from_utf8(message.payload.to_vec()).unwrap();
            if message.done().await.is_ok() {
                return text;
            }
        }
    })
    .await
    .unwrap()
}

/// The folder in which the server keeps the consumers of the inbox stream.
fn consumers(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        if folder.ends_with("INBOX/obs") {
            return folder;
        }
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("the server keeps no consumers");
}

/// The server may still be removing what it kept of a consumer when one of the same name is made; here something else is in the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_cannot_be_made_at_once_is_tried_again() {
    let broker = TestServer::start().await.unwrap();
    let space = broker.space(Placement::Hosted).await.unwrap();
    let connection = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    Inbox::open(&connection, HOST, Members::All).await.unwrap();
    Inbox::open(&connection, HOST, Members::Only(BTreeSet::new())).await.unwrap();
    let in_the_way = consumers(broker.folder()).join(HOST);
    std::fs::write(&in_the_way, "").unwrap();
    assert!(
        matches!(Inbox::open(&connection, HOST, Members::All).await, Err(InboxError::Api(ApiError::Refused { .. }))),
        "what stays in the way is told"
    );
    let opening = tokio::spawn({
        let connection = connection.clone();
        async move { Inbox::open(&connection, HOST, Members::All).await }
    });
    tokio::time::sleep(Duration::from_millis(60)).await;
    std::fs::remove_file(&in_the_way).unwrap();
    let mut inbox = opening.await.unwrap().unwrap();
    send(&sender(&broker, &space).await, space.member, &["here"]).await;
    assert_eq!(take(&mut inbox, 1).await, ["here"]);
    broker.shut().await;
}
