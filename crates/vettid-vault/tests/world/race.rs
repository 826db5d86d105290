//! A connection that is ended while its events are on their way: in every order, in one commit or in several, with a crash at any
//! of them. What came before the tombstone may have had its effect; after it nothing has one, and nothing leaves.

use crate::flows::request_id;
use crate::node::Crash;
use crate::shop::Letter;
use crate::town::{ALICE, BOB, Town};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::journal::Changes;
use vettid_vault::manager::{Event, Handled};
use vettid_vault::outbox::{Ended, Post, Route};
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::ConnectionId;
use vettid_wire::subject::Subject;

/// Runs of all tests of this file together, unless `VETTID_RACES` says otherwise.
const RUNS: u64 = 10_000;
const PARTS: u64 = 16;

#[expect(clippy::disallowed_methods, reason = "a nightly run races more often than a commit")]
fn runs() -> u64 {
    std::env::var("VETTID_RACES").map_or(RUNS, |text| text.parse().unwrap()) / PARTS
}

/// Who is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Member,
    Service,
}

/// A vault with a connection, and what its peer sent.
struct Race {
    town: Town,
    id: ConnectionId,
    letters: Vec<Letter>,
    records: Vec<Vec<u8>>,
}

impl Race {
    fn new(peer: Peer) -> Self {
        let mut town = Town::settled(90);
        for field in ["email", "date_of_birth"] {
            let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
        }
        let (id, letters) = match peer {
            Peer::Member => letters_of_bob(&mut town),
            Peer::Service => letters_of_the_shop(&mut town),
        };
        town.snapshot(ALICE);
        let records = town.nodes[ALICE].records().to_vec();
        Self { town, id, letters, records }
    }

    fn revoke(&mut self) -> Letter {
        let body = json!({"connection_id": self.id, "reason": "user_requested"});
        let event_id = self.town.fresh_event();
        let (now, rng) = (self.town.now, &mut self.town.rng);
        self.town.apps[ALICE].seal("connection.revoke", &body, event_id, now, rng)
    }

    fn run(&mut self, seed: u64) {
        self.town.nodes[ALICE].continued(self.records.clone());
        let revoke = self.revoke();
        let mut run = Run {
            race: self,
            rng: StdRng::seed_from_u64(seed),
            seed,
            first: BTreeSet::new(),
            after: None,
            on_the_way: vec![],
        };
        let mut queue = run.race.letters.clone();
        queue.shuffle(&mut run.rng);
        let at = run.rng.random_range(0..=queue.len());
        queue.insert(at, revoke.clone());
        run.until_ended(queue, &revoke);
        run.nothing_follows();
    }
}

/// Texts, a receipt, an offer of new keys: whatever a member's vault sends.
fn letters_of_bob(town: &mut Town) -> (ConnectionId, Vec<Letter>) {
    let id = town.connect();
    for text in ["one", "two", "three"] {
        let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
    }
    let _: Value = town.ask(BOB, "connection.rotate", json!({})).unwrap();
    let mut letters = town.take_inbox(town.nodes[ALICE].guid);
    // A receipt for something that Alice wrote.
    let _: Value = town.ask(ALICE, "messaging.send", json!({"connection_id": id, "text": "hers"})).unwrap();
    for (subject, bytes) in town.take_inbox(town.nodes[BOB].guid) {
        town.give(BOB, vec![(subject, bytes)]);
    }
    letters.extend(town.take_inbox(town.nodes[ALICE].guid));
    assert!(letters.len() >= 5, "{}", letters.len());
    (id, letters)
}

/// A request that is served at once, one that waits for the owner, and a login.
fn letters_of_the_shop(town: &mut Town) -> (ConnectionId, Vec<Letter>) {
    let id = town.connect_shop();
    let now = town.now;
    let mut letters = vec![];
    for field in ["email", "date_of_birth"] {
        let asked = request_id(town);
        let body = town.shop.data_request(field, asked);
        letters.push(town.shop.seal("data.request", body, now, &mut town.rng).1);
    }
    let asked = request_id(town);
    let challenge = town.shop.signed(&town.shop.challenge(asked, now));
    letters.push(town.shop.seal("auth.challenge", challenge, now, &mut town.rng).1);
    (id, letters)
}

struct Run<'a> {
    race: &'a mut Race,
    rng: StdRng,
    seed: u64,
    /// Letters that were handled before the command.
    first: BTreeSet<Vec<u8>>,
    /// The state as the tombstone left it.
    after: Option<Changes>,
    /// On the host's way to the peer, whose broker did not take it yet.
    on_the_way: Vec<Post>,
}

impl Run<'_> {
    /// Gives everything to the vault in batches of any size until the connection is ended and all was handled.
    fn until_ended(&mut self, mut queue: Vec<Letter>, revoke: &Letter) {
        for _ in 0..100 {
            if queue.is_empty() {
                break;
            }
            let size = self.rng.random_range(1..=queue.len().min(4));
            let batch: Vec<Letter> = queue.drain(..size).collect();
            match self.give(&batch) {
                None => queue.splice(0..0, batch).for_each(drop),
                Some(handled) => self.keep(&mut queue, batch, &handled, revoke),
            }
        }
        assert!(self.after.is_some(), "seed {}: the connection goes on", self.seed);
    }

    /// What was not handled comes again, and some of what was.
    fn keep(&mut self, queue: &mut Vec<Letter>, batch: Vec<Letter>, handled: &[Handled], revoke: &Letter) {
        let mut before = self.after.is_none();
        for (letter, handled) in batch.into_iter().zip(handled) {
            before &= letter != *revoke;
            if *handled != Handled::Done || self.rng.random_range(0..4) == 0 {
                queue.push(letter.clone());
            }
            if before && *handled == Handled::Done {
                self.first.insert(letter.1);
            }
        }
        if self.after.is_none() && self.is_ended() {
            self.after = Some(self.state());
        }
    }

    fn give(&mut self, batch: &[Letter]) -> Option<Vec<Handled>> {
        let crash = match self.rng.random_range(0..8) {
            0 => Crash::BeforeCommit,
            1 => Crash::AfterCommit,
            _ => Crash::Never,
        };
        self.handle(batch, crash)
    }

    fn handle(&mut self, batch: &[Letter], crash: Crash) -> Option<Vec<Handled>> {
        let event = |(subject, bytes): &Letter| Event::Message { subject: subject.clone(), bytes: bytes.clone() };
        let events: Vec<Event> = batch.iter().map(event).collect();
        let town = &mut self.race.town;
        let handled = town.nodes[ALICE].handle(town.now, &mut town.rng, &events, crash);
        let ended = std::mem::take(&mut town.nodes[ALICE].ended);
        let Some((handled, posts)) = handled else {
            // With the process its ways are gone.
            self.on_the_way.clear();
            return None;
        };
        self.passes_by(&ended, &posts, crash);
        if self.is_ended() {
            self.only_the_notice(&posts);
        }
        Some(handled)
    }

    /// What the host's way to the peer holds: the broker takes some of it now and then, and what the vault says has ended is dropped.
    fn passes_by(&mut self, ended: &[Ended], posts: &[Post], crash: Crash) {
        let rng = &mut self.rng;
        self.on_the_way.retain(|_| rng.random_range(0..4) != 0);
        self.on_the_way.retain(|post| ended.iter().all(|ended| ended.lets_out(post)));
        match crash {
            Crash::Never => self.on_the_way.extend_from_slice(posts),
            _ => self.on_the_way.clear(),
        }
        if self.is_ended() {
            self.only_the_notice(&self.on_the_way);
        }
    }

    fn is_ended(&self) -> bool {
        let connection = self.race.town.nodes[ALICE].vault.connection(self.race.id).unwrap();
        connection.is_some_and(|connection| connection.state == ConnectionState::Revoked)
    }

    fn state(&self) -> Changes {
        self.race.town.nodes[ALICE].vault.state().all()
    }

    /// Nothing leaves for the peer but the notice of the end.
    fn only_the_notice(&self, posts: &[Post]) {
        let waiting = self.race.town.nodes[ALICE].vault.waiting().unwrap();
        let to_peer = |post: &&Post| match post.route {
            Route::Peer(id) | Route::Claim(id) => id == self.race.id,
            Route::Host => false,
        };
        for post in posts.iter().chain(&waiting).filter(to_peer) {
            let is_notice =
                matches!(&post.subject, Subject::ForOwner(_, _, name) if name.as_str() == "connection.revoked");
            assert!(is_notice, "seed {}: {} leaves after the end", self.seed, post.subject);
        }
    }

    /// Everything comes again after the end, and time passes: the state stays what the tombstone left.
    fn nothing_follows(&mut self) {
        let again = self.race.letters.clone();
        assert_eq!(self.handle(&again, Crash::Never).map(|handled| handled.len()), Some(again.len()));
        let after = self.after.take().unwrap();
        let now = self.state();
        assert!(now.contains_key(&format!("tombstone/{}", self.race.id)));
        // The owner's session goes on.
        let is_of_peer = |key: &&String| !key.starts_with("channel/session/");
        let changed: Vec<_> =
            after.keys().chain(now.keys()).filter(is_of_peer).filter(|key| after.get(*key) != now.get(*key)).collect();
        assert_eq!(changed, Vec::<&String>::new(), "seed {}: changed after the end", self.seed);
        let texts = after.keys().filter(|key| key.contains("/text/") && key.contains("messaging")).count();
        let may_be = self.race.letters.iter().filter(|letter| self.first.contains(&letter.1)).count();
        // Alice wrote one herself.
        assert!(texts <= may_be + 1, "seed {}: {texts} texts after {may_be} letters before the end", self.seed);
    }
}

fn part(number: u64, peer: Peer) {
    let mut race = Race::new(peer);
    for run in 0..runs() {
        race.run(number * 1_000_000 + run);
    }
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_1() {
    part(1, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_1() {
    part(2, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_2() {
    part(3, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_2() {
    part(4, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_3() {
    part(5, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_3() {
    part(6, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_4() {
    part(7, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_4() {
    part(8, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_5() {
    part(9, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_5() {
    part(10, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_6() {
    part(11, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_6() {
    part(12, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_7() {
    part(13, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_7() {
    part(14, Peer::Service);
}

#[test]
fn nothing_of_a_member_has_an_effect_after_the_tombstone_part_8() {
    part(15, Peer::Member);
}

#[test]
fn nothing_of_a_service_has_an_effect_after_the_tombstone_part_8() {
    part(16, Peer::Service);
}
