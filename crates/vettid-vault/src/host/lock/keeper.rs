//! The keeper of one vault's lock: gives challenges, takes attempts, counts before it tries. It knows no broker; what an
//! attempt leads to is for its caller. Must never try a key whose attempt is not on the disk.

use super::record::{Lock, LockRecord, MadeAt};
use crate::host::storage_key::{StorageKeyError, StorageKeys};
use crate::lock::PERMIT_LIFE_MS;
use rand_core::CryptoRng;
use std::collections::VecDeque;
use std::sync::Arc;
use vettid_core::credential::attempts::Clocks;
use vettid_core::lock::Barred;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::KemPublicKey;
use vettid_crypto::unlock::{
    Attempt, AttemptPlace, ChallengeKey, DeviceProof, NewLock, Permit, Presented, Removal, ReplyKey, Wish,
};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::MemberId;
use vettid_wire::key::TypedKey;
use vettid_wire::lock::{AskChallenge, CHALLENGE_BYTES, Challenge, LockState, LockStatus, UnlockAttempt, UnlockResult};

/// Challenges of one vault that may be open; a new one takes the place of the oldest.
const MAX_CHALLENGES: usize = 16;
/// How long a challenge is good for.
const CHALLENGE_LIFE_MS: u64 = 60_000;

/// Guards one lock.
pub(in crate::host) struct Keeper {
    guid: MemberId,
    keys: Arc<StorageKeys>,
    record: LockRecord,
    state: LockState,
    challenges: VecDeque<Open>,
    permit: Option<(Permit, u64)>,
}

/// A challenge that waits for its attempt.
struct Open {
    challenge_id: [u8; CHALLENGE_BYTES],
    key: ChallengeKey,
    until_ms: u64,
}

/// An attempt that was taken, and under which key it is answered.
pub(in crate::host) struct Taken {
    /// Seals the answer.
    pub(in crate::host) reply: ReplyKey,
    /// What is answered.
    pub(in crate::host) result: UnlockResult,
    /// The storage key, if the attempt opened or changed the lock.
    pub(in crate::host) key: Option<StorageKey>,
    /// Wrong keys since the last right one, this attempt not counted.
    pub(in crate::host) wrong: u32,
}

/// A key that was tried.
enum Tried {
    Right { key: StorageKey, wrong: u32 },
    Not(UnlockResult),
}

impl Keeper {
    /// The keeper of a vault that lies here. Finishes the setting of a lock that a crash broke off; what is set is locked.
    pub(in crate::host) fn open(
        guid: MemberId,
        keys: Arc<StorageKeys>,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StorageKeyError> {
        let record = match keys.lock_record(guid)? {
            Some(bytes) => LockRecord::read(guid, bytes.expose()).ok_or(StorageKeyError::LockRecord(guid))?,
            None => {
                let made_at = MadeAt { lane: Some(clocks.now), storage: keys.made_at(guid)? };
                LockRecord::new(guid, SigningKey::random(rng), made_at)
            }
        };
        let state = if record.lock.is_some() { LockState::Locked } else { LockState::Open };
        let mut keeper = Self { guid, keys, record, state, challenges: VecDeque::new(), permit: None };
        if let Some(lock) = &mut keeper.record.lock {
            keeper.keys.remove(guid)?;
            lock.tries.password.settle(clocks);
        }
        keeper.store(rng)?;
        Ok(keeper)
    }

    /// The key by which the app knows the unlock lane.
    pub(in crate::host) fn lane_key(&self) -> TypedKey {
        self.record.lane.verifying_key().typed()
    }

    /// When the host's keys for this vault were made.
    pub(in crate::host) fn made_at(&self) -> MadeAt {
        self.record.made_at
    }

    /// Whether only the member's key gives the storage key.
    pub(in crate::host) fn has_lock(&self) -> bool {
        self.record.lock.is_some()
    }

    /// The vault runs now, or does not any more.
    pub(in crate::host) fn is(&mut self, state: LockState) {
        self.state = state;
        self.permit = None;
    }

    /// The running vault gives leave to change the lock, in place of any leave before.
    pub(in crate::host) fn permit(&mut self, permit: Permit, clocks: &Clocks) {
        self.permit = Some((permit, clocks.monotonic_ms.saturating_add(PERMIT_LIFE_MS.unsigned_abs())));
    }

    /// How the lock is.
    pub(in crate::host) fn status(&self, clocks: &Clocks) -> LockStatus {
        self.record.status(self.state, clocks)
    }

    /// A challenge for whoever asked; `None` for a question out of shape.
    pub(in crate::host) fn challenge(
        &mut self,
        asked: &AskChallenge,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Option<Challenge> {
        let _: [u8; CHALLENGE_BYTES] = asked.nonce.to_array().ok()?;
        let mut challenge_id = [0; CHALLENGE_BYTES];
        rng.fill_bytes(&mut challenge_id);
        let key = ChallengeKey::random(rng);
        let mut challenge = Challenge {
            event_id: asked.event_id,
            guid: self.guid,
            nonce: asked.nonce.clone(),
            challenge_id: Base64Url::new(challenge_id),
            box_key: KemPublicKey::X25519(key.public_key()).typed(),
            status: self.status(clocks),
            key_id: self.record.lane.key_id(),
            signature: Base64::default(),
        };
        challenge.signature = signature::sign(Context::UnlockChallenge, &self.record.lane, &challenge).ok()?;
        self.challenges.retain(|open| open.until_ms > clocks.monotonic_ms);
        if self.challenges.len() == MAX_CHALLENGES {
            self.challenges.pop_front();
        }
        self.challenges.push_back(Open { challenge_id, key, until_ms: clocks.monotonic_ms + CHALLENGE_LIFE_MS });
        Some(challenge)
    }

    /// Takes an attempt and uses up its challenge; `None` for one that does not open, and so cannot be answered.
    ///
    /// # Errors
    /// If the disk or the sealer fails: nothing was tried that was not counted.
    pub(in crate::host) fn attempt(
        &mut self,
        sent: &UnlockAttempt,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<Taken>, StorageKeyError> {
        let Some((attempt, reply)) = self.open_box(sent, clocks) else {
            return Ok(None);
        };
        let Attempt { device, wish } = attempt;
        let (result, key, wrong) = match wish {
            Wish::Unlock(presented) => match self.try_key(&device, &presented, clocks, rng)? {
                Tried::Right { key, wrong } => (UnlockResult::Unlocked, Some(key), wrong),
                Tried::Not(result) => (result, None, 0),
            },
            Wish::Set(new) => match self.set(&device, &new, clocks, rng)? {
                Tried::Right { key, wrong } => (UnlockResult::Changed, Some(key), wrong),
                Tried::Not(result) => (result, None, 0),
            },
            Wish::Remove(removal) => match self.remove(&device, &removal, clocks, rng)? {
                Tried::Right { key, wrong } => (UnlockResult::Changed, Some(key), wrong),
                Tried::Not(result) => (result, None, 0),
            },
        };
        Ok(Some(Taken { reply, result, key, wrong }))
    }

    fn open_box(&mut self, sent: &UnlockAttempt, clocks: &Clocks) -> Option<(Attempt, ReplyKey)> {
        let challenge_id: [u8; CHALLENGE_BYTES] = sent.challenge_id.to_array().ok()?;
        let found = self.challenges.iter().position(|open| open.challenge_id == challenge_id)?;
        let open = self.challenges.remove(found)?;
        if open.until_ms <= clocks.monotonic_ms {
            return None;
        }
        let place = AttemptPlace { guid: self.guid, event_id: sent.event_id, challenge_id: &challenge_id };
        open.key.open(&place, sent.sealed.as_bytes()).ok()
    }

    /// Counts, stores, and only then tries.
    fn try_key(
        &mut self,
        device: &DeviceProof,
        presented: &Presented,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Result<Tried, StorageKeyError> {
        let Some(lock) = self.record.lock.as_mut().filter(|lock| lock.knows(device)) else {
            return Ok(Tried::Not(UnlockResult::Refused));
        };
        lock.tries.password.settle(clocks);
        match lock.tries.count(presented.kind, clocks) {
            Err(Barred::PasswordRequired) => return Ok(Tried::Not(UnlockResult::PasswordRequired)),
            Err(Barred::Wait) => return Ok(Tried::Not(UnlockResult::Wait)),
            Ok(()) => self.store(rng)?,
        }
        let guid = self.guid;
        let opened = self.record.lock.as_mut().and_then(|lock| {
            let key = lock.open(guid, presented.kind, &presented.key).ok()?;
            Some((key, lock.tries.succeeded(presented.kind)))
        });
        match opened {
            Some((key, wrong)) => {
                self.store(rng)?;
                Ok(Tried::Right { key, wrong })
            }
            None => Ok(Tried::Not(UnlockResult::Wrong)),
        }
    }

    /// Sets or changes the lock: the new record is safe and was read back before the old way to the storage key ends.
    fn set(
        &mut self,
        device: &DeviceProof,
        new: &NewLock,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Result<Tried, StorageKeyError> {
        if !self.permits(&new.permit, clocks) {
            return Ok(Tried::Not(UnlockResult::Refused));
        }
        let (key, wrong) = match (&self.record.lock, &new.current) {
            (None, None) => match self.keys.get(self.guid)? {
                Some(key) => (key, 0),
                None => return Ok(Tried::Not(UnlockResult::Refused)),
            },
            (Some(_), Some(current)) => match self.try_key(device, current, clocks, rng)? {
                Tried::Right { key, wrong } => (key, wrong),
                not => return Ok(not),
            },
            _ => return Ok(Tried::Not(UnlockResult::Refused)),
        };
        let next = self.record.next_lock(device, new, &key, rng);
        let before = self.record.lock.replace(next);
        if let Err(error) = self.store(rng).and_then(|()| self.read_back(new, &key)) {
            self.record.lock = before;
            return Err(error);
        }
        self.keys.remove(self.guid)?;
        Ok(Tried::Right { key, wrong })
    }

    /// Uses up the leave of the running vault, if this is it.
    fn permits(&mut self, presented: &Permit, clocks: &Clocks) -> bool {
        let found = self.permit.take();
        let is_it = found.is_some_and(|(permit, until_ms)| permit == *presented && until_ms > clocks.monotonic_ms);
        is_it && self.state == LockState::Open
    }

    /// Removes the lock: the sealer's way to the storage key is safe and was read back before the record without the lock is
    /// written. After a crash in between the lock stands, and that way is closed again at the next start.
    fn remove(
        &mut self,
        device: &DeviceProof,
        removal: &Removal,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
    ) -> Result<Tried, StorageKeyError> {
        if !self.permits(&removal.permit, clocks) {
            return Ok(Tried::Not(UnlockResult::Refused));
        }
        let (key, wrong) = match self.try_key(device, &removal.current, clocks, rng)? {
            Tried::Right { key, wrong } => (key, wrong),
            not => return Ok(not),
        };
        self.keys.put_back(self.guid, &key, self.record.made_at.storage, rng)?;
        let before = self.record.take_lock();
        if let Err(error) = self.store(rng) {
            // The disk may hold either record, so both ways to the key stay until the next start.
            self.record.lock = before;
            return Err(error);
        }
        Ok(Tried::Right { key, wrong })
    }

    /// Whether both new keys open what lies on the disk now.
    fn read_back(&self, new: &NewLock, key: &StorageKey) -> Result<(), StorageKeyError> {
        let unreadable = || StorageKeyError::LockRecord(self.guid);
        let bytes = self.keys.lock_record(self.guid)?.ok_or_else(unreadable)?;
        let record = LockRecord::read(self.guid, bytes.expose()).ok_or_else(unreadable)?;
        let opens = |lock: &Lock| {
            use vettid_wire::lock::UnlockKind::{Password, Pin};
            [(Pin, &new.pin), (Password, &new.password)].into_iter().all(|(kind, wrapping)| {
                lock.open(self.guid, kind, wrapping).is_ok_and(|opened| opened.expose() == key.expose())
            })
        };
        if record.lock.as_ref().is_some_and(opens) { Ok(()) } else { Err(unreadable()) }
    }

    fn store(&self, rng: &mut dyn CryptoRng) -> Result<(), StorageKeyError> {
        let bytes = self.record.bytes().map_err(|_| StorageKeyError::LockRecord(self.guid))?;
        self.keys.keep_lock_record(self.guid, &bytes, rng)
    }
}

#[cfg(test)]
#[path = "keeper/tests.rs"]
mod tests;
