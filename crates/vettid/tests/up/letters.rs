//! Messages both ways between two members on real processes, while hosts and the broker are killed at random: each is there
//! once on both sides, with its number, and none did not open. Must never reach into a process.

mod member;
mod parts;

use crate::https::Operator;
use crate::stack::WITHIN;
use member::{LOOK_EVERY, Member};
use parts::{Parts, Victim};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use vettid_wire::audit::{ExportLine, ExportedEntry, Outcome};
use vettid_wire::event::{EventRow as _, MessagingSend, MessagingText};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{Direction, MessageView, SendText};

/// Messages of both members together, unless `VETTID_LETTERS` says otherwise.
const LETTERS: usize = 2_000;
/// One process is killed for so many messages.
const LETTERS_PER_KILL: usize = 300;

#[expect(clippy::disallowed_methods, reason = "a nightly run writes more than a commit, and a failure can be repeated")]
fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).ok().map_or(usual, |text| text.parse().ok().unwrap())
}

/// What is killed, and after how many messages were accepted.
fn kills(seed: u64, letters: usize) -> Vec<(usize, Victim)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let everybody = [Victim::Host(0), Victim::Broker, Victim::Host(1)];
    let mut victims: Vec<Victim> = everybody.into_iter().cycle().take(letters / LETTERS_PER_KILL).collect();
    victims.shuffle(&mut rng);
    let mut at: Vec<usize> = victims.iter().map(|_| rng.random_range(letters / 50..letters * 19 / 20)).collect();
    at.sort_unstable();
    at.into_iter().zip(victims).collect()
}

/// Sends texts one after the other; gives their ids in the order in which they were written.
async fn write(
    member: &Member,
    id: ConnectionId,
    name: &str,
    count: usize,
    sent: &watch::Sender<usize>,
) -> Vec<EventId> {
    let mut ids = Vec::with_capacity(count);
    for n in 1..=count {
        ids.push(member.command::<MessagingSend>(SendText::new(id, format!("{name} {n}"))).await.message_id);
        sent.send_modify(|sent| *sent += 1);
    }
    ids
}

/// Kills one after the other, each when so many messages were accepted.
async fn kill(parts: &mut Parts, kills: Vec<(usize, Victim)>, mut sent: watch::Receiver<usize>) {
    for (at, victim) in kills {
        sent.wait_for(|sent| *sent >= at).await.unwrap();
        parts.kill(victim).await;
    }
}

/// A message as both sides must know it.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    number: u64,
    text: String,
    sent_at: String,
    delivered_at: Option<String>,
}

/// The messages of one direction. None may be there twice.
fn of_direction(conversation: &[MessageView], direction: Direction) -> BTreeMap<EventId, Kept> {
    let mut all = BTreeMap::new();
    for message in conversation.iter().filter(|message| message.direction == direction) {
        let kept = Kept {
            number: message.number,
            text: message.text.clone(),
            sent_at: message.sent_at.to_string(),
            delivered_at: message.delivered_at.map(|at| at.to_string()),
        };
        let before = all.insert(message.message_id, kept);
        assert!(before.is_none(), "{} is there twice", message.message_id);
    }
    all
}

/// Waits until everything that a member wrote is known to have been delivered.
async fn until_delivered(member: &Member, id: ConnectionId, count: usize) -> Vec<MessageView> {
    let began = Instant::now();
    loop {
        let conversation = member.conversation(id).await;
        let sent = conversation.iter().filter(|message| message.direction == Direction::Sent);
        let delivered = sent.filter(|message| message.delivered_at.is_some()).count();
        if delivered == count {
            return conversation;
        }
        assert!(began.elapsed() < WITHIN, "{delivered} of {count} messages were delivered");
        sleep(LOOK_EVERY).await;
    }
}

/// What one side wrote is on the other side, once, with its numbers, as it was written.
fn compare(written: &[EventId], name: &str, at_writer: &[MessageView], at_reader: &[MessageView]) {
    let (sent, received) = (of_direction(at_writer, Direction::Sent), of_direction(at_reader, Direction::Received));
    assert_eq!(sent, received, "what {name} wrote");
    assert_eq!(sent.len(), written.len());
    for (n, id) in (1..).zip(written) {
        assert_eq!((sent[id].number, &sent[id].text), (n, &format!("{name} {n}")));
    }
}

/// How often a vault took up a text of its peer.
async fn taken_up(member: &Member) -> usize {
    let chain = member.audit().await;
    let lines = chain.iter().map(|line| serde_json::from_str::<ExportLine>(line).unwrap());
    let is_text = |line: &ExportLine| match line {
        ExportLine::Entry(ExportedEntry { entry, .. }) => {
            entry.event_type == MessagingText::ROW.name && entry.outcome == Outcome::Success
        }
        _ => false,
    };
    lines.filter(is_text).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_unreadable_when_hosts_and_broker_are_killed() {
    let (letters, seed) = (setting("VETTID_LETTERS", LETTERS), setting("VETTID_SEED", 3_u64));
    let mut parts = Parts::start().await;
    let (operator, trust) = (Operator::new(parts.url(), &parts.trust()).unwrap(), parts.trust());
    let alice = Member::enrol(&operator, &trust, "alice", &parts.place("alice")).await;
    let bob = Member::enrol(&operator, &trust, "bob", &parts.place("bob")).await;
    let id = alice.connect(&bob).await;

    let (sent, seen) = watch::channel(0);
    let each = letters / 2;
    let (by_alice, by_bob, ()) = tokio::join!(
        write(&alice, id, "Alice", each, &sent),
        write(&bob, id, "Bob", each, &sent),
        kill(&mut parts, kills(seed, letters), seen),
    );

    let (at_alice, at_bob) = tokio::join!(until_delivered(&alice, id, each), until_delivered(&bob, id, each));
    // The writer of the last one may know of it before the other one was asked.
    let (at_alice, at_bob) = match at_alice.len().cmp(&at_bob.len()) {
        std::cmp::Ordering::Equal => (at_alice, at_bob),
        _ => tokio::join!(alice.conversation(id), bob.conversation(id)),
    };
    compare(&by_alice, "Alice", &at_alice, &at_bob);
    compare(&by_bob, "Bob", &at_bob, &at_alice);
    assert_eq!((taken_up(&alice).await, taken_up(&bob).await), (each, each), "seed {seed}");
    assert_eq!(parts.unreadable(), BTreeSet::new(), "seed {seed}: these did not open");
    assert_eq!(parts.vaults(), [1, 1], "each host runs one of the two");
}
