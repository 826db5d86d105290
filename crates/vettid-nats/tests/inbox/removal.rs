//! How events that are done leave the stream: together where it begins with them, and never one that is not done, whoever it is for and
//! whatever happens to the server.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::connection::{Connection, ConnectionState};
use vettid_nats::inbox::{Inbox, InboxMessage, Members, deliver};
use vettid_testkit::broker::TestServer;
use vettid_testkit::observer::Power;
use vettid_testkit::space::{Placement, fresh_event};
use vettid_wire::id::MemberId;

use super::{HOST, SOON, host, left, next, raw, send, sender, take, take_soon, text_for, waiting};

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

async fn send_numbered(sender: &Connection, member: MemberId, count: usize) {
    let texts = numbered(count);
    send(sender, member, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

fn text(message: &InboxMessage) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_with_which_the_stream_begins_go_together() {
    const EVENTS: usize = 80;
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let observer = broker.observe(&broker.operator.accounts.vault_host).await.unwrap();
    let mut tap = observer.tap().await.unwrap();
    // Until the tap is live, nothing of it shows.
    while tokio::time::timeout(Duration::from_millis(50), tap.next()).await.is_err() {
        waiting(&broker).await;
    }
    let mut inbox = host(&broker, HOST, Members::All).await;
    let sender = sender(&broker, &member).await;
    let event = fresh_event();
    deliver(&sender, &text_for(member.member), event, "first".into()).await.unwrap();
    send_numbered(&sender, member.member, EVENTS).await;
    take_soon(&mut inbox, 1 + EVENTS).await;
    left(&broker, 0).await;
    deliver(&sender, &text_for(member.member), event, "first".into()).await.unwrap();
    assert_eq!(waiting(&broker).await, 0, "the server still knows what it took");
    send(&sender, member.member, &["the end"]).await;
    let (mut together, mut single) = (0, 0);
    loop {
        let seen = tokio::time::timeout(SOON, tap.next()).await.unwrap().unwrap();
        together += usize::from(seen.subject == "$JS.API.STREAM.PURGE.INBOX");
        single += usize::from(seen.subject == "$JS.API.STREAM.MSG.DELETE.INBOX");
        if seen.payload == "the end" {
            break;
        }
    }
    assert!(together > 0, "{single} singly");
    assert!(together + single < EVENTS / 4, "{together} times together, {single} singly");
    broker.shut().await;
}

/// As streams were made before: the server never takes back that a stream refuses purges.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_refuses_purges_is_emptied_one_by_one() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let anybody = broker.intruder(&broker.operator.accounts.vault_host, Power::Everything).await.unwrap();
    let client = raw::connect(&broker.endpoint().unwrap(), anybody, unbounded_channel().0).await;
    let shown = client.request("$JS.API.STREAM.INFO.INBOX", "".into()).await.unwrap();
    let mut shown: serde_json::Value = serde_json::from_slice(&shown.payload).unwrap();
    let mut config = shown["config"].take();
    config["deny_purge"] = true.into();
    let updated = client.request("$JS.API.STREAM.UPDATE.INBOX", config.to_string().into()).await.unwrap();
    let updated: serde_json::Value = serde_json::from_slice(&updated.payload).unwrap();
    assert_eq!(updated["config"]["deny_purge"], true, "{updated}");

    let mut inbox = host(&broker, HOST, Members::All).await;
    send_numbered(&sender(&broker, &member).await, member.member, 40).await;
    take_soon(&mut inbox, 40).await;
    left(&broker, 0).await;
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_host_has_not_done_stays() {
    let broker = TestServer::start().await.unwrap();
    let (alice, bob) = (broker.space(Placement::Hosted).await.unwrap(), broker.space(Placement::Hosted).await.unwrap());
    let (to_alice, to_bob) = (sender(&broker, &alice).await, sender(&broker, &bob).await);
    let mut first = host(&broker, HOST, Members::Only(BTreeSet::from([alice.member]))).await;
    let mut second = host(&broker, "host-2", Members::Only(BTreeSet::from([bob.member]))).await;
    for number in 0..40_usize {
        send(&to_alice, alice.member, &["one", "two"][..1 + number % 2]).await;
        if number.is_multiple_of(3) {
            send(&to_bob, bob.member, &[&number.to_string()]).await;
        }
    }
    take_soon(&mut first, 60).await;
    left(&broker, 14).await;
    let his: Vec<_> = (0..40_usize).step_by(3).map(|number| number.to_string()).collect();
    assert_eq!(take(&mut second, 14).await, his);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_stays_among_what_is() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let mut inbox = host(&broker, HOST, Members::All).await;
    send_numbered(&sender(&broker, &member).await, member.member, 60).await;
    let mut kept = Vec::new();
    for number in 0..60 {
        let message = next(&mut inbox).await;
        // Some right at the begin, some in a row, some alone.
        match number {
            0 | 7 | 20..24 | 59 => kept.push(message),
            _ => message.done_soon().await.unwrap(),
        }
    }
    left(&broker, 7).await;
    let expected: Vec<_> = kept.iter().map(text).collect();
    for message in kept {
        message.later(Duration::ZERO).await.unwrap();
    }
    let mut again = take(&mut inbox, 7).await;
    again.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(again, expected);
    assert_eq!(waiting(&broker).await, 0);
    broker.shut().await;
}

/// Sends each text until the server has it.
async fn send_all(sender: Connection, member: MemberId, texts: Vec<String>) {
    for text in texts {
        let event = fresh_event();
        while deliver(&sender, &text_for(member), event, text.clone().into()).await.is_err() {
            let mut state = sender.state();
            state.wait_for(|state| *state == ConnectionState::Connected).await.unwrap();
        }
    }
}

/// Opens the inbox from the first event on that is not done, until that works: the server may be away.
async fn reopened(connection: &Connection) -> Inbox {
    loop {
        let closed = Inbox::open(connection, HOST, Members::Only(BTreeSet::new())).await;
        if closed.is_ok()
            && let Ok(inbox) = Inbox::open(connection, HOST, Members::All).await
        {
            return inbox;
        }
        connection.state().wait_for(|state| *state == ConnectionState::Connected).await.unwrap();
    }
}

/// The server is killed again and again while events arrive and go. Each of them is seen.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_is_killed_while_events_go() {
    const EVENTS: usize = 600;
    const EVERY: usize = 150;
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let connection = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let texts = numbered(EVENTS);
    let sending = tokio::spawn(send_all(sender(&broker, &member).await, member.member, texts.clone()));
    let (mut seen, mut inbox) = (BTreeSet::new(), reopened(&connection).await);
    let everything = async {
        let mut next_kill = EVERY;
        while seen.len() < EVENTS {
            let Ok(message) = inbox.next().await else {
                inbox = reopened(&connection).await;
                continue;
            };
            let text = text(&message);
            if message.done_soon().await.is_ok() {
                seen.insert(text);
            }
            if seen.len() == next_kill {
                next_kill += EVERY;
                let process = broker.server().unwrap().process_id().unwrap().to_string();
                assert!(std::process::Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
                inbox = reopened(&connection).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(240), everything).await.unwrap();
    sending.await.unwrap();
    assert_eq!(seen, texts.into_iter().collect());
    broker.shut().await;
}
