//! A vault with many connections, its app, and the far end of each connection. One was made by the whole handshake between two
//! vaults; the others are stored in the same form, each with an id, a user and keys of its own.

use crate::node::{Crash, ENDPOINT};
use crate::town::{ALICE, DAY_MS, Town};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use vettid_core::allowance::{Limit, Limits};
use vettid_core::channel::{Channel, Keys};
use vettid_core::journal::{Chain, Changes, Record, RecordKind};
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_vault::channels::{ChannelName, Channels};
use vettid_vault::connection::{self, Connection};
use vettid_vault::manager::{Event, Handled, Vault};
use vettid_vault::outbox::Post;
use vettid_vault::projection::Draft;
use vettid_vault::sealed_journal::SealedJournal;
use vettid_wire::connection::{ConnectionList, ListConnections};
use vettid_wire::contract::Rate;
use vettid_wire::envelope::{Answer, Content};
use vettid_wire::event::{Delivery, EventRow, MessagingText};
use vettid_wire::id::{ConnectionId, EventId, HandshakeId, SessionKeyId};
use vettid_wire::json as vjson;
use vettid_wire::messaging::{Sent, TextMessage};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Connections that one commit stores.
const AT_ONCE: usize = 100;
/// Connections on one page.
const LISTED: usize = 5;
const TEXT_BYTES: usize = 1024;
const STORAGE_KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// The owner lists as many connections as stand on a screen of a small vault, from any of them on.
    List,
    /// The owner looks at one.
    Review,
    /// The owner sends a message on one of them.
    Send,
    /// A message comes on one of them.
    Receive,
    /// One of them is looked after, when its time has come.
    Upkeep,
}

impl Work {
    pub(crate) const ALL: [Self; 5] = [Self::List, Self::Review, Self::Send, Self::Receive, Self::Upkeep];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Review => "review",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Upkeep => "upkeep",
        }
    }
}

/// The far end of a connection.
struct Far {
    id: ConnectionId,
    channel: Channel,
    sent: u64,
}

/// The vault and everybody around it.
pub(crate) struct Crowd {
    town: Town,
    far: Vec<Far>,
    /// The one that was made by the whole handshake.
    made: ConnectionId,
}

impl Crowd {
    /// A vault with so many connections, one with the other vault and the others with whoever is at the far end here.
    pub(crate) fn new(connections: usize) -> Self {
        let now: Timestamp = "2026-11-21T00:00:00.000Z".parse().unwrap();
        let mut town = Town::at(StdRng::seed_from_u64(7), now, ENDPOINT, STORAGE_KEYS);
        town.settle();
        let made = town.connect();
        let mut crowd = Self { town, far: vec![], made };
        crowd.add(made, connections - 1);
        let messages = Rate { count: 1_000_000_000, per_seconds: 1 };
        let limit = Limit { messages, bytes: None, uncommitted: Limit::SESSION.uncommitted };
        crowd.town.nodes[ALICE].limit(Limits { connection: limit, session: limit });
        crowd.look_after_all();
        crowd
    }

    /// Upkeep goes through all of them once, so that each has its time.
    fn look_after_all(&mut self) {
        loop {
            let (_, posts, _) = self.handle(Event::Tick);
            self.sent(&posts);
            let state = self.town.nodes[ALICE].vault.state();
            if !Draft::new(state).has("upkeep_all") {
                assert_eq!(Draft::new(state).keys("upkeep/of/", usize::MAX).len(), self.far.len() + 1);
                return;
            }
        }
    }

    /// The same vault once more, from its journal.
    pub(crate) fn second_copy(&self) -> Vault {
        self.town.nodes[ALICE].loaded()
    }

    /// Bytes of the whole state as it is stored.
    pub(crate) fn stored_bytes(&mut self) -> usize {
        let Self { town, .. } = self;
        town.nodes[ALICE].vault.snapshot(&mut town.rng).1.len()
    }

    /// Stores so many connections in the form of this one, as commits of the vault's own journal.
    fn add(&mut self, made: ConnectionId, count: usize) {
        let node = &mut self.town.nodes[ALICE];
        let journal = SealedJournal::new(node.guid, StorageKey::from_secret(Secret32::from_bytes(STORAGE_KEYS[ALICE])));
        let (mut records, mut chain) = (node.records().to_vec(), Chain::default());
        for sealed in &records {
            let bytes = journal.open_record(sealed).unwrap();
            chain.follow(&Record::from_bytes(&bytes).unwrap(), &bytes).unwrap();
        }
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(AT_ONCE) {
            let mut draft = Draft::new(node.vault.state());
            let mut channels = Channels::default();
            for number in numbers {
                // The renewals of their credentials are spread over the time in which each has to be renewed once.
                let age_ms = i64::try_from(*number).unwrap() * (7 * DAY_MS / 2) / i64::try_from(count).unwrap();
                let at = self.town.now.plus_ms(-age_ms);
                let like = connection::get(&draft, made).unwrap().unwrap();
                self.far.push(one_more(like, at, &node.vault, &mut draft, &mut channels, &mut self.town.rng));
            }
            draft.keep_step();
            let record = chain.next(RecordKind::Commit, draft.into_changes());
            let bytes = record.to_bytes();
            records.push(journal.seal_record(&record, &bytes, &mut self.town.rng));
            chain.follow(&record, &bytes).unwrap();
        }
        let soon = Changes::from([("upkeep_due".to_owned(), None)]);
        let record = chain.next(RecordKind::Commit, soon);
        records.push(journal.seal_record(&record, &record.to_bytes(), &mut self.town.rng));
        node.continued(records);
    }

    /// Does the work once; gives how long the vault took.
    pub(crate) fn one(&mut self, work: Work) -> Duration {
        let at = self.town.rng.random_range(0..self.far.len());
        let connection_id = self.far[at].id;
        match work {
            Work::List => {
                let mut ids: Vec<_> = self.far.iter().map(|far| far.id).chain([self.made]).collect();
                ids.sort_unstable();
                let after = ids[at / 2];
                let limit = u32::try_from(LISTED).ok();
                let asked = ListConnections { after: Some(after), limit, ..ListConnections::default() };
                let (list, _, took) = self.command::<ConnectionList>("connection.list", asked);
                let later = ids.iter().filter(|id| **id > after).count();
                assert_eq!((list.connections.len(), list.more), (LISTED, later > LISTED));
                took
            }
            Work::Review => {
                let asked = json!({ "connection_id": connection_id });
                let (view, _, took) = self.command::<Value>("connection.review", asked);
                assert_eq!(view["connection_id"], connection_id.to_string());
                took
            }
            Work::Send => {
                let asked = json!({ "connection_id": connection_id, "text": "x".repeat(TEXT_BYTES) });
                let (_, posts, took) = self.command::<Sent>("messaging.send", asked);
                self.has_left(&posts, connection_id, "messaging.text");
                took
            }
            Work::Receive => self.receive(at),
            Work::Upkeep => self.look_after(connection_id),
        }
    }

    /// What a connection sees depends on its tags, so it is looked after when they change.
    fn look_after(&mut self, connection_id: ConnectionId) -> Duration {
        let change =
            |add: &[&str], remove: &[&str]| json!({"connection_id": connection_id, "add": add, "remove": remove});
        self.command::<Value>("connection.tag", change(&["friend"], &[]));
        self.command::<Value>("connection.tag", change(&[], &["friend"]));
        let commits = self.town.nodes[ALICE].commits();
        let (_, posts, took) = self.handle(Event::Tick);
        assert_eq!((posts.len(), self.town.nodes[ALICE].commits()), (0, commits + 1));
        took
    }

    /// A command of the owner.
    fn command<T: DeserializeOwned>(&mut self, name: &str, body: impl Serialize) -> (T, Vec<Post>, Duration) {
        let event_id = self.town.fresh_event();
        let Town { apps, now, rng, .. } = &mut self.town;
        let (subject, bytes) = apps[ALICE].seal(name, body, event_id, *now, rng);
        let (_, posts, took) = self.handle(Event::Message { subject, bytes });
        let is_answer = |post: &&Post| matches!(post.subject, Subject::ForApp(_, _, id) if id == event_id);
        let answer = posts.iter().find(is_answer).unwrap_or_else(|| panic!("{name} is not answered"));
        let content = self.town.apps[ALICE].open(&answer.subject, answer.bytes.as_bytes()).unwrap();
        match vjson::from_value::<Answer<Value>>(content.body).unwrap() {
            Answer::Success(value) => (vjson::from_value(value).unwrap(), posts, took),
            Answer::Refused(refusal) => panic!("{name}: {:?}", refusal.code),
        }
    }

    /// The far end sends a message.
    fn receive(&mut self, at: usize) -> Duration {
        let (message_id, guid) = (self.town.fresh_event(), self.town.nodes[ALICE].guid);
        let Town { now, rng, .. } = &mut self.town;
        let far = &mut self.far[at];
        far.sent += 1;
        let body = TextMessage {
            message_id,
            number: far.sent,
            text: "y".repeat(TEXT_BYTES),
            sent_at: *now,
            reply_to: None,
            disappear_after_s: None,
            file: None,
        };
        let content = Content { body, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let event_type = MessagingText::ROW.event_type();
        let (id, subject) = (far.id, Subject::ForOwner(guid, far.id, event_type.clone()));
        let event_id = EventId::v7(*now, crate::app::random_bytes(rng));
        let bytes = far.channel.seal(*now, rng, &subject, event_id, &event_type, &content).unwrap();
        let (handled, posts, took) = self.handle(Event::Message { subject, bytes });
        assert_eq!(handled, [Handled::Done]);
        self.has_left(&posts, id, "messaging.receipt");
        took
    }

    fn handle(&mut self, event: Event) -> (Vec<Handled>, Vec<Post>, Duration) {
        let Town { nodes, now, rng, .. } = &mut self.town;
        let begin = Instant::now();
        let (handled, posts) = nodes[ALICE].handle(*now, rng, &[event], Crash::Never).unwrap();
        (handled, posts, begin.elapsed())
    }

    /// The peer's broker takes what has to arrive there.
    fn has_left(&mut self, posts: &[Post], id: ConnectionId, name: &str) {
        let fits = |post: &&Post| matches!(&post.subject, Subject::ForOwner(_, to, event) if *to == id && event.as_str() == name);
        assert_eq!(posts.iter().filter(fits).count(), 1, "one {name} leaves");
        self.sent(posts);
    }

    fn sent(&mut self, posts: &[Post]) {
        let durable = posts.iter().filter(|post| post.delivery == Delivery::Durable);
        let numbers: Vec<u64> = durable.map(|post| post.number).collect();
        if !numbers.is_empty() {
            self.handle(Event::Sent(numbers));
        }
    }
}

/// One more connection in the form of this one. Gives its far end.
fn one_more(
    mut like: Connection,
    at: Timestamp,
    vault: &Vault,
    draft: &mut Draft<'_>,
    channels: &mut Channels,
    rng: &mut StdRng,
) -> Far {
    let key_id = SessionKeyId::from_bytes(rng.random());
    let id = ConnectionId::v7(at, rng.random());
    let peer = like.peer.as_ref().unwrap().fingerprint;
    like.connection_id = id;
    like.handshake_id = HandshakeId::from_bytes(id.to_bytes());
    like.key_id = Some(key_id);
    like.created_at = at;
    like.display_name = format!("Person {:x}", rng.random::<u32>());
    like.peer_nkey = Some(format!("U{:x}", rng.random::<u128>()));
    let (near_kem, far_kem) = (kem(rng), kem(rng));
    let (near_public, far_public) = (near_kem.public_key().typed(), far_kem.public_key().typed());
    let epoch_key = Secret32::random(rng);
    let keys = |own, peer, own_kem, peer_kem| Keys {
        key_id,
        own,
        peer,
        own_incarnation: 1,
        peer_incarnation: 1,
        epoch_key: epoch_key.duplicate(),
        own_kem,
        peer_kem,
    };
    let (near, own) = (ChannelName::Connection(id), vault.fingerprint());
    channels.add(draft, near, Channel::new(keys(own, peer, near_kem, far_public))).unwrap();
    connection::put(draft, &like).unwrap();
    connection::index(draft, key_id, id).unwrap();
    Far { id, channel: Channel::new(keys(peer, own, far_kem, near_public)), sent: 0 }
}

fn kem(rng: &mut StdRng) -> KemSecretKey {
    KemSecretKey::generate(Suite::X25519, rng).unwrap()
}
