//! Epoch rotation between two real channels: messages are lost, repeated and reordered, sides crash and begin at once. In the
//! end both are in the same epoch, and every message opened.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use vettid_core::channel::{Channel, EPOCH_LIFE_MS, EPOCH_MESSAGES, Keys, Progress, RotationRefused};
use vettid_core::window::Freshness;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::handshake::{Rekey, RekeyMessage};
use vettid_wire::id::{EventId, Fingerprint, SessionKeyId};
use vettid_wire::json;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3_600_000;

struct Side {
    channel: Channel,
    stored: Vec<u8>,
    signer: SigningKey,
    /// Sealed and not delivered yet.
    outbox: Vec<(EventId, Vec<u8>)>,
    /// Events that had their effect.
    done: BTreeSet<EventId>,
}

struct Pair {
    now: Timestamp,
    rng: StdRng,
    sides: [Side; 2],
}

fn subject() -> Subject {
    "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.vault.health".parse().unwrap()
}

fn fingerprint(side: usize) -> Fingerprint {
    Fingerprint::from_bytes([u8::try_from(side).unwrap() + 1; 32])
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let kems = [(); 2].map(|()| KemSecretKey::generate(Suite::X25519, &mut rng).unwrap());
        let publics = kems.each_ref().map(|kem| kem.public_key().typed());
        let mut side = 0;
        let sides = kems.map(|own_kem| {
            let (own, peer) = (side, 1 - side);
            side = 1;
            let mut channel = Channel::new(Keys {
                key_id: SessionKeyId::from_bytes([3; 16]),
                own: fingerprint(own),
                peer: fingerprint(peer),
                own_incarnation: 1,
                peer_incarnation: 1,
                epoch_key: Secret32::from_bytes([4; 32]),
                own_kem,
                peer_kem: publics[peer].clone(),
            });
            channel.pass_time(Timestamp::default());
            let stored = serde_json::to_vec(&channel).unwrap();
            let signer = SigningKey::from_seed(&Secret32::from_bytes([u8::try_from(own).unwrap() + 9; 32]));
            Side { channel, stored, signer, outbox: vec![], done: BTreeSet::new() }
        });
        Self { now: Timestamp::default(), rng, sides }
    }

    /// What a side commits.
    fn store(&mut self, who: usize) {
        let side = &mut self.sides[who];
        side.channel.stored();
        side.stored = serde_json::to_vec(&side.channel).unwrap();
    }

    fn crash(&mut self, who: usize) {
        self.sides[who].channel = serde_json::from_slice(&self.sides[who].stored).unwrap();
    }

    fn seal(&mut self, who: usize, body: serde_json::Value) {
        let mut random = [0; 10];
        self.rng.fill(&mut random[..]);
        let event_id = EventId::v7(self.now, random);
        let event_type = "vault.health".parse().unwrap();
        let content = Content { body, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let side = &mut self.sides[who];
        let sealed = side.channel.seal(self.now, &mut self.rng, &subject(), event_id, &event_type, &content).unwrap();
        side.outbox.push((event_id, sealed));
        self.store(who);
    }

    fn say(&mut self, who: usize) {
        self.seal(who, serde_json::json!({}));
    }

    fn tell(&mut self, who: usize, message: &RekeyMessage) {
        self.seal(who, serde_json::to_value(message).unwrap());
    }

    fn begin(&mut self, who: usize) -> Result<(), RotationRefused> {
        let side = &mut self.sides[who];
        let offer = side.channel.offer_rotation(&mut self.rng, &side.signer)?;
        self.tell(who, &offer);
        Ok(())
    }

    /// A message reaches the other side, which crashes before or after its commit, or not.
    fn deliver(&mut self, from: usize, message: &(EventId, Vec<u8>), crash: Option<bool>) {
        let to = 1 - from;
        let envelope = Envelope::read(&message.1).unwrap();
        let is_known = self.sides[to].done.contains(&message.0);
        let Ok(opened) = self.sides[to].channel.open(&subject(), &envelope) else {
            assert!(is_known, "a message of epoch {} did not open", envelope.encryption.epoch);
            return;
        };
        if is_known {
            return;
        }
        assert_eq!(opened.freshness, Freshness::New);
        if let Ok(rekey) = json::from_value::<RekeyMessage>(opened.content.body) {
            let key = self.sides[from].signer.verifying_key();
            let side = &mut self.sides[to];
            let taken = side.channel.take_rekey(self.now, &mut self.rng, &rekey, &side.signer, &key).unwrap();
            if crash == Some(true) {
                return self.crash(to);
            }
            taken.iter().for_each(|answer| self.tell(to, answer));
        } else if crash == Some(true) {
            return self.crash(to);
        }
        if self.sides[to].channel.owes_switch() {
            let epoch = self.sides[to].channel.epoch() - 1;
            let open = self.sides[to].outbox.iter().map(|(_, bytes)| Envelope::read(bytes).unwrap());
            let open = open.filter(|open| open.encryption.epoch == epoch).map(|open| open.sequence).collect();
            let switch = self.sides[to].channel.switch(open).unwrap();
            self.tell(to, &switch);
        }
        self.sides[to].done.insert(message.0);
        self.store(to);
        if crash == Some(false) {
            self.crash(to);
        }
    }

    /// Everything is delivered, in some order, some of it twice, until nothing is on its way.
    fn settle(&mut self, faulty: bool) {
        while let Some(from) = [0, 1].into_iter().find(|&who| !self.sides[who].outbox.is_empty()) {
            let other_has = !self.sides[1 - from].outbox.is_empty();
            let from = if other_has && self.rng.random_range(0..2) == 0 { 1 - from } else { from };
            self.deliver_one(from, faulty);
        }
    }

    fn deliver_one(&mut self, from: usize, faulty: bool) {
        let at = if faulty { self.rng.random_range(0..self.sides[from].outbox.len()) } else { 0 };
        let message = self.sides[from].outbox[at].clone();
        let crash = match self.rng.random_range(0..10) {
            0 if faulty => Some(true),
            1 if faulty => Some(false),
            _ => None,
        };
        self.deliver(from, &message, crash);
        let arrived = self.sides[1 - from].done.contains(&message.0);
        if arrived && !(faulty && self.rng.random_range(0..4) == 0) {
            self.sides[from].outbox.retain(|(event_id, _)| *event_id != message.0);
        }
    }

    fn epochs(&self) -> [u64; 2] {
        self.sides.each_ref().map(|side| side.channel.epoch())
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        for who in [0, 1] {
            self.sides[who].channel.pass_time(self.now);
            self.store(who);
        }
    }
}

#[test]
fn both_sides_end_in_the_same_epoch_and_every_message_opens() {
    let mut most = 0;
    for seed in 0..150 {
        let mut pair = Pair::new(seed);
        for _ in 0..60 {
            match pair.rng.random_range(0..20) {
                0 => drop(pair.begin(0)),
                1 => drop(pair.begin(1)),
                2 => {
                    // Both at once.
                    drop(pair.begin(0));
                    drop(pair.begin(1));
                }
                3..=12 => {
                    let who = pair.rng.random_range(0..2);
                    pair.say(who);
                }
                13 => pair.pass(3_600_000),
                _ => {
                    let from = pair.rng.random_range(0..2);
                    if !pair.sides[from].outbox.is_empty() {
                        pair.deliver_one(from, true);
                    }
                }
            }
        }
        pair.settle(true);
        let [a, b] = pair.epochs();
        assert_eq!(a, b, "seed {seed}");
        most = most.max(a);
        for side in &pair.sides {
            assert_eq!(side.channel.progress(), Progress::Settled, "seed {seed}");
        }
        pair.pass(DAY_MS);
        pair.pass(DAY_MS);
        assert!(pair.sides.iter().all(|side| side.channel.open_epochs() == 0), "seed {seed}");
        for who in [0, 1] {
            pair.say(who);
        }
        pair.settle(false);
    }
    assert!(most >= 3, "only {most} rotations in one run");
}

#[test]
fn the_lower_fingerprint_wins_a_simultaneous_start() {
    let mut pair = Pair::new(1);
    pair.begin(0).unwrap();
    pair.begin(1).unwrap();
    let (ours, theirs) = (pair.sides[0].outbox[0].clone(), pair.sides[1].outbox[0].clone());
    pair.deliver(1, &theirs, None);
    assert_eq!(pair.sides[0].channel.progress(), Progress::Offered, "its own offer stands");
    pair.deliver(0, &ours, None);
    assert_eq!(pair.sides[1].channel.progress(), Progress::Answered, "it gave up its own offer");
    pair.sides.iter_mut().for_each(|side| side.outbox.retain(|(event_id, _)| ![ours.0, theirs.0].contains(event_id)));
    pair.settle(false);
    assert_eq!(pair.epochs(), [1, 1]);
}

#[test]
fn the_side_that_answers_waits_for_the_first_message_of_the_new_epoch() {
    let mut pair = Pair::new(2);
    pair.begin(0).unwrap();
    pair.deliver_one(0, false);
    assert_eq!(pair.epochs(), [0, 0]);
    pair.say(1);
    let late = pair.sides[1].outbox.last().unwrap().clone();
    assert_eq!(Envelope::read(&late.1).unwrap().encryption.epoch, 0);
    pair.deliver_one(1, false);
    assert_eq!(pair.epochs(), [1, 0], "the answer makes the new epoch on the side that began");
    pair.settle(false);
    assert_eq!(pair.epochs(), [1, 1]);
}

#[test]
fn a_copy_of_one_side_is_worth_nothing_after_the_rotation() {
    let mut pair = Pair::new(3);
    pair.say(0);
    pair.settle(false);
    let mut stolen: Channel = serde_json::from_slice(&pair.sides[0].stored).unwrap();
    pair.begin(0).unwrap();
    let mut seen = vec![];
    while let Some(from) = [0, 1].into_iter().find(|&who| !pair.sides[who].outbox.is_empty()) {
        seen.push((from, pair.sides[from].outbox[0].1.clone()));
        pair.deliver_one(from, false);
    }
    pair.say(1);
    seen.push((1, pair.sides[1].outbox[0].1.clone()));
    pair.settle(false);
    assert_eq!(pair.epochs(), [1, 1]);
    // The copy reads what was sent to its side in the old epoch, and nothing of the new one.
    let read: Vec<bool> = seen
        .iter()
        .filter(|(from, _)| *from == 1)
        .map(|(_, bytes)| stolen.open(&subject(), &Envelope::read(bytes).unwrap()).is_ok())
        .collect();
    assert_eq!(read, [true, false, false]);
    // It speaks for its side in the old epoch, and is not heard.
    let content = Content { body: serde_json::json!({}), to_incarnation: 1, in_reply_to: None, expires_at: None };
    let event_type = "vault.health".parse().unwrap();
    for _ in 0..100 {
        let event_id = EventId::v7(pair.now, [7; 10]);
        let forged = stolen.seal(pair.now, &mut pair.rng, &subject(), event_id, &event_type, &content).unwrap();
        let forged = Envelope::read(&forged).unwrap();
        let heard = pair.sides[1].channel.open(&subject(), &forged);
        assert!(!heard.is_ok_and(|heard| heard.freshness == Freshness::New), "{}", forged.sequence);
    }
}

#[test]
fn whoever_has_the_epoch_keys_cannot_sign_a_rotation() {
    let mut pair = Pair::new(4);
    let mut stolen: Channel = serde_json::from_slice(&pair.sides[0].stored).unwrap();
    let thief = SigningKey::random(&mut pair.rng);
    let offer = stolen.offer_rotation(&mut pair.rng, &thief).unwrap();
    let key = pair.sides[0].signer.verifying_key();
    let victim = &mut pair.sides[1];
    let before = serde_json::to_vec(&victim.channel).unwrap();
    let refused = victim.channel.take_rekey(pair.now, &mut pair.rng, &offer, &victim.signer, &key);
    assert!(matches!(refused, Err(RotationRefused::Rekey(_))));
    assert_eq!(serde_json::to_vec(&victim.channel).unwrap(), before);
    // Nor answer one.
    let RekeyMessage::Offer(theirs) = victim.channel.offer_rotation(&mut pair.rng, &victim.signer).unwrap() else {
        unreachable!("an offer is an offer");
    };
    let own = victim.signer.verifying_key();
    let answered = stolen_answer(&mut stolen, &mut pair.rng, &theirs, &thief, &own);
    let refused = victim.channel.take_rekey(pair.now, &mut pair.rng, &answered, &victim.signer, &key);
    assert!(matches!(refused, Err(RotationRefused::Rekey(_))));
    assert_eq!((victim.channel.epoch(), victim.channel.progress()), (0, Progress::Offered));
}

fn stolen_answer(
    stolen: &mut Channel,
    rng: &mut StdRng,
    offer: &Rekey,
    thief: &SigningKey,
    victim: &vettid_crypto::identity::VerifyingKey,
) -> RekeyMessage {
    let mut fresh: Channel = serde_json::from_slice(&serde_json::to_vec(stolen).unwrap()).unwrap();
    // The thief gives up its own offer as if it had never made one.
    let mut form: serde_json::Value = serde_json::to_value(&fresh).unwrap();
    form["rotation"] = serde_json::json!({"since": null, "coming": null, "closing": [], "announced": null, "ended": null,
        "untold": false, "offered": null});
    fresh = serde_json::from_value(form).unwrap();
    let offer = RekeyMessage::Offer(offer.clone());
    fresh.take_rekey(Timestamp::default(), rng, &offer, thief, victim).unwrap().unwrap()
}

#[test]
fn the_same_offer_gets_the_same_answer_and_another_one_none() {
    let mut pair = Pair::new(5);
    let [first, second] = [0, 1].map(|_| {
        let mut copy: Channel = serde_json::from_slice(&pair.sides[0].stored).unwrap();
        copy.offer_rotation(&mut pair.rng, &pair.sides[0].signer).unwrap()
    });
    let key = pair.sides[0].signer.verifying_key();
    let mut take = |offer: &RekeyMessage| {
        let side = &mut pair.sides[1];
        side.channel.take_rekey(pair.now, &mut pair.rng, offer, &side.signer, &key)
    };
    let answer = take(&first).unwrap().unwrap();
    assert_eq!(take(&first).unwrap().unwrap(), answer);
    assert!(matches!(take(&second), Err(RotationRefused::NotDue)));
}

#[test]
fn an_old_epoch_is_open_until_its_messages_came_and_at_most_thirty_days() {
    let mut pair = Pair::new(6);
    pair.say(0);
    let held_back = pair.sides[0].outbox.remove(0);
    pair.begin(0).unwrap();
    // The sender still has the first message: it says so when it tells the end of the epoch.
    let [offer] = &pair.sides[0].outbox[..] else { unreachable!("only the offer waits") };
    let offer = offer.clone();
    pair.deliver(0, &offer, None);
    pair.sides[0].outbox = vec![held_back.clone()];
    pair.deliver_one(1, false);
    pair.sides[0].outbox.retain(|(event_id, _)| *event_id != held_back.0);
    pair.settle(false);
    assert_eq!(pair.epochs(), [1, 1]);
    pair.pass(5 * DAY_MS);
    assert_eq!(pair.sides[1].channel.open_epochs(), 1);
    pair.deliver(0, &held_back, None);
    pair.pass(1);
    assert_eq!(pair.sides[1].channel.open_epochs(), 0, "nothing is missing any more");

    let mut pair = Pair::new(7);
    pair.say(0);
    let lost = pair.sides[0].outbox[0].clone();
    pair.begin(0).unwrap();
    let offer = pair.sides[0].outbox[1].clone();
    pair.deliver(0, &offer, None);
    pair.deliver_one(1, false);
    pair.sides[0].outbox.retain(|(event_id, _)| ![lost.0, offer.0].contains(event_id));
    pair.settle(false);
    pair.pass(1);
    pair.pass(30 * DAY_MS - 2);
    assert_eq!(pair.sides[1].channel.open_epochs(), 1);
    pair.pass(2);
    assert_eq!(pair.sides[1].channel.open_epochs(), 0);
    let envelope = Envelope::read(&lost.1).unwrap();
    assert!(pair.sides[1].channel.open(&subject(), &envelope).is_err());
    let stored = String::from_utf8(pair.sides[1].stored.clone()).unwrap();
    let first_key = vettid_wire::base64::encode(&[4; 32]);
    assert!(!stored.contains(&first_key), "the key of the closed epoch is gone");
}

#[test]
fn a_rotation_is_due_by_time_or_by_number_of_messages() {
    let mut pair = Pair::new(8);
    let due = |pair: &Pair| pair.sides.each_ref().map(|side| side.channel.rotation_is_due(pair.now));
    assert_eq!(due(&pair), [false, false]);
    pair.pass(EPOCH_LIFE_MS - DAY_MS / 2);
    assert_eq!(due(&pair), [true, false], "the side that wins a tie begins a little earlier");
    pair.pass(DAY_MS / 2);
    assert_eq!(due(&pair), [true, true]);
    let mut pair = Pair::new(9);
    for n in 0..EPOCH_MESSAGES {
        assert!(!due(&pair)[1], "{n}");
        pair.say(usize::try_from(n % 2).unwrap());
        pair.settle(false);
    }
    assert_eq!(due(&pair), [true, true]);
    pair.begin(1).unwrap();
    assert!(!due(&pair)[1], "one at a time");
    pair.settle(false);
    assert_eq!((due(&pair), pair.epochs()), ([false, false], [1, 1]));
}
