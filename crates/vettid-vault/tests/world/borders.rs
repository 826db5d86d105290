//! What a connection cannot do, row by row: speak for another one, send more than it may, go on after its end. A peer that
//! keeps to nothing seals whatever it likes with the keys that it really has. A row that is added is tried by itself.

use crate::node::Crash;
use crate::town::{ALICE, BOB, MINUTE_MS, Town};
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_core::channel::Channel;
use vettid_core::grants::mint::way_back_name;
use vettid_core::journal::Changes;
use vettid_vault::manager::{Event, Handled};
use vettid_vault::outbox::Post;
use vettid_vault::projection::Draft;
use vettid_wire::connection::{ConnectionState, ConnectionView};
use vettid_wire::contract::Rate;
use vettid_wire::envelope::Content;
use vettid_wire::event::{ConnectionCredential, EventRow, EventType, Lane, ROWS, Row};
use vettid_wire::handshake::HandshakeMessage;
use vettid_wire::id::{ConnectionId, EventId, MemberId};
use vettid_wire::subject::Subject;

type Letter = (Subject, Vec<u8>);

/// A peer of Alice with the keys of its connection.
struct Peer {
    lane: Lane,
    alice: MemberId,
    id: ConnectionId,
    channel: Channel,
}

impl Peer {
    /// Bob's side of a connection.
    fn bob(town: &Town, id: ConnectionId) -> Self {
        let state = Draft::new(town.nodes[BOB].vault.state());
        let channel = state.get(&format!("channel/connection/{id}")).unwrap().unwrap();
        Self { lane: Lane::Connection, alice: town.nodes[ALICE].guid, id, channel }
    }

    /// The shop's side.
    fn shop(town: &Town, id: ConnectionId) -> Self {
        let stored = serde_json::to_value(town.shop.channel.as_ref().unwrap()).unwrap();
        let channel = serde_json::from_value(stored).unwrap();
        Self { lane: Lane::Service, alice: town.nodes[ALICE].guid, id, channel }
    }

    /// Everything that a peer of this kind may send.
    fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        let lane = self.lane;
        ROWS.iter().filter(move |row| row.lane == lane)
    }

    /// Its subject for events of this type.
    fn subject(&self, town: &Town, event_type: EventType) -> Subject {
        match self.lane {
            Lane::Service => Subject::FromService(self.alice, town.shop.service_id.clone(), event_type),
            _ => Subject::ForOwner(self.alice, self.id, event_type),
        }
    }

    /// Seals something for a subject.
    fn seal(&mut self, town: &mut Town, subject: Subject, event_type: &EventType, body: Value) -> Letter {
        let event_id = EventId::v7(town.now, town.rng.random());
        let content = Content { body, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let bytes = self.channel.seal(town.now, &mut town.rng, &subject, event_id, event_type, &content).unwrap();
        (subject, bytes)
    }

    /// What every vault takes from such a peer, and answers or remembers, whatever its body says.
    fn letter(&mut self, town: &mut Town, row: &Row) -> Letter {
        let event_type = row.event_type();
        let subject = self.subject(town, event_type.clone());
        self.seal(town, subject, &event_type, json!({}))
    }
}

/// What Alice's vault does with a letter: how it was handled, and what leaves.
fn give(town: &mut Town, letter: &Letter) -> (Handled, Vec<Post>) {
    let event = Event::Message { subject: letter.0.clone(), bytes: letter.1.clone() };
    let Town { nodes, now, rng, .. } = town;
    let (handled, posts) = nodes[ALICE].handle(*now, rng, &[event], Crash::Never).unwrap();
    (handled[0], posts)
}

fn state(town: &Town) -> Changes {
    town.nodes[ALICE].vault.state().all()
}

/// It is dropped: no effect, no answer, no write.
fn is_dropped(town: &mut Town, letter: &Letter, what: &str) {
    let (before, commits, dropped) = (state(town), town.nodes[ALICE].commits(), town.nodes[ALICE].vault.dropped());
    let (handled, posts) = give(town, letter);
    assert_eq!((handled, posts.len()), (Handled::Done, 0), "{what}");
    assert_eq!(town.nodes[ALICE].vault.dropped(), dropped + 1, "{what}");
    assert_eq!(town.nodes[ALICE].commits(), commits, "{what}");
    assert!(state(town) == before, "{what}: something changed");
}

/// It does something, be it that it is refused in words.
fn is_taken_up(town: &mut Town, letter: &Letter, what: &str) {
    let commits = town.nodes[ALICE].commits();
    assert_eq!(give(town, letter).0, Handled::Done, "{what}");
    assert!(town.nodes[ALICE].commits() > commits, "{what}");
}

/// Alice with two connections to Bob and one to the shop.
fn neighbours(seed: u64) -> (Town, [ConnectionId; 2], ConnectionId) {
    let mut town = Town::settled(seed);
    let (first, second) = (town.connect(), town.connect());
    let shop = town.connect_shop();
    assert_ne!(first, second);
    (town, [first, second], shop)
}

/// The envelope with another value in its head.
fn changed(letter: &Letter, pointer: &str, value: Value) -> Letter {
    let mut envelope: Value = serde_json::from_slice(&letter.1).unwrap();
    let place = envelope.pointer_mut(pointer).unwrap();
    assert_ne!(*place, value, "{pointer}");
    *place = value;
    (letter.0.clone(), serde_json::to_vec(&envelope).unwrap())
}

/// Every way in which a peer may say that it is somebody else, with one row.
fn disguises(town: &mut Town, peer: &mut Peer, others: &mut [Peer], row: &Row) -> Vec<(String, Letter)> {
    let event_type = row.event_type();
    let own = peer.letter(town, row);
    let mut all = vec![];
    for other in others {
        let name = other.id;
        let there = other.subject(town, event_type.clone());
        all.push((format!("its envelope on the subject of {name}"), (there.clone(), own.1.clone())));
        let sealed = peer.seal(town, there.clone(), &event_type, json!({}));
        all.push((format!("sealed for the subject of {name}"), sealed.clone()));
        let key_id = json!(other.channel.key_id());
        let as_other = changed(&sealed, "/encryption/connection_key_id", key_id.clone());
        all.push((format!("with subject and key id of {name}"), as_other));
        all.push((format!("with the key id of {name}"), changed(&own, "/encryption/connection_key_id", key_id)));
        // Its own keys, and whatever else belongs to the other one.
        let theirs: Value = serde_json::from_slice(&other.letter(town, row).1).unwrap();
        all.push((
            format!("with the recipient key of {name}"),
            changed(&own, "/encryption/key_id", theirs["encryption"]["key_id"].clone()),
        ));
    }
    let another = if row.name == "event.refused" { "messaging.text" } else { "event.refused" };
    let elsewhere = peer.subject(town, another.parse().unwrap());
    all.push(("under another type in the subject".into(), (elsewhere, own.1.clone())));
    all.push(("under another type in the envelope".into(), changed(&own, "/event_type", another.into())));
    let lanes = [
        Subject::ForVault(peer.alice, event_type.clone()),
        Subject::ForApp(peer.alice, event_type.clone(), EventId::from_bytes([7; 16])),
        Subject::ForServices(peer.alice, event_type.clone()),
        Subject::Call(peer.alice, peer.id, event_type.clone()),
        Subject::ControlUser(peer.alice, event_type.clone()),
    ];
    for lane in lanes {
        all.push((format!("on {lane}"), peer.seal(town, lane.clone(), &event_type, json!({}))));
    }
    all
}

#[test]
fn with_no_row_can_a_connection_speak_for_another_one() {
    let (mut town, [first, second], shop) = neighbours(95);
    for speaker in 0..3 {
        let mut peers = vec![Peer::bob(&town, first), Peer::bob(&town, second), Peer::shop(&town, shop)];
        let mut peer = peers.remove(speaker);
        for row in peer.rows() {
            for (disguise, letter) in disguises(&mut town, &mut peer, &mut peers, row) {
                // So that nobody is paused for what does not open.
                town.now = town.now.plus_ms(1000);
                is_dropped(&mut town, &letter, &format!("{} {disguise}", row.name));
            }
        }
    }
    // Those whose names were used have their connections as before.
    for mut peer in [Peer::bob(&town, second), Peer::shop(&town, shop)] {
        let row = peer.rows().next().unwrap();
        let letter = peer.letter(&mut town, row);
        is_taken_up(&mut town, &letter, row.name);
    }
}

/// Answers, receipts, new keys and credentials count like anything else. Handshake messages come before there is a connection; an invitation
/// takes one, and a few that are wrong.
#[test]
fn every_row_counts_against_the_rate_of_its_connection() {
    const ROOM: u32 = 3;
    let (mut town, [id, _], shop) = neighbours(96);
    let connection = Limit { messages: Rate { count: ROOM, per_seconds: 60 }, ..Limit::CONNECTION };
    town.nodes[ALICE].limit(Limits { connection, ..Limits::default() });
    for mut peer in [Peer::bob(&town, id), Peer::shop(&town, shop)] {
        let last = peer.rows().find(|row| ["messaging.text", "data.request"].contains(&row.name)).unwrap();
        for row in peer.rows() {
            for (sent, fits) in [(ROOM - 1, true), (ROOM, false)] {
                town.now = town.now.plus_ms(2 * MINUTE_MS);
                for _ in 0..sent {
                    let letter = peer.letter(&mut town, row);
                    assert_eq!(give(&mut town, &letter).0, Handled::Done, "{}", row.name);
                }
                let letter = peer.letter(&mut town, last);
                let (handled, posts) = give(&mut town, &letter);
                assert_eq!(has_room(&mut town, last, handled, &posts), fits, "{} of {}", sent + 1, row.name);
            }
        }
    }
}

/// Whether the event found room: a text would wait, a request is told so.
fn has_room(town: &mut Town, row: &Row, handled: Handled, posts: &[Post]) -> bool {
    if row.lane == Lane::Connection {
        return handled == Handled::Done;
    }
    let guid = town.shop.guid;
    for post in posts.iter().filter(|post| post.subject.member() == Some(guid)) {
        town.shop.receive(&post.subject, post.bytes.as_bytes(), town.now, &mut town.rng);
    }
    let (name, body) = town.shop.last();
    assert_eq!(name, "event.refused");
    body["code"] != "rate_limited"
}

/// Every row once before the end, which shows that the vault reacts to it, and once and again after it.
fn nothing_after_the_end(mut town: Town, mut peer: Peer, end: impl Fn(&mut Town, ConnectionId)) {
    let rows: Vec<_> = peer.rows().collect();
    let before: Vec<_> = rows.iter().map(|row| (row.name, peer.letter(&mut town, row))).collect();
    let mut after: Vec<_> = rows.iter().map(|row| (row.name, peer.letter(&mut town, row))).collect();
    let way_back = Subject::Invite(peer.alice, way_back_name(peer.id));
    let credential = ConnectionCredential::ROW;
    after.push(("the way back", peer.seal(&mut town, way_back, &credential.event_type(), json!({}))));
    let handshake = handshake_of(&town, &peer);
    // What a service sent is not on record here.
    assert_eq!(handshake.is_empty(), peer.lane == Lane::Service);
    for (name, letter) in &before {
        is_taken_up(&mut town, letter, name);
    }
    end(&mut town, peer.id);
    assert_eq!(town.view(ALICE, peer.id).state, ConnectionState::Revoked);
    for round in 0..2 {
        for (name, letter) in before.iter().chain(&after) {
            town.now = town.now.plus_ms(1000);
            is_dropped(&mut town, letter, &format!("{name} after the end, {round}"));
        }
    }
    let ended = state(&town);
    for letter in &handshake {
        assert_eq!(give(&mut town, letter).1.len(), 0, "the handshake is answered after the end");
    }
    assert!(state(&town) == ended, "the handshake has an effect after the end");
}

/// The handshake messages that made the connection, as they came to Alice.
fn handshake_of(town: &Town, peer: &Peer) -> Vec<Letter> {
    let is_of = |post: &&Post| {
        let message = HandshakeMessage::read(post.bytes.as_bytes());
        matches!(post.subject, Subject::Invite(guid, _) if guid == peer.alice)
            && message.is_ok_and(|message| message.hs_id.connection_id() == peer.id)
    };
    town.log.iter().filter(is_of).map(|post| (post.subject.clone(), post.bytes.as_bytes().to_vec())).collect()
}

fn by_alice(town: &mut Town, id: ConnectionId) {
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(ALICE, "connection.revoke", body).unwrap();
}

fn by_bob(town: &mut Town, id: ConnectionId) {
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(BOB, "connection.revoke", body).unwrap();
    town.run();
}

#[test]
fn no_row_of_a_member_has_an_effect_or_an_answer_after_the_end() {
    for (seed, end) in [(97, by_alice as fn(&mut Town, ConnectionId)), (98, by_bob)] {
        let (town, [id, _], _) = neighbours(seed);
        let peer = Peer::bob(&town, id);
        nothing_after_the_end(town, peer, end);
    }
}

#[test]
fn no_row_of_a_service_has_an_effect_or_an_answer_after_the_end() {
    let (town, _, id) = neighbours(99);
    let peer = Peer::shop(&town, id);
    nothing_after_the_end(town, peer, by_alice);
}
