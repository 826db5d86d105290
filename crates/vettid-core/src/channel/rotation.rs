//! Epoch rotation of a channel (spec 2.5, docs/decisions/0130). Pure: what is to be sent is given back, and may leave only
//! after the channel was stored. No key of an epoch outlives its last message, and none is kept longer than thirty days.

use super::{Channel, RESERVE};
use crate::window::{Freshness, Window};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::rekey::{self, NextEpoch, Offered, RekeyError};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::KemSecretKey;
use vettid_wire::handshake::{EpochSwitch, MOST_OPEN, Rekey, RekeyMessage};
use vettid_wire::key::TypedKey;
use vettid_wire::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// An epoch is followed by another one after this time, in milliseconds (seven days).
pub const EPOCH_LIFE_MS: i64 = 7 * DAY_MS;
/// An epoch is followed by another one after this many messages, both directions together.
pub const EPOCH_MESSAGES: u64 = 1_000;
/// The side that would win a tie begins a little earlier, so that there is seldom one.
const EARLIER_MS: i64 = 12 * HOUR_MS;
const EARLIER_MESSAGES: u64 = 50;
/// Sequences that a side may still use in an epoch whose end it has announced. The number that was used in fact comes with
/// the first message of the next epoch.
const ROOM: u64 = 1_000_000;
/// An epoch whose end is known closes after this time, in milliseconds, even if some of its sequences never came.
const CLOSE_AFTER_MS: i64 = DAY_MS;
/// An epoch closes after this time, in milliseconds, whatever is missing.
const CLOSE_AT_LATEST_MS: i64 = 30 * DAY_MS;
/// With so many epochs still open on the receiving side, no further one is begun.
const MOST_CLOSING: usize = 16;

/// Why a rotation is not begun, or a message of one has no effect.
#[derive(Debug, thiserror::Error)]
pub enum RotationRefused {
    /// The signature or a key of it does not count.
    #[error(transparent)]
    Rekey(#[from] RekeyError),
    /// Not the rotation that is due.
    #[error("not the rotation that is due")]
    NotDue,
    /// Too many earlier epochs wait for messages that have not come.
    #[error("too many earlier epochs are still open")]
    TooManyOpen,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// None is under way.
    Settled,
    /// This side began and waits for the answer.
    Offered,
    /// This side answered and waits for the first message of the new epoch.
    Answered,
}

/// What of a rotation is stored with the channel.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rotation {
    /// When the running epoch began; `None` until time is first told.
    since: Option<Timestamp>,
    /// Own offer, while it is not answered.
    #[serde(default, with = "stored")]
    offered: Option<Offered>,
    /// Keys of the next epoch, until the peer uses them.
    coming: Option<Coming>,
    /// Epochs in which only the peer may still have sent something.
    closing: Vec<Closing>,
    /// This side announced that nothing of the running epoch comes after this sequence.
    announced: Option<u64>,
    /// The last sequence that this side used in the epoch before.
    ended: Option<u64>,
    /// The peer was not told yet where the epoch before ended.
    untold: bool,
}

impl Rotation {
    /// The last sequence that this side may use in the running epoch, if it said so.
    pub(super) fn announced_end(&self) -> Option<u64> {
        self.announced
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Coming {
    #[serde(with = "stored")]
    epoch_key: Secret32,
    #[serde(with = "stored")]
    own_kem: KemSecretKey,
    peer_kem: TypedKey,
    peer_final_seq: u64,
    /// What was answered, and how: the same offer gets the same answer.
    offer: Rekey,
    answer: Rekey,
}

/// An epoch that is over for this side.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Closing {
    pub(super) epoch: u64,
    #[serde(with = "stored")]
    pub(super) epoch_key: Secret32,
    #[serde(with = "stored")]
    pub(super) own_kem: KemSecretKey,
    pub(super) window: Window,
    pub(super) received: u64,
    pub(super) final_seq: u64,
    /// What the peer still had to deliver when it told the end.
    open: Vec<u64>,
    since: Option<Timestamp>,
    told_at: Option<Timestamp>,
}

impl Closing {
    fn is_over(&self, now: Timestamp) -> bool {
        let too_old = self.since.is_some_and(|since| now.since_ms(since) >= CLOSE_AT_LATEST_MS);
        let Some(told_at) = self.told_at else {
            return too_old;
        };
        let waited = now.since_ms(told_at) >= CLOSE_AFTER_MS && self.has_what_was_open();
        too_old || self.received >= self.final_seq || waited
    }

    /// Whether everything came that the peer still had in its outbox.
    fn has_what_was_open(&self) -> bool {
        self.open.iter().all(|&sequence| self.window.check(sequence) == Freshness::Seen)
    }
}

impl Channel {
    /// The running epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// This side's public key of the running epoch.
    #[must_use]
    pub fn own_kem(&self) -> vettid_crypto::suite::KemPublicKey {
        self.own_kem.public_key()
    }

    /// When the running epoch began; `None` before [`Self::pass_time`] was called in it.
    #[must_use]
    pub fn epoch_since(&self) -> Option<Timestamp> {
        self.rotation.since
    }

    /// Messages of the running epoch, both directions together; reserved sequences count as used.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.sent().saturating_add(self.received)
    }

    /// Whether an epoch is over, and its keys are wiped.
    #[must_use]
    pub fn has_closed(&self, epoch: u64) -> bool {
        epoch < self.epoch && self.closing(epoch).is_none()
    }

    /// Earlier epochs that still wait for messages.
    #[must_use]
    pub fn open_epochs(&self) -> usize {
        self.rotation.closing.len()
    }

    /// How far a rotation is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match (&self.rotation.offered, &self.rotation.coming) {
            (_, Some(_)) => Progress::Answered,
            (Some(_), None) => Progress::Offered,
            (None, None) => Progress::Settled,
        }
    }

    /// When the running epoch is followed by the next one at the latest; `None` before [`Self::pass_time`] was called in it.
    #[must_use]
    pub fn rotation_due_at(&self) -> Option<Timestamp> {
        let life_ms = EPOCH_LIFE_MS - if self.begins_first() { EARLIER_MS } else { 0 };
        self.rotation.since.map(|since| since.plus_ms(life_ms))
    }

    /// Whether this side has to begin a rotation now, by time or by the number of messages.
    #[must_use]
    pub fn rotation_is_due(&self, now: Timestamp) -> bool {
        let most = EPOCH_MESSAGES - if self.begins_first() { EARLIER_MESSAGES } else { 0 };
        let is_old = self.rotation_due_at().is_some_and(|due| due <= now);
        let is_free = self.progress() == Progress::Settled && self.open_epochs() < MOST_CLOSING;
        is_free && (is_old || self.messages() >= most)
    }

    fn begins_first(&self) -> bool {
        rekey::begins_first(&self.own, &self.peer)
    }

    /// Lets time pass: closes epochs whose messages have all come or will not come any more, and wipes their keys. `true` if
    /// the channel changed and is to be stored with the next commit.
    pub fn pass_time(&mut self, now: Timestamp) -> bool {
        let before = (self.rotation.since, self.rotation.closing.len());
        self.rotation.since.get_or_insert(now);
        for closing in &mut self.rotation.closing {
            closing.since.get_or_insert(now);
        }
        self.rotation.closing.retain(|closing| !closing.is_over(now));
        let changed = before != (self.rotation.since, self.rotation.closing.len());
        self.unsaved |= changed;
        changed
    }

    /// Begins a rotation; while one of this side is under way, gives the same offer again.
    ///
    /// # Errors
    /// [`RotationRefused`] while the peer's rotation is under way or too many epochs are open.
    pub fn offer_rotation(
        &mut self,
        rng: &mut dyn CryptoRng,
        signer: &SigningKey,
    ) -> Result<RekeyMessage, RotationRefused> {
        if let Some(offered) = &self.rotation.offered {
            return Ok(RekeyMessage::Offer(offered.message().clone()));
        }
        if self.rotation.coming.is_some() {
            return Err(RotationRefused::NotDue);
        }
        if self.open_epochs() >= MOST_CLOSING {
            return Err(RotationRefused::TooManyOpen);
        }
        let final_seq = self.announce();
        let suite = self.own_kem.public_key().suite();
        let offered = rekey::offer(rng, suite, self.epoch + 1, final_seq, signer)?;
        let message = RekeyMessage::Offer(offered.message().clone());
        self.rotation.offered = Some(offered);
        Ok(message)
    }

    /// The last sequence of the running epoch, said once.
    fn announce(&mut self) -> u64 {
        self.unsaved = true;
        let last = self.sent().saturating_add(ROOM);
        *self.rotation.announced.get_or_insert(last)
    }

    /// Whether this side may still use a sequence in the running epoch.
    pub(super) fn may_use(&self, sequence: u64) -> bool {
        self.rotation.announced.is_none_or(|last| sequence <= last)
    }

    /// Takes a message of a rotation; gives what is to be answered. Repetitions get the same answer and change nothing.
    ///
    /// # Errors
    /// [`RotationRefused`]; the channel is as it was.
    pub fn take_rekey(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        message: &RekeyMessage,
        signer: &SigningKey,
        peer: &VerifyingKey,
    ) -> Result<Option<RekeyMessage>, RotationRefused> {
        match message {
            RekeyMessage::Offer(offer) => self.take_offer(rng, offer, signer, peer),
            RekeyMessage::Answer(answer) => self.take_answer(answer, peer).map(|()| None),
            RekeyMessage::Switched(switch) => {
                self.take_switch(now, switch);
                Ok(None)
            }
        }
    }

    fn take_offer(
        &mut self,
        rng: &mut dyn CryptoRng,
        offer: &Rekey,
        signer: &SigningKey,
        peer: &VerifyingKey,
    ) -> Result<Option<RekeyMessage>, RotationRefused> {
        if offer.epoch <= self.epoch {
            // Late: this rotation is through.
            return Ok(None);
        }
        if let Some(coming) = &self.rotation.coming {
            return if coming.offer == *offer {
                Ok(Some(RekeyMessage::Answer(coming.answer.clone())))
            } else {
                Err(RotationRefused::NotDue)
            };
        }
        if self.rotation.offered.is_some() && self.begins_first() {
            // Both began at once and this side's offer stands: the peer will answer it.
            return Ok(None);
        }
        let (epoch, final_seq) = (self.epoch + 1, self.sent().saturating_add(ROOM));
        let final_seq = self.rotation.announced.unwrap_or(final_seq);
        let (answer, next) = rekey::answer(rng, &self.epoch_key, offer, peer, (epoch, final_seq), signer)?;
        self.rotation.announced = Some(final_seq);
        self.rotation.offered = None;
        self.rotation.coming = Some(Coming {
            epoch_key: next.epoch_key,
            own_kem: next.own_kem,
            peer_kem: next.peer_kem.typed(),
            peer_final_seq: next.peer_final_seq,
            offer: offer.clone(),
            answer: answer.clone(),
        });
        self.unsaved = true;
        Ok(Some(RekeyMessage::Answer(answer)))
    }

    fn take_answer(&mut self, answer: &Rekey, peer: &VerifyingKey) -> Result<(), RotationRefused> {
        if answer.epoch <= self.epoch {
            // A repetition: the peer may have missed the end of the epoch before.
            self.rotation.untold |= answer.epoch == self.epoch && self.received == 0 && self.rotation.ended.is_some();
            return Ok(());
        }
        let Some(offered) = self.rotation.offered.take() else {
            return Err(RotationRefused::NotDue);
        };
        match offered.finish(&self.epoch_key, answer, peer) {
            Ok(next) => {
                self.advance(next);
                Ok(())
            }
            Err((offered, error)) => {
                self.rotation.offered = Some(*offered);
                Err(error.into())
            }
        }
    }

    fn take_switch(&mut self, now: Timestamp, switch: &EpochSwitch) {
        let ended = self.rotation.closing.iter_mut().find(|closing| closing.epoch + 1 == switch.epoch);
        if let Some(closing) = ended {
            // The announcement was signed: the end may only come earlier.
            closing.final_seq = closing.final_seq.min(switch.final_seq);
            closing.open = switch.open.iter().copied().take(MOST_OPEN).collect();
            closing.told_at.get_or_insert(now);
            self.unsaved = true;
        }
    }

    /// Whether the peer has to be told where the epoch before ended. Being the first message of the new epoch on the side
    /// that began, this also confirms the new keys.
    #[must_use]
    pub fn owes_switch(&self) -> bool {
        self.rotation.untold
    }

    /// What the peer is told. `open`: sequences of the epoch before that still have to be delivered, in order.
    pub fn switch(&mut self, mut open: Vec<u64>) -> Option<RekeyMessage> {
        let final_seq = self.rotation.ended.filter(|_| self.rotation.untold)?;
        open.drain(..open.len().saturating_sub(MOST_OPEN));
        self.rotation.untold = false;
        self.unsaved = true;
        Some(RekeyMessage::Switched(EpochSwitch { epoch: self.epoch, final_seq, open }))
    }

    /// The peer used the new keys, so it has them: they are used here, too.
    pub(super) fn advance_to_coming(&mut self) {
        if let Some(coming) = self.rotation.coming.take() {
            let Coming { epoch_key, own_kem, peer_kem, peer_final_seq, .. } = coming;
            self.begin_epoch(epoch_key, own_kem, peer_kem, peer_final_seq);
        }
    }

    fn advance(&mut self, next: NextEpoch) {
        let NextEpoch { epoch_key, own_kem, peer_kem, peer_final_seq, .. } = next;
        self.begin_epoch(epoch_key, own_kem, peer_kem.typed(), peer_final_seq);
    }

    fn begin_epoch(&mut self, epoch_key: Secret32, own_kem: KemSecretKey, peer_kem: TypedKey, peer_final_seq: u64) {
        self.rotation.ended = Some(self.sent());
        self.rotation.untold = true;
        self.rotation.announced = None;
        self.rotation.offered = None;
        self.rotation.since = None;
        self.rotation.closing.push(Closing {
            epoch: self.epoch,
            epoch_key: std::mem::replace(&mut self.epoch_key, epoch_key),
            own_kem: std::mem::replace(&mut self.own_kem, own_kem),
            window: std::mem::take(&mut self.window),
            received: std::mem::take(&mut self.received),
            final_seq: peer_final_seq,
            open: Vec::new(),
            since: None,
            told_at: None,
        });
        self.peer_kem = peer_kem;
        self.epoch += 1;
        (self.reserved, self.used, self.unsaved) = (RESERVE, Some(0), true);
    }

    /// The keys of the next epoch, while the peer may begin to use them.
    pub(super) fn coming_keys(&self) -> Option<(&Secret32, &KemSecretKey)> {
        self.rotation.coming.as_ref().map(|coming| (&coming.epoch_key, &coming.own_kem))
    }

    /// An earlier epoch in which this sequence may still come.
    pub(super) fn closing(&self, epoch: u64) -> Option<&Closing> {
        self.rotation.closing.iter().find(|closing| closing.epoch == epoch)
    }

    pub(super) fn closing_mut(&mut self, epoch: u64) -> Option<&mut Closing> {
        self.rotation.closing.iter_mut().find(|closing| closing.epoch == epoch)
    }
}
