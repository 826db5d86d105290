//! The town: two members with vault and app, a shop, the time, and the post office between them.

use crate::app::{App, handshake_event, random_bytes};
use crate::node::{Backup, Crash, ENDPOINT, Node, clocks};
use crate::shop::Shop;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet, VecDeque};
use vettid_core::resync;
use vettid_crypto::audit::Chain;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::nats::user::UserClaims;
use vettid_crypto::secret::Secret32;
use vettid_vault::manager::{Event, Handled};
use vettid_vault::outbox::{Post, Route};
use vettid_wire::connection::{ConnectionView, Invited};
use vettid_wire::enrolment::EnrolVault;
use vettid_wire::envelope::{Answer, Envelope};
use vettid_wire::event::{ConnectionResync, Delivery, EventRow};
use vettid_wire::feed::{AuditStretch, FeedList};
use vettid_wire::id::{ConnectionId, EventId, MemberId};
use vettid_wire::json as vjson;
use vettid_wire::messaging::MessageList;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::{RestoreVault, Restoring};
use vettid_wire::session::HandshakeEvent;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;

/// Alice and Bob.
pub(crate) fn guids() -> [MemberId; 2] {
    [1, 2].map(|n| MemberId::from_bytes([n; 16]))
}

/// How bad the day is, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lose: u32,
    pub(crate) repeat: u32,
    pub(crate) crash: u32,
    pub(crate) reorder: bool,
}

pub(crate) struct Town {
    pub(crate) now: Timestamp,
    pub(crate) rng: StdRng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) apps: Vec<App>,
    pub(crate) shop: Shop,
    pub(crate) faults: Faults,
    inboxes: BTreeMap<MemberId, VecDeque<(Subject, Vec<u8>)>>,
    /// What vaults sent to apps, by event.
    pub(crate) answers: BTreeMap<EventId, Vec<(Subject, Vec<u8>)>>,
    /// (key, epoch, sequence) and bytes of every envelope that ever left a vault.
    pub(crate) sent: BTreeMap<(String, String, u64, u64), Vec<u8>>,
    /// Envelopes of vaults to each other and the shop, in order.
    pub(crate) log: Vec<Post>,
    last_answer: BTreeMap<usize, (Subject, Vec<u8>)>,
    /// How the next vault that handles something dies.
    pub(crate) next_crash: Option<Crash>,
    /// This vault does not run.
    pub(crate) away: Option<usize>,
    /// What was handled before.
    handled: HashSet<Vec<u8>>,
    /// Messages that were dropped when they came for the first time.
    pub(crate) unreadable: usize,
}

impl Town {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys = [(); 2].map(|()| *Secret32::random(&mut rng).expose());
        Self::at(rng, "2026-11-21T00:00:00.000Z".parse().unwrap(), ENDPOINT, keys)
    }

    /// A town at another time and broker, whose vaults have these storage keys.
    pub(crate) fn at(mut rng: StdRng, now: Timestamp, endpoint: &str, keys: [[u8; 32]; 2]) -> Self {
        let guids = guids();
        let places = guids.iter().zip(keys);
        let nodes = places.map(|(&guid, key)| Node::new(guid, key, endpoint, now, &mut rng)).collect();
        let apps = guids.iter().map(|&guid| App::new(guid, now, &mut rng)).collect();
        let shop = Shop::new(MemberId::from_bytes([9; 16]), now, &mut rng);
        Self {
            now,
            rng,
            nodes,
            apps,
            shop,
            faults: Faults::default(),
            inboxes: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent: BTreeMap::new(),
            log: vec![],
            last_answer: BTreeMap::new(),
            next_crash: None,
            away: None,
            handled: HashSet::new(),
            unreadable: 0,
        }
    }

    /// Both apps are enrolled and named.
    pub(crate) fn settled(seed: u64) -> Self {
        let mut town = Self::new(seed);
        town.settle();
        town
    }

    /// Both apps enrol and are named.
    pub(crate) fn settle(&mut self) {
        let town = self;
        for (who, name) in [(ALICE, "Alice"), (BOB, "Bob")] {
            town.enrol(who);
            let _: Value = town.ask(who, "profile.update", json!({"public": {"first_name": name}})).unwrap();
        }
    }

    pub(crate) fn fresh_event(&mut self) -> EventId {
        EventId::v7(self.now, random_bytes(&mut self.rng))
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    fn crash(&mut self) -> Crash {
        if let Some(crash) = self.next_crash.take() {
            return crash;
        }
        match self.rng.random_range(0..200) {
            n if n < self.faults.crash => Crash::BeforeCommit,
            n if n < 2 * self.faults.crash => Crash::AfterCommit,
            _ => Crash::Never,
        }
    }

    pub(crate) fn code(&mut self, who: usize) -> Option<String> {
        let asked = EnrolVault {
            guid: self.nodes[who].guid,
            expires_at: self.now.plus_ms(10 * MINUTE_MS),
            token: "token".into(),
            services_url: "https://services.test".into(),
            session_id: self.fresh_event(),
        };
        let made = self.nodes[who].vault.enrolment_code(clocks(self.now), &mut self.rng, &asked).ok()?;
        self.nodes[who].keep(&made.prepared);
        Some(made.done.qr)
    }

    pub(crate) fn enrol(&mut self, who: usize) {
        let code = self.code(who).unwrap();
        let (initiator, hs1) = self.apps[who].enrol(&code, self.now, &mut self.rng);
        self.shake(who, "app.bootstrap", "app.bootstrap", initiator, &hs1).unwrap();
    }

    pub(crate) fn resume(&mut self, who: usize, full: bool) {
        let (initiator, hs1) = self.apps[who].resume(full, self.now, &mut self.rng);
        self.shake(who, "session.start", "session.finish", initiator, &hs1).unwrap();
    }

    /// `None` if the vault stays silent.
    pub(crate) fn shake(
        &mut self,
        who: usize,
        first: &str,
        last: &str,
        initiator: vettid_core::handshake::Initiator,
        hs1: &[u8],
    ) -> Option<()> {
        let second = self.handshake(who, first, hs1)?.handshake.unwrap().to_bytes().unwrap();
        let hs3 = self.apps[who].finish(initiator, &second, self.now, &mut self.rng);
        assert_eq!(self.handshake(who, last, &hs3)?.handshake, None);
        Some(())
    }

    /// Sends a handshake message until it is answered.
    pub(crate) fn handshake(&mut self, who: usize, name: &str, message: &[u8]) -> Option<HandshakeEvent> {
        let event_id = self.fresh_event();
        let bytes = handshake_event(event_id, self.now, message);
        let subject = Subject::ForVault(self.nodes[who].guid, name.parse().unwrap());
        for _ in 0..20 {
            self.give(who, vec![(subject.clone(), bytes.clone())]);
            if let Some((_, answer)) = self.answers.remove(&event_id).and_then(|mut all| all.pop()) {
                return Some(vjson::read(&answer).unwrap());
            }
        }
        None
    }

    /// Lets a vault handle messages; puts what it sends on its way. Gives what became of them.
    pub(crate) fn give(&mut self, who: usize, messages: Vec<(Subject, Vec<u8>)>) -> Option<Vec<Handled>> {
        let events: Vec<Event> =
            messages.into_iter().map(|(subject, bytes)| Event::Message { subject, bytes }).collect();
        self.handle(who, &events)
    }

    pub(crate) fn handle(&mut self, who: usize, events: &[Event]) -> Option<Vec<Handled>> {
        let crash = self.crash();
        let (handled, posts) = self.nodes[who].handle(self.now, &mut self.rng, events, crash)?;
        self.send(who, posts);
        Some(handled)
    }

    fn send(&mut self, who: usize, posts: Vec<Post>) {
        for post in posts {
            self.note_sequence(who, &post);
            let durable = post.delivery == Delivery::Durable;
            if !self.is_let_in(who, &post.route) {
                continue;
            }
            if !durable && self.chance(self.faults.lose) {
                continue;
            }
            let bytes = post.bytes.as_bytes().to_vec();
            self.log.push(post.clone());
            match &post.subject {
                Subject::ForApp(_, _, event_id) => {
                    self.last_answer.insert(who, (post.subject.clone(), bytes.clone()));
                    self.answers.entry(*event_id).or_default().push((post.subject.clone(), bytes));
                }
                Subject::ForOwner(guid, ..) | Subject::Call(guid, ..) | Subject::Invite(guid, _) => {
                    let inbox = self.inboxes.entry(*guid).or_default();
                    inbox.push_back((post.subject.clone(), bytes));
                }
                _ => {}
            }
            // The acknowledgement of the broker may get lost: the post is then sent again.
            if durable && !self.chance(self.faults.lose) {
                self.handle(who, &[Event::Sent(vec![post.number])]);
            }
        }
    }

    /// What the peer's broker says to the credential that a post leaves with.
    fn is_let_in(&self, who: usize, route: &Route) -> bool {
        let (id, is_claim) = match route {
            Route::Host => return true,
            Route::Peer(id) => (*id, false),
            Route::Claim(id) => (*id, true),
        };
        let connection = self.nodes[who].vault.connection(id).unwrap().unwrap();
        let claim = connection.claim.as_ref().map(|claim| claim.token.clone());
        let held = if is_claim { claim } else { connection.jwt.clone() };
        let Some(token) = held else { return false };
        // The tests' service gives out a claim that is none.
        token == "claim" || UserClaims::received(&UserJwt::unchecked(token), self.now).is_ok()
    }

    /// No sequence of a key is ever used for two different messages.
    fn note_sequence(&mut self, who: usize, post: &Post) {
        let Ok(envelope) = Envelope::read(post.bytes.as_bytes()) else { return };
        if envelope.event_type == ConnectionResync::ROW.event_type() {
            // Sealed for a key that counts nothing; what lies inside is taken once.
            return;
        }
        let Some(key_id) = envelope.encryption.connection_key_id else { return };
        let epoch = envelope.encryption.epoch;
        let place = (self.nodes[who].guid.to_string(), key_id.to_string(), epoch, envelope.sequence);
        let bytes = post.bytes.as_bytes().to_vec();
        let before = self.sent.insert(place.clone(), bytes.clone());
        assert!(before.is_none_or(|before| before == bytes), "sequence {place:?} was used twice");
    }

    /// One delivery to a vault or the shop; `false` if nothing waits anywhere.
    pub(crate) fn deliver(&mut self) -> bool {
        let away = self.away.map(|who| self.nodes[who].guid);
        let waiting: Vec<MemberId> =
            self.inboxes.iter().filter(|(g, i)| !i.is_empty() && Some(**g) != away).map(|(g, _)| *g).collect();
        let Some(&guid) = waiting.get(self.rng.random_range(0..waiting.len().max(1))) else { return false };
        let repeat = self.chance(self.faults.repeat);
        let at = if self.faults.reorder { self.rng.random_range(0..self.inboxes[&guid].len()) } else { 0 };
        let message = self.inboxes.get_mut(&guid).unwrap().remove(at).unwrap();
        if repeat {
            self.inboxes.get_mut(&guid).unwrap().push_back(message.clone());
        }
        if guid == self.shop.guid {
            let letters = self.shop.receive(&message.0, &message.1, self.now, &mut self.rng);
            letters.into_iter().for_each(|(subject, bytes)| self.post(subject, bytes));
            return true;
        }
        let who = self.nodes.iter().position(|node| node.guid == guid).unwrap();
        let dropped = self.nodes[who].vault.dropped();
        let handled = self.give(who, vec![message.clone()]);
        if handled != Some(vec![Handled::Done]) {
            self.inboxes.get_mut(&guid).unwrap().push_back(message);
        } else if self.handled.insert(message.1) && self.nodes[who].vault.dropped() > dropped {
            self.unreadable += 1;
        }
        true
    }

    /// Takes everything that waits for a vault or the shop.
    pub(crate) fn take_inbox(&mut self, guid: MemberId) -> Vec<(Subject, Vec<u8>)> {
        self.inboxes.get_mut(&guid).map(|inbox| inbox.drain(..).collect()).unwrap_or_default()
    }

    /// Puts a message into the inbox of its receiver.
    pub(crate) fn post(&mut self, subject: Subject, bytes: Vec<u8>) {
        self.inboxes.entry(subject.member().unwrap()).or_default().push_back((subject, bytes));
    }

    /// A second passes everywhere; what waits in an outbox is sent again.
    pub(crate) fn tick(&mut self) {
        self.now = self.now.plus_ms(1000);
        for who in [ALICE, BOB] {
            self.tick_of(who);
        }
    }

    /// One vault looks for what is due, unless it is away.
    fn tick_of(&mut self, who: usize) {
        if self.away == Some(who) {
            return;
        }
        self.handle(who, &[Event::Tick]);
        let waiting = self.nodes[who].vault.waiting().unwrap();
        self.send(who, waiting);
    }

    /// Half a day passes, and whoever is there does what is due.
    pub(crate) fn pass_half_day(&mut self) {
        self.now = self.now.plus_ms(DAY_MS / 2);
        for _ in 0..3 {
            self.tick();
            while self.deliver() {}
        }
    }

    /// A vault stores its whole state and comes back from it.
    pub(crate) fn snapshot(&mut self, who: usize) {
        self.nodes[who].take_snapshot(&mut self.rng);
        self.nodes[who].crash();
    }

    /// A vault comes back from an earlier state; its owner says so in the app.
    pub(crate) fn restore(&mut self, who: usize, backup: &Backup) -> Restoring {
        self.nodes[who].put_back(self.now, &mut self.rng, backup);
        self.resume(who, false);
        // Higher than what the state knows, and than what the app has seen.
        let number = self.nodes[who].vault.identity().incarnation.max(self.apps[who].incarnation) + 1;
        self.apps[who].incarnation = number;
        let body = self.word(who, number);
        self.ask(who, "vault.restore", body).unwrap()
    }

    /// What an owner's app says to let the vault go on as this incarnation.
    pub(crate) fn word(&self, who: usize, number: u64) -> RestoreVault {
        let app = &self.apps[who];
        let incarnation = resync::incarnation(app.guid, number, self.now, &app.signing).unwrap();
        RestoreVault { incarnation, credential: None }
    }

    /// Some of what is on its way arrives.
    pub(crate) fn run_a_while(&mut self) {
        for _ in 0..self.rng.random_range(0..10) {
            self.deliver();
        }
        self.tick();
    }

    /// Until nothing is on its way.
    pub(crate) fn run(&mut self) {
        for _ in 0..400 {
            let moved = (0..500).take_while(|_| self.deliver()).count();
            let waits = [ALICE, BOB].iter().any(|&who| !self.nodes[who].vault.waiting().unwrap().is_empty());
            if moved == 0 && !waits {
                return;
            }
            self.tick();
        }
        panic!("the town does not come to rest");
    }

    /// A command of the owner, sent until it is answered.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        who: usize,
        name: &str,
        body: impl Serialize,
    ) -> Result<T, RefusalCode> {
        let event_id = self.fresh_event();
        self.ask_as(who, name, body, event_id).unwrap_or_else(|| panic!("{name} is not answered"))
    }

    /// The same under this event id; `None` if the vault stays silent.
    pub(crate) fn ask_as<T: DeserializeOwned>(
        &mut self,
        who: usize,
        name: &str,
        body: impl Serialize,
        event_id: EventId,
    ) -> Option<Result<T, RefusalCode>> {
        for _ in 0..20 {
            let sealed = self.apps[who].seal(name, &body, event_id, self.now, &mut self.rng);
            self.give(who, vec![sealed]);
            if let Some(answer) = self.answer(who, event_id) {
                return Some(answer);
            }
        }
        None
    }

    /// Opens the answer to an event.
    pub(crate) fn answer<T: DeserializeOwned>(
        &mut self,
        who: usize,
        event_id: EventId,
    ) -> Option<Result<T, RefusalCode>> {
        let (subject, bytes) = self.answers.remove(&event_id)?.pop()?;
        let content = self.apps[who].open(&subject, &bytes).unwrap();
        assert_eq!(content.in_reply_to.unwrap().event_id, event_id);
        Some(match vjson::from_value::<Answer<Value>>(content.body).unwrap() {
            Answer::Success(value) => Ok(vjson::from_value(value).unwrap()),
            Answer::Refused(refusal) => Err(refusal.code),
        })
    }

    /// Alice invites Bob; both agree. Gives the connection, active on both sides.
    pub(crate) fn connect(&mut self) -> ConnectionId {
        let id = self.ask_to_connect();
        for who in [ALICE, BOB] {
            let _: ConnectionView = self.decide(who, id, true).unwrap();
            self.run();
        }
        id
    }

    /// Alice invites, Bob answers: Alice has to decide.
    pub(crate) fn ask_to_connect(&mut self) -> ConnectionId {
        let invited: Invited = self.ask(ALICE, "connection.invite", json!({})).unwrap();
        let view: ConnectionView = self.ask(BOB, "connection.accept", json!({"link": invited.link})).unwrap();
        self.run();
        view.connection_id
    }

    pub(crate) fn decide(&mut self, who: usize, id: ConnectionId, accept: bool) -> Result<ConnectionView, RefusalCode> {
        self.ask(who, "connection.decide", json!({"connection_id": id, "accept": accept}))
    }

    pub(crate) fn view(&mut self, who: usize, id: ConnectionId) -> ConnectionView {
        self.ask(who, "connection.review", json!({"connection_id": id})).unwrap()
    }

    /// Alice accepts an invitation of the shop, with one optional field.
    pub(crate) fn connect_shop(&mut self) -> ConnectionId {
        let link = self.shop.invite(self.now, &mut self.rng);
        let view: ConnectionView = self.ask(ALICE, "connection.accept", json!({"link": link})).unwrap();
        let id = view.connection_id;
        self.run();
        let body = json!({"connection_id": id, "accept": true, "optional_fields": ["phone"]});
        let _: ConnectionView = self.ask(ALICE, "connection.decide", body).unwrap();
        self.run();
        id
    }

    /// Texts of a connection as (number, text) of one direction.
    pub(crate) fn texts(&mut self, who: usize, id: ConnectionId, direction: &str) -> Vec<(u64, String)> {
        let list: MessageList = self.ask(who, "messaging.list", json!({"connection_id": id})).unwrap();
        let of = |view: &vettid_wire::messaging::MessageView| {
            serde_json::to_value(view.direction).unwrap().as_str() == Some(direction)
        };
        let mut texts: Vec<_> =
            list.messages.iter().filter(|view| of(view)).map(|v| (v.number, v.text.clone())).collect();
        texts.sort();
        texts
    }

    pub(crate) fn feed(&mut self, who: usize) -> FeedList {
        self.ask(who, "feed.list", json!({"limit": 200})).unwrap()
    }

    /// What must hold at every moment: the chain verifies, and the journal gives the same state again.
    pub(crate) fn check(&mut self, who: usize) {
        assert_eq!(self.nodes[who].loaded().state(), self.nodes[who].vault.state());
        let mut chain = Chain::new(self.nodes[who].guid, &self.nodes[who].vault.fingerprint());
        loop {
            let body = json!({"from": chain.size(), "limit": 100});
            let stretch: AuditStretch = self.ask(who, "audit.export", body).unwrap();
            stretch.entries.iter().for_each(|exported| chain.follow(&exported.entry).unwrap());
            if chain.size() >= stretch.size {
                break;
            }
        }
        assert!(chain.size() > 2);
    }
}
