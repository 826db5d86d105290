//! One session or connection under epoch keys: seals what this side sends, opens what the other side sent, and
//! tells new from repeated. A sequence is never used twice, whatever crashes (docs/decisions/0004).

mod rotation;

pub use rotation::{EPOCH_LIFE_MS, EPOCH_MESSAGES, Progress, RotationRefused};

use crate::allowance::Allowance;
use crate::window::{Freshness, Window};
use rand_core::CryptoRng;
use rotation::Rotation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_crypto::Undecryptable;
use vettid_crypto::envelope::{self, Binding, Outgoing, SealError};
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, SuiteError};
use vettid_wire::base64::Base64Url;
use vettid_wire::envelope::{Content, Envelope, InReplyTo};
use vettid_wire::event::EventType;
use vettid_wire::id::{EventId, Fingerprint, SessionKeyId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::key::TypedKey;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Sequences that one stored form of the channel reserves.
pub(crate) const RESERVE: u64 = 64;
/// Sequences that a side passes over which does not know how many it has used.
const LEAP: u64 = 250_000;

/// A session or connection in its running epoch, and what is left of the epochs around it. `Serialize` is for sealed stores alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Channel {
    key_id: SessionKeyId,
    own: Fingerprint,
    peer: Fingerprint,
    own_incarnation: u64,
    peer_incarnation: u64,
    epoch: u64,
    #[serde(with = "stored")]
    epoch_key: Secret32,
    #[serde(with = "stored")]
    own_kem: KemSecretKey,
    peer_kem: TypedKey,
    /// No sequence above this one was used before the channel was last stored.
    reserved: u64,
    /// The last sequence used by this process; after reading, all reserved ones count as used.
    #[serde(skip)]
    used: Option<u64>,
    /// Whether `reserved` rose since the channel was last stored.
    #[serde(skip)]
    unsaved: bool,
    window: Window,
    /// Sequences of the running epoch that were received.
    #[serde(default)]
    received: u64,
    /// What the other side may still send.
    #[serde(default)]
    allowance: Allowance,
    #[serde(default)]
    rotation: Rotation,
    /// When something was sealed or opened last, as far as it was stored.
    #[serde(default)]
    last_traffic: Traffic,
}

/// When a channel was used last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Something was sealed for the peer.
    pub sent_at: Option<Timestamp>,
    /// Something of the peer was opened.
    pub received_at: Option<Timestamp>,
}

/// What a handshake gave, as far as a channel needs it.
#[derive(Debug)]
pub struct Keys {
    /// Names the epoch key for both sides.
    pub key_id: SessionKeyId,
    /// This side.
    pub own: Fingerprint,
    /// The other side.
    pub peer: Fingerprint,
    /// This side's incarnation.
    pub own_incarnation: u64,
    /// The other side's incarnation.
    pub peer_incarnation: u64,
    /// The key of epoch 0.
    pub epoch_key: Secret32,
    /// This side's KEM key of the epoch.
    pub own_kem: KemSecretKey,
    /// The other side's KEM key of the epoch.
    pub peer_kem: TypedKey,
}

/// Why nothing could be sealed.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The body has no canonical form.
    #[error("the content has no canonical form")]
    Form(#[from] JsonError),
    /// The peer's key cannot be used.
    #[error("the peer's key cannot be used")]
    Key(#[from] SuiteError),
    /// Too large, or the key failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The end of the epoch was announced, and it is reached.
    #[error("the epoch has ended and the next one has not begun")]
    Ended,
}

/// An opened envelope.
#[derive(Debug)]
pub struct Opened {
    /// What lay inside.
    pub content: Content<Value>,
    /// Whether its sequence was seen before. The sequence is marked now.
    pub freshness: Freshness,
    /// The epoch it was sealed in.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
}

impl Channel {
    /// A channel in epoch 0.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        let Keys { key_id, own, peer, own_incarnation, peer_incarnation, epoch_key, own_kem, peer_kem } = keys;
        Self {
            key_id,
            own,
            peer,
            own_incarnation,
            peer_incarnation,
            epoch: 0,
            epoch_key,
            own_kem,
            peer_kem,
            reserved: RESERVE,
            used: Some(0),
            unsaved: true,
            window: Window::default(),
            received: 0,
            allowance: Allowance::new(),
            rotation: Rotation::default(),
            last_traffic: Traffic::default(),
        }
    }

    /// Names the epoch key.
    #[must_use]
    pub fn key_id(&self) -> SessionKeyId {
        self.key_id
    }

    /// The other side.
    #[must_use]
    pub fn peer(&self) -> &Fingerprint {
        &self.peer
    }

    /// The other side's incarnation.
    #[must_use]
    pub fn peer_incarnation(&self) -> u64 {
        self.peer_incarnation
    }

    /// What the other side may still send. Whoever takes from it for an event that is committed stores the channel, too.
    pub fn allowance(&mut self) -> &mut Allowance {
        &mut self.allowance
    }

    /// Messages sealed in the running epoch, counting reserved ones as used.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.used.unwrap_or(self.reserved)
    }

    /// Whether the channel has to be stored before what was sealed may be sent: it used sequences that the stored
    /// form does not reserve.
    #[must_use]
    pub fn must_store(&self) -> bool {
        self.unsaved
    }

    /// The channel is part of a commit that comes before anything that was sealed is sent.
    pub fn stored(&mut self) {
        self.unsaved = false;
    }

    /// Whether few reserved sequences are left.
    #[must_use]
    pub fn runs_low(&self) -> bool {
        self.used.is_some_and(|used| self.reserved.saturating_sub(used) <= RESERVE / 4)
    }

    /// Reserves further sequences if few are left, so that no message has to wait until the channel is stored. Whether it did: the channel is
    /// to be stored then.
    pub fn reserve_ahead(&mut self) -> bool {
        let runs_low = self.runs_low();
        if runs_low {
            self.reserved = self.sent() + RESERVE;
            self.unsaved = true;
        }
        runs_low
    }

    /// Seals an event for the other side; gives the bytes that go on the wire.
    pub fn seal<T: Serialize>(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        subject: &Subject,
        event_id: EventId,
        event_type: &EventType,
        content: &Content<T>,
    ) -> Result<Vec<u8>, ChannelError> {
        let plaintext = json::canonical(content)?;
        let recipient = KemPublicKey::from_typed(&self.peer_kem)?;
        if !self.may_use(self.sent() + 1) {
            return Err(ChannelError::Ended);
        }
        let (subject, sequence) = (subject.to_string(), self.next_sequence());
        self.last_traffic.sent_at = Some(now);
        let binding = Binding { subject: &subject, sender: &self.own, recipient: &self.peer };
        let outgoing = Outgoing {
            event_id,
            event_type: event_type.clone(),
            timestamp: now,
            connection_key_id: Some(self.key_id),
            incarnation: self.own_incarnation,
            epoch: self.epoch,
            sequence,
        };
        let envelope = envelope::seal(rng, &recipient, &self.epoch_key, &binding, outgoing, &plaintext)?;
        Ok(serde_json::to_vec(&envelope).map_err(JsonError::Shape)?)
    }

    fn next_sequence(&mut self) -> u64 {
        let next = self.sent() + 1;
        self.used = Some(next);
        if next > self.reserved {
            self.reserved = next + RESERVE;
            self.unsaved = true;
        }
        next
    }

    /// This side came back from an earlier state and goes on under the same keys: it passes over the sequences that it may have
    /// used since. As far as the end of the epoch was announced, that stays its end.
    pub fn leap(&mut self) {
        let most = self.rotation.announced_end().unwrap_or(u64::MAX);
        self.reserved = self.sent().saturating_add(LEAP).min(most);
        (self.used, self.unsaved) = (None, true);
    }

    /// Opens an envelope that arrived on this subject, and marks its sequence. The first one of the next epoch makes that epoch
    /// the running one.
    pub fn open(&mut self, subject: &Subject, envelope: &Envelope) -> Result<Opened, Undecryptable> {
        let (epoch, sequence) = (envelope.encryption.epoch, envelope.sequence);
        let (epoch_key, kem) = self.keys_for(epoch, sequence)?;
        self.is_addressed_by(envelope, kem)?;
        let subject = subject.to_string();
        let binding = Binding { subject: &subject, sender: &self.peer, recipient: &self.own };
        let plaintext = envelope::open(kem, epoch_key, &binding, envelope)?;
        let content = Content::read(plaintext.expose()).map_err(|_| Undecryptable)?;
        if epoch > self.epoch {
            self.advance_to_coming();
        }
        Ok(Opened { content, freshness: self.mark(epoch, sequence), epoch, sequence })
    }

    /// The keys under which a sequence of an epoch may come: the running epoch, the next one, or one that is not closed yet.
    fn keys_for(&self, epoch: u64, sequence: u64) -> Result<(&Secret32, &KemSecretKey), Undecryptable> {
        if epoch == self.epoch {
            return Ok((&self.epoch_key, &self.own_kem));
        }
        if epoch.checked_sub(1) == Some(self.epoch) {
            return self.coming_keys().ok_or(Undecryptable);
        }
        let closing = self.closing(epoch).filter(|closing| sequence <= closing.final_seq);
        closing.map(|closing| (&closing.epoch_key, &closing.own_kem)).ok_or(Undecryptable)
    }

    fn is_addressed_by(&self, envelope: &Envelope, kem: &KemSecretKey) -> Result<(), Undecryptable> {
        let encryption = &envelope.encryption;
        let addressed = encryption.connection_key_id == Some(self.key_id)
            && encryption.incarnation == self.peer_incarnation
            && encryption.key_id == kem.public_key().key_id();
        if addressed { Ok(()) } else { Err(Undecryptable) }
    }

    fn mark(&mut self, epoch: u64, sequence: u64) -> Freshness {
        let (window, received) = match self.window_of(epoch) {
            Some(found) => found,
            None => return Freshness::TooOld,
        };
        let freshness = window.mark(sequence);
        if freshness == Freshness::New {
            *received += 1;
        }
        freshness
    }

    fn window_of(&mut self, epoch: u64) -> Option<(&mut Window, &mut u64)> {
        if epoch == self.epoch {
            return Some((&mut self.window, &mut self.received));
        }
        self.closing_mut(epoch).map(|closing| (&mut closing.window, &mut closing.received))
    }

    /// Takes a mark back, when the event could not be handled and will be delivered again.
    pub fn unmark(&mut self, epoch: u64, sequence: u64) {
        if let Some((window, received)) = self.window_of(epoch)
            && window.check(sequence) == Freshness::Seen
        {
            window.unmark(sequence);
            *received = received.saturating_sub(1);
        }
    }

    /// Something of the peer was opened at this time.
    pub fn note_received(&mut self, now: Timestamp) {
        self.last_traffic.received_at = Some(now);
    }

    /// When the channel was used last. After reading, as far as it was stored.
    #[must_use]
    pub fn last_traffic(&self) -> Traffic {
        self.last_traffic
    }
}

/// Names a question in its answer: the event and the hash of its body (spec §3 R12).
pub fn in_reply_to(event_id: EventId, body: &impl Serialize) -> Result<InReplyTo, JsonError> {
    Ok(in_reply_to_canonical(event_id, &json::canonical(body)?))
}

/// As [`in_reply_to`], of a body whose canonical bytes are at hand.
#[must_use]
pub fn in_reply_to_canonical(event_id: EventId, body: &[u8]) -> InReplyTo {
    InReplyTo { event_id, body_hash: Base64Url::new(h256(body)) }
}

/// SHA-256 of the canonical bytes of a body.
pub fn body_hash(body: &impl Serialize) -> Result<Base64Url, JsonError> {
    Ok(Base64Url::new(h256(&json::canonical(body)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use vettid_crypto::suite::Suite;
    use vettid_wire::event::Nothing;

    fn pair() -> (Channel, Channel, StdRng) {
        let mut rng = StdRng::seed_from_u64(7);
        let (a, b) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
        let kem = |rng: &mut StdRng| KemSecretKey::generate(Suite::X25519, rng).unwrap();
        let (kem_a, kem_b) = (kem(&mut rng), kem(&mut rng));
        let (public_a, public_b) = (kem_a.public_key().typed(), kem_b.public_key().typed());
        let keys = |own, peer, own_kem, peer_kem| Keys {
            key_id: SessionKeyId::from_bytes([3; 16]),
            own,
            peer,
            own_incarnation: 1,
            peer_incarnation: 1,
            epoch_key: Secret32::from_bytes([4; 32]),
            own_kem,
            peer_kem,
        };
        (Channel::new(keys(a, b, kem_a, public_b)), Channel::new(keys(b, a, kem_b, public_a)), rng)
    }

    fn subject() -> Subject {
        "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.vault.health".parse().unwrap()
    }

    fn seal(channel: &mut Channel, rng: &mut StdRng) -> Envelope {
        let content = Content { body: Nothing {}, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let event_id = EventId::v7(Timestamp::default(), [0; 10]);
        let event_type = "vault.health".parse().unwrap();
        let bytes = channel.seal(Timestamp::default(), rng, &subject(), event_id, &event_type, &content).unwrap();
        Envelope::read(&bytes).unwrap()
    }

    #[test]
    fn what_one_side_seals_the_other_opens_once() {
        let (mut a, mut b, mut rng) = pair();
        let envelope = seal(&mut a, &mut rng);
        assert_eq!(b.open(&subject(), &envelope).unwrap().freshness, Freshness::New);
        assert_eq!(b.open(&subject(), &envelope).unwrap().freshness, Freshness::Seen);
        assert!(a.open(&subject(), &envelope).is_err(), "a message does not open on the side that sent it");
    }

    #[test]
    fn another_subject_or_header_does_not_open() {
        let (mut a, mut b, mut rng) = pair();
        let other = "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.data.list".parse().unwrap();
        let envelope = seal(&mut a, &mut rng);
        assert!(b.open(&other, &envelope).is_err());
        let changes: [fn(&mut Envelope); 6] = [
            |e| e.sequence += 1,
            |e| e.encryption.epoch += 1,
            |e| e.encryption.incarnation += 1,
            |e| e.encryption.connection_key_id = None,
            |e| e.event_type = "data.list".parse().unwrap(),
            |e| e.timestamp = e.timestamp.plus_ms(1),
        ];
        for change in changes {
            let mut changed = envelope.clone();
            change(&mut changed);
            assert!(b.open(&subject(), &changed).is_err());
        }
        assert!(b.open(&subject(), &envelope).is_ok());
    }

    #[test]
    fn a_channel_read_again_never_repeats_a_sequence() {
        let (mut a, _, mut rng) = pair();
        let mut highest = 0;
        for used in [1usize, 3, 999, 1001, 2500] {
            for _ in 0..used {
                let sequence = seal(&mut a, &mut rng).sequence;
                assert!(sequence > highest);
                highest = sequence;
                if a.must_store() {
                    a.stored();
                    let stored = serde_json::to_vec(&a).unwrap();
                    if used % 2 == 0 {
                        a = serde_json::from_slice(&stored).unwrap();
                    }
                }
            }
            let stored = serde_json::to_vec(&a).unwrap();
            a = serde_json::from_slice(&stored).unwrap();
        }
    }

    #[test]
    fn only_what_the_last_stored_form_reserved_is_sent_without_storing() {
        let (mut a, _, mut rng) = pair();
        assert!(a.must_store());
        a.stored();
        let stored = serde_json::to_vec(&a).unwrap();
        let mut sent = Vec::new();
        while !a.must_store() {
            sent.push(seal(&mut a, &mut rng).sequence);
        }
        sent.pop();
        let mut again: Channel = serde_json::from_slice(&stored).unwrap();
        let next = seal(&mut again, &mut rng).sequence;
        assert!(sent.iter().all(|&sequence| sequence < next));
        assert_eq!(sent.len(), usize::try_from(RESERVE).unwrap());
    }

    #[test]
    fn who_reserves_ahead_never_waits_and_leaves_no_larger_gap() {
        let (mut a, _, mut rng) = pair();
        a.stored();
        let mut stored = serde_json::to_vec(&a).unwrap();
        for _ in 0..5 * RESERVE {
            let sequence = seal(&mut a, &mut rng).sequence;
            assert!(!a.must_store(), "{sequence} had to wait");
            let mut again: Channel = serde_json::from_slice(&stored).unwrap();
            let next = seal(&mut again, &mut rng).sequence;
            assert!(sequence < next && next <= sequence + RESERVE + 1, "{sequence} and then {next}");
            if a.runs_low() {
                assert!(a.reserve_ahead() && a.must_store() && !a.reserve_ahead());
                a.stored();
                stored = serde_json::to_vec(&a).unwrap();
            }
        }
        let mut read: Channel = serde_json::from_slice(&stored).unwrap();
        assert!(!read.reserve_ahead(), "one that was just read reserves with its first message");
    }
}
