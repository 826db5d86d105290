//! Journals on the real server: order, fencing, lost acknowledgements, killed servers, and what stays after a purge.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod proxy;

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use proxy::Proxy;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::connection::Connection;
use vettid_nats::journal::{Journal, JournalError, MAX_RECORD_BYTES, StoredRecord};
use vettid_testkit::broker::TestServer;
use vettid_testkit::space::fresh_member;
use vettid_wire::id::MemberId;

const HOST: &str = "host-1";

async fn journal(broker: &TestServer) -> Journal {
    Journal::new(broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap())
}

fn record(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

async fn texts(journal: &Journal, member: MemberId) -> Vec<String> {
    let records = journal.load(member).collect().await.unwrap();
    assert!(records.is_sorted_by(|one, other| one.sequence < other.sequence));
    let text = |record: StoredRecord| String::from_utf8(record.bytes.to_vec()).unwrap();
    records.into_iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_in_order_each_vault_its_own() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let (alice, bob) = (fresh_member(), fresh_member());
    let (mut last_of_alice, mut last_of_bob) = (0, 0);
    for number in 0..20 {
        last_of_alice = journal.commit(alice, last_of_alice, record(&format!("a{number}"))).await.unwrap();
        last_of_bob = journal.commit(bob, last_of_bob, record(&format!("b{number}"))).await.unwrap();
    }
    assert_eq!(texts(&journal, alice).await, (0..20).map(|number| format!("a{number}")).collect::<Vec<_>>());
    assert_eq!(texts(&journal, bob).await, (0..20).map(|number| format!("b{number}")).collect::<Vec<_>>());
    assert_eq!(journal.last_sequence(alice).await.unwrap(), last_of_alice);
    assert!(texts(&journal, fresh_member()).await.is_empty());
    assert_eq!(journal.last_sequence(fresh_member()).await.unwrap(), 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_journal_with_large_records_is_read_to_its_end() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let member = fresh_member();
    let mut last = 0;
    // More than one batch by count, and more than one by size.
    for number in 0..1_100_u32 {
        let size = if number % 100 == 0 { 900_000 } else { 10 };
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(size, 0);
        last = journal.commit(member, last, bytes.into()).await.unwrap();
    }
    let mut replay = journal.load(member);
    for number in 0..1_100_u32 {
        let record = replay.next().await.unwrap().unwrap();
        assert_eq!(record.bytes[..4], number.to_be_bytes());
    }
    assert_eq!(replay.next().await.unwrap(), None);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_fenced_off() {
    let broker = TestServer::start().await.unwrap();
    let (first, second) = (journal(&broker).await, journal(&broker).await);
    let member = fresh_member();
    let one = first.commit(member, 0, record("one")).await.unwrap();
    let two = second.commit(member, one, record("two")).await.unwrap();
    for stale in [0, one] {
        let outcome = first.commit(member, stale, record("stale")).await;
        assert!(matches!(outcome, Err(JournalError::Conflict { last }) if last == two), "{outcome:?}");
    }
    let ahead = first.commit(member, two + 1, record("ahead")).await;
    assert!(matches!(ahead, Err(JournalError::Conflict { .. })), "{ahead:?}");
    assert_eq!(texts(&first, member).await, ["one", "two"]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_at_one_place_exactly_one_wins() {
    let broker = TestServer::start().await.unwrap();
    let member = fresh_member();
    let mut writers = Vec::new();
    for number in 0..8 {
        let journal = journal(&broker).await;
        writers.push(tokio::spawn(async move { journal.commit(member, 0, record(&format!("writer {number}"))).await }));
    }
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, JournalError::Conflict { .. }), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(texts(&journal(&broker).await, member).await.len(), 1);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_acknowledgement_is_lost_is_found_again_and_stands_once() {
    let broker = TestServer::start().await.unwrap();
    let proxy = Proxy::start(broker.server().unwrap().ports().client).await;
    let mut endpoint = broker.endpoint().unwrap();
    endpoint.address = proxy.address();
    let credential = broker.operator.credential(OperatorRole::HostPublishing, HOST).unwrap();
    let journal = Journal::new(Connection::open(&endpoint, credential).await.unwrap());
    let direct = self::journal(&broker).await;
    let member = fresh_member();
    let one = journal.commit(member, 0, record("one")).await.unwrap();

    proxy.swallow_answers();
    let commit = tokio::spawn({
        let journal = journal.clone();
        async move { journal.commit(member, one, record("two")).await }
    });
    // The server has it, the writer does not know.
    while direct.last_sequence(member).await.unwrap() == one {
        tokio::task::yield_now().await;
    }
    assert!(!commit.is_finished());
    proxy.cut_and_mend();
    let two = commit.await.unwrap().unwrap();
    assert_eq!(two, direct.last_sequence(member).await.unwrap());
    journal.commit(member, two, record("three")).await.unwrap();
    assert_eq!(texts(&direct, member).await, ["one", "two", "three"]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_not_mistaken_for_a_lost_acknowledgement() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let member = fresh_member();
    let one = journal.commit(member, 0, record("one")).await.unwrap();
    let two = journal.commit(member, one, record("two")).await.unwrap();
    // The same bytes further back are somebody else's record, too.
    let three = journal.commit(member, two, record("three")).await.unwrap();
    let outcome = journal.commit(member, one, record("two")).await;
    assert!(matches!(outcome, Err(JournalError::Conflict { last }) if last == three), "{outcome:?}");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_loses_nothing_and_repeats_nothing() {
    const RECORDS: u32 = 400;
    let broker = TestServer::start().await.unwrap();
    let members: Vec<_> = (0..4).map(|_| fresh_member()).collect();
    let (progress, mut watched) = tokio::sync::watch::channel(0_u32);
    let mut writers = Vec::new();
    for member in members.clone() {
        let (journal, progress) = (journal(&broker).await, progress.clone());
        writers.push(tokio::spawn(async move {
            let mut last = 0;
            for number in 0..RECORDS {
                last = journal.commit(member, last, record(&number.to_string())).await.unwrap();
                progress.send_modify(|count| *count += 1);
            }
        }));
    }
    let total = RECORDS * 4;
    let server = broker.server().unwrap();
    let mut state = server.state();
    for kill in 1..=5 {
        watched.wait_for(|count| *count >= total * kill / 6).await.unwrap();
        state.wait_for(|state| *state == vettid_nats::server::ServerState::Ready).await.unwrap();
        let process = server.process_id().unwrap().to_string();
        assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
        state.wait_for(|state| *state != vettid_nats::server::ServerState::Ready).await.unwrap();
    }
    for writer in writers {
        tokio::time::timeout(Duration::from_secs(60), writer).await.unwrap().unwrap();
    }
    let wanted: Vec<_> = (0..RECORDS).map(|number| number.to_string()).collect();
    let reader = journal(&broker).await;
    for member in members {
        assert_eq!(texts(&reader, member).await, wanted);
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_keeps_the_last_record_and_its_fence() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let (member, other) = (fresh_member(), fresh_member());
    let mut sequences = vec![0];
    for number in 0..5 {
        let last = *sequences.last().unwrap();
        sequences.push(journal.commit(member, last, record(&number.to_string())).await.unwrap());
    }
    journal.commit(other, 0, record("other")).await.unwrap();
    let last = sequences[5];

    journal.purge_below(member, sequences[4]).await.unwrap();
    assert_eq!(texts(&journal, member).await, ["3", "4"]);
    assert!(matches!(journal.purge_below(member, last + 1).await, Err(JournalError::KeepsLast)));
    journal.purge_below(member, last).await.unwrap();
    assert_eq!(texts(&journal, member).await, ["4"]);
    assert!(matches!(journal.commit(member, 0, record("x")).await, Err(JournalError::Conflict { .. })));
    journal.commit(member, last, record("5")).await.unwrap();
    assert_eq!(texts(&journal, other).await, ["other"], "another vault's records stay");

    journal.erase(member).await.unwrap();
    assert!(texts(&journal, member).await.is_empty());
    assert_eq!(texts(&journal, other).await, ["other"]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_in_steps_takes_the_oldest_first_and_keeps_all_from_its_last_place_on() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let (member, other) = (fresh_member(), fresh_member());
    let (mut sequences, mut last) = (Vec::new(), 0);
    for number in 0..40 {
        last = journal.commit(member, last, record(&number.to_string())).await.unwrap();
        sequences.push(last);
    }
    journal.commit(other, 0, record("other")).await.unwrap();
    let all: Vec<_> = (0..40).map(|number| number.to_string()).collect();

    // Nothing lies below the first record of the stream, and 0 would be everything for the server.
    assert_eq!(sequences[0], 1);
    for nothing in [0, 1] {
        journal.purge_below(member, nothing).await.unwrap();
    }
    journal.purge_in_steps(member, &sequences[..1]).await.unwrap();
    journal.purge_in_steps(member, &[]).await.unwrap();
    assert_eq!(texts(&journal, member).await, all);

    let beyond = [sequences[8], last + 1];
    assert!(matches!(journal.purge_in_steps(member, &beyond).await, Err(JournalError::KeepsLast)));
    assert_eq!(texts(&journal, member).await, all, "what is refused has removed nothing");

    // Whoever does not wait for the end: what is left has no hole.
    let places: Vec<_> = sequences[..36].iter().copied().step_by(5).collect();
    let begun = tokio::time::timeout(Duration::from_millis(1), journal.purge_in_steps(member, &places)).await;
    let left = texts(&journal, member).await;
    assert_eq!(left, all[40 - left.len()..], "{begun:?}");

    journal.purge_in_steps(member, &places).await.unwrap();
    assert_eq!(texts(&journal, member).await, all[35..]);
    journal.commit(member, last, record("40")).await.unwrap();
    assert_eq!(texts(&journal, other).await, ["other"], "another vault's records stay");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_before_it_is_sent_and_the_largest_is_not() {
    let broker = TestServer::start().await.unwrap();
    let journal = journal(&broker).await;
    let member = fresh_member();
    let outcome = journal.commit(member, 0, vec![0; MAX_RECORD_BYTES + 1].into()).await;
    assert!(matches!(outcome, Err(JournalError::TooLarge(_))), "{outcome:?}");
    journal.commit(member, 0, vec![0; MAX_RECORD_BYTES].into()).await.unwrap();
    broker.shut().await;
}
