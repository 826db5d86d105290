//! Two sides on a bad network. Each step loads the stored state, takes it, stores the new one, and only then sends;
//! what a crash loses is what was not sent yet.

use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_core::channel::{Channel, Keys};
use vettid_core::handshake::{Initiator, Invited, Phase, Reaction, Responder, Target, invite};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::Nothing;
use vettid_wire::handshake::InvitationKind;
use vettid_wire::id::EventId;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

use crate::parties::{MINUTE_MS, Side, answer, closing, opening, reload, sides, start_of_day, terms};

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Initiator,
    Responder,
}

/// A message under way.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) to: Who,
    pub(crate) bytes: Vec<u8>,
}

/// Both sides and the network between them.
pub(crate) struct Simulation {
    pub(crate) now: Timestamp,
    rng: StdRng,
    bob: Side,
    alice: Side,
    pub(crate) initiator: Initiator,
    pub(crate) responder: Responder,
    bob_channel: Option<Channel>,
    alice_channel: Option<Channel>,
    ready: Option<Vec<u8>>,
    pub(crate) network: Vec<Message>,
    /// Steps taken so far; each is one commit.
    pub(crate) commits: usize,
    /// The side crashes after this commit, before it sends.
    pub(crate) crash_after: Option<usize>,
    pub(crate) alarms: usize,
}

impl Simulation {
    pub(crate) fn new(kind: InvitationKind, seed: u64, crash_after: Option<usize>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = start_of_day();
        let (bob, alice) = sides(kind, &mut rng);
        let terms = terms(kind, &alice, now.plus_ms(10 * MINUTE_MS));
        let Invited { responder, invitation } = invite(now, &mut rng, &alice.party(), kind, terms).unwrap();
        let target = Target::invitation(&invitation).unwrap();
        let (initiator, reaction) = Initiator::start(now, &mut rng, &bob.party(), target, &opening(&bob)).unwrap();
        let (bob_channel, alice_channel, ready) = (None, None, None);
        let mut simulation = Self {
            now,
            rng,
            bob,
            alice,
            initiator,
            responder,
            bob_channel,
            alice_channel,
            ready,
            network: vec![],
            commits: 0,
            crash_after,
            alarms: 0,
        };
        simulation.commit(Who::Responder, reaction);
        simulation
    }

    /// Stores, then sends; or crashes in between.
    fn commit(&mut self, to: Who, reaction: Reaction) {
        self.alarms += usize::from(reaction.alarm);
        self.initiator = reload(&self.initiator);
        self.responder = reload(&self.responder);
        self.bob_channel = self.bob_channel.as_ref().map(reload);
        self.alice_channel = self.alice_channel.as_ref().map(reload);
        let crashed = self.crash_after == Some(self.commits);
        self.commits += 1;
        if let Some(bytes) = reaction.send.filter(|_| !crashed) {
            self.network.push(Message { to, bytes });
        }
    }

    pub(crate) fn deliver(&mut self, message: &Message) {
        match message.to {
            Who::Responder => {
                let reaction = self.responder.receive(self.now, &message.bytes);
                self.open_responder_channel();
                self.commit(Who::Initiator, reaction);
                self.resend_ready();
            }
            Who::Initiator => match Envelope::read(&message.bytes) {
                Ok(envelope) => self.receive_ready(&envelope),
                Err(_) => {
                    let reaction = self.initiator.receive(self.now, &message.bytes);
                    self.commit(Who::Responder, reaction);
                }
            },
        }
    }

    /// The owner of a side accepts, if there is something to accept, and the next message is made.
    pub(crate) fn decide(&mut self, who: Who) {
        match who {
            Who::Responder if self.responder.phase() == Phase::Hs1Received => {
                self.responder.accept(self.now).unwrap();
                self.commit(Who::Initiator, Reaction::default());
                let content = answer(&self.alice);
                let party = self.alice.party();
                let reaction = self.responder.answer(self.now, &mut self.rng, &party, &content).unwrap();
                self.commit(Who::Initiator, reaction);
            }
            Who::Initiator if self.initiator.phase() == Phase::Hs2Received => {
                self.initiator.accept(self.now).unwrap();
                self.commit(Who::Responder, Reaction::default());
                let party = self.bob.party();
                let reaction = self.initiator.finish(self.now, &mut self.rng, &party, &closing()).unwrap();
                let (keys, _) = self.initiator.take_outcome().unwrap().into_keys(1);
                self.bob_channel = Some(Channel::new(keys));
                self.commit(Who::Responder, reaction);
            }
            _ => {}
        }
    }

    /// A side sends again what may have been lost.
    pub(crate) fn resend(&mut self, who: Who) {
        match who {
            Who::Initiator => {
                let bytes = self.initiator.unanswered().map(<[u8]>::to_vec);
                self.network.extend(bytes.map(|bytes| Message { to: Who::Responder, bytes }));
            }
            Who::Responder => {
                let bytes = self.responder.unanswered().map(<[u8]>::to_vec);
                self.network.extend(bytes.map(|bytes| Message { to: Who::Initiator, bytes }));
                self.resend_ready();
            }
        }
    }

    /// A fair network for a while: everything is sent again, everything arrives, the owners decide.
    pub(crate) fn settle(&mut self) {
        for _ in 0..6 {
            for who in [Who::Initiator, Who::Responder] {
                self.decide(who);
                self.resend(who);
            }
            for message in std::mem::take(&mut self.network) {
                self.deliver(&message);
            }
        }
    }

    pub(crate) fn phases(&self) -> (Phase, Phase) {
        (self.initiator.phase(), self.responder.phase())
    }

    /// A message of each side opens on the other: both hold the same keys.
    pub(crate) fn assert_channel_works(&mut self) {
        let (mut bob, mut alice) = (self.bob_channel.take().unwrap(), self.alice_channel.take().unwrap());
        let envelope = sealed(&mut bob, self.now, &mut self.rng);
        assert!(alice.open(&subject(), &envelope).is_ok());
        let envelope = sealed(&mut alice, self.now, &mut self.rng);
        assert!(bob.open(&subject(), &envelope).is_ok());
    }

    fn open_responder_channel(&mut self) {
        if let Some(outcome) = self.responder.take_outcome() {
            let keys: Keys = outcome.into_keys(3).0;
            let mut channel = Channel::new(keys);
            let envelope = sealed(&mut channel, self.now, &mut self.rng);
            self.ready = Some(serde_json::to_vec(&envelope).unwrap());
            self.alice_channel = Some(channel);
        }
    }

    fn resend_ready(&mut self) {
        let ready = self.ready.clone();
        self.network.extend(ready.map(|bytes| Message { to: Who::Initiator, bytes }));
    }

    fn receive_ready(&mut self, envelope: &Envelope) {
        let Some(channel) = &mut self.bob_channel else {
            return;
        };
        if channel.open(&subject(), envelope).is_ok() {
            self.initiator.confirm().unwrap();
            self.commit(Who::Responder, Reaction::default());
        }
    }
}

fn subject() -> Subject {
    "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.vault.health".parse().unwrap()
}

fn sealed(channel: &mut Channel, now: Timestamp, rng: &mut StdRng) -> Envelope {
    let content = Content { body: Nothing {}, to_incarnation: 1, in_reply_to: None, expires_at: None };
    let event_type = "vault.health".parse().unwrap();
    let event_id = EventId::v7(now, [0; 10]);
    let bytes = channel.seal(now, rng, &subject(), event_id, &event_type, &content).unwrap();
    Envelope::read(&bytes).unwrap()
}
