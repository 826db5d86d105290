//! Streams are made once; a store that lost them is left alone. Objects and last values keep what they are given.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod raw;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use vettid_core::grants::delivery::Receiver;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::inbox::{Inbox, Members, deliver};
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::pieces::{DEFAULT_MOST_BYTES, PieceError, Pieces};
use vettid_nats::streams::{self, InitialisationMark, StreamError, StreamLimits, StreamPlan};
use vettid_testkit::broker::TestServer;
use vettid_testkit::observer::Power;
use vettid_testkit::space::{Placement, fresh_event, fresh_member};
use vettid_wire::event::{Lane, ROWS};
use vettid_wire::file::MAX_SEALED_PIECE_BYTES;
use vettid_wire::id::{FileId, ServiceId};
use vettid_wire::subject::Subject;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_its_streams_is_not_filled_anew() {
    let mut broker = TestServer::stopped().unwrap();
    broker.run().await.unwrap();
    let admin = broker.connect(OperatorRole::HostAdmin, "admin").await.unwrap();
    // As if the streams had been there once.
    let mark = broker.mark();
    std::fs::write(broker.folder().join("streams.made"), "streams made\n").unwrap();
    assert!(mark.is_set().unwrap());
    let plan = StreamPlan::hosts(StreamLimits::default());
    for _ in 0..2 {
        let outcome = streams::initialise(&admin, &plan, &mark).await;
        assert!(matches!(outcome, Err(StreamError::Lost("INBOX"))), "{outcome:?}");
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_once_and_checked_later() {
    let mut broker = TestServer::stopped().unwrap();
    broker.run().await.unwrap();
    let admin = broker.connect(OperatorRole::HostAdmin, "admin").await.unwrap();
    let plan = StreamPlan::hosts(StreamLimits::default());
    assert!(!broker.mark().is_set().unwrap());
    streams::initialise(&admin, &plan, &broker.mark()).await.unwrap();
    assert!(broker.mark().is_set().unwrap());
    streams::initialise(&admin, &plan, &broker.mark()).await.unwrap();
    // A start that ended before it could set the mark.
    let lost_mark = InitialisationMark::at(broker.folder().join("another.mark"));
    streams::initialise(&admin, &plan, &lost_mark).await.unwrap();
    assert!(lost_mark.is_set().unwrap());

    let other = StreamPlan::home(Receiver::Service, StreamLimits::default());
    let outcome = streams::initialise(&admin, &other, &broker.mark()).await;
    assert!(matches!(outcome, Err(StreamError::Different("INBOX"))), "{outcome:?}");
    broker.shut().await;
}

/// Where events of this type of services arrive.
fn from_services(name: &str) -> String {
    ROWS.iter().find(|row| row.lane == Lane::Service && row.name == name).unwrap().arrival().unwrap().to_string()
}

/// Gives the inbox of the hosts other subjects.
async fn give_inbox(broker: &TestServer, subjects: &[String]) {
    let hosts = &broker.operator.accounts.vault_host;
    let credential = broker.intruder(hosts, Power::Everything).await.unwrap();
    let client = raw::connect(&broker.endpoint().unwrap(), credential, unbounded_channel().0).await;
    let shown = client.request("$JS.API.STREAM.INFO.INBOX", Bytes::from("{}")).await.unwrap();
    let mut shown: Value = serde_json::from_slice(&shown.payload).unwrap();
    shown["config"]["subjects"] = json!(subjects);
    let asked = Bytes::from(shown["config"].to_string());
    let updated = client.request("$JS.API.STREAM.UPDATE.INBOX", asked).await.unwrap();
    let updated: Value = serde_json::from_slice(&updated.payload).unwrap();
    assert!(updated.get("error").is_none(), "{updated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_of_an_earlier_version_gets_the_subjects_of_this_one_and_keeps_its_events() {
    let mut broker = TestServer::stopped().unwrap();
    broker.run().await.unwrap();
    let admin = broker.connect(OperatorRole::HostAdmin, "admin").await.unwrap();
    let plan = StreamPlan::hosts(StreamLimits::default());
    streams::initialise(&admin, &plan, &broker.mark()).await.unwrap();
    let space = broker.space(Placement::Hosted).await.unwrap();
    let service: ServiceId = "shop".parse().unwrap();
    let sender = broker.join(&space, &MemberIdentity::Service(service.clone())).await.unwrap();
    let subject = |name: &str| Subject::FromService(space.member, service.clone(), name.parse().unwrap());
    let (kept, asked) = (subject("data.store"), subject("data.request"));
    let (durable, now_best_effort) = (from_services("data.store"), from_services("data.request"));
    let of_before: Vec<String> = Receiver::Vault
        .durable()
        .iter()
        .map(ToString::to_string)
        .filter(|subject| *subject != durable)
        .chain([now_best_effort])
        .collect();

    give_inbox(&broker, &of_before).await;
    deliver(&sender, &asked, fresh_event(), Bytes::from("asked before")).await.unwrap();
    assert!(deliver(&sender, &kept, fresh_event(), Bytes::from("kept")).await.is_err());
    streams::initialise(&admin, &plan, &broker.mark()).await.unwrap();
    deliver(&sender, &kept, fresh_event(), Bytes::from("kept")).await.unwrap();
    assert!(deliver(&sender, &asked, fresh_event(), Bytes::from("asked")).await.is_err());
    let host = broker.connect(OperatorRole::HostSubscribing, "host-1").await.unwrap();
    let mut inbox = Inbox::open(&host, "host-1", Members::All).await.unwrap();
    for expected in ["asked before", "kept"] {
        assert_eq!(inbox.next().await.unwrap().payload, expected);
    }

    give_inbox(&broker, &["Elsewhere.>".to_owned()]).await;
    let outcome = streams::initialise(&admin, &plan, &broker.mark()).await;
    assert!(matches!(outcome, Err(StreamError::Different("INBOX"))), "{outcome:?}");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_kept_replaced_and_removed() {
    let broker = TestServer::start().await.unwrap();
    let host = broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap();
    let objects = Objects::open(&host).await.unwrap();
    let large: Bytes = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    objects.put("vault/snapshot-1", &large).await.unwrap();
    assert_eq!(objects.get("vault/snapshot-1", 4_000_000).await.unwrap(), large);
    assert!(matches!(objects.get("vault/snapshot-1", 2_999_999).await, Err(ObjectError::TooLarge(_))));

    objects.put("vault/snapshot-1", &Bytes::from("small")).await.unwrap();
    assert_eq!(objects.get("vault/snapshot-1", 100).await.unwrap(), "small");
    objects.put("vault/empty", &Bytes::new()).await.unwrap();
    assert_eq!(objects.get("vault/empty", 100).await.unwrap(), "");

    objects.delete("vault/snapshot-1").await.unwrap();
    assert!(matches!(objects.get("vault/snapshot-1", 100).await, Err(ObjectError::NotFound)));
    assert!(matches!(objects.delete("vault/never").await, Err(ObjectError::NotFound)));
    for wrong in ["", "a b", "a*", "\u{e9}"] {
        assert!(matches!(objects.put(wrong, &large).await, Err(ObjectError::InvalidName)), "{wrong:?}");
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_kept_replaced_listed_and_removed_each_vault_its_own() {
    let broker = TestServer::start().await.unwrap();
    let host = broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap();
    let (objects, pieces) = (Objects::open(&host).await.unwrap(), Pieces::new(host.clone(), DEFAULT_MOST_BYTES));
    let (alice, bob) = (fresh_member(), fresh_member());
    let [one, two] = [1, 2].map(|n| FileId::from_bytes([n; 16]));
    objects.put("vault/snapshot-1", &Bytes::from("state")).await.unwrap();
    let large = Bytes::from(vec![7; MAX_SEALED_PIECE_BYTES]);
    for (member, file, index) in [(alice, one, 0), (alice, one, 11), (alice, two, 0), (bob, one, 0)] {
        pieces.put(member, file, index, large.clone()).await.unwrap();
    }
    pieces.put(alice, one, 11, Bytes::from("other")).await.unwrap();
    assert_eq!(pieces.get(alice, one, 0).await.unwrap(), Some(large));
    assert_eq!(pieces.get(alice, one, 11).await.unwrap(), Some(Bytes::from("other")));
    assert_eq!(pieces.get(alice, one, 1).await.unwrap(), None);
    assert_eq!(pieces.list(alice, one).await.unwrap(), [0, 11].into());
    assert_eq!(
        (pieces.files(alice).await.unwrap(), pieces.files(bob).await.unwrap()),
        ([one, two].into(), [one].into())
    );
    assert!(pieces.files(fresh_member()).await.unwrap().is_empty());

    pieces.erase(alice, one).await.unwrap();
    assert!(pieces.list(alice, one).await.unwrap().is_empty());
    assert_eq!((pieces.files(alice).await.unwrap(), pieces.files(bob).await.unwrap()), ([two].into(), [one].into()));
    pieces.erase(alice, one).await.unwrap();
    assert_eq!(objects.get("vault/snapshot-1", 100).await.unwrap(), "state", "files share a bucket with states");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_take_no_more_room_than_they_may() {
    let broker = TestServer::start().await.unwrap();
    let host = broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap();
    let (pieces, member, file) = (Pieces::new(host, 100_000), fresh_member(), FileId::from_bytes([1; 16]));
    let bytes = Bytes::from(vec![7; 30_000]);
    for index in 0..3 {
        pieces.put(member, file, index, bytes.clone()).await.unwrap();
    }
    let outcome = pieces.put(member, file, 3, bytes.clone()).await;
    assert!(matches!(outcome, Err(PieceError::NoRoom)), "{outcome:?}");
    pieces.erase(member, file).await.unwrap();
    pieces.put(member, file, 3, bytes).await.unwrap();
    assert_eq!(pieces.list(member, file).await.unwrap(), [3].into());
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_store_is_closed_to_others_and_says_so_quickly() {
    let broker = TestServer::start().await.unwrap();
    let host = broker.connect(OperatorRole::HostSubscribing, "host-1").await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(4), Objects::open(&host)).await.unwrap();
    assert!(matches!(outcome, Err(ObjectError::Api(_))), "{outcome:?}");
    broker.shut().await;
}
