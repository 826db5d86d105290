//! The lock record of one vault: lane key, wrapped storage key, salts and tries. Sealed by the host's sealer as a whole, so
//! it is read and written as one; the storage key in it needs the member's key besides.

use serde::{Deserialize, Serialize};
use vettid_core::credential::attempts::Clocks;
use vettid_core::lock::Tries;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::unlock::{DeviceProof, NewLock, UnlockKey, WrapPlace, unwrap, wrap};
use vettid_crypto::{Undecryptable, stored};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::id::MemberId;
use vettid_wire::lock::{LockSalts, LockState, LockStatus, UnlockKind};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// The form of the record.
const VERSION: u8 = 1;
/// Room for a record, so that no half-written copies are left behind while it grows.
const CAPACITY_BYTES: usize = 4096;

/// What a host keeps of the lock of one vault.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct LockRecord {
    version: u8,
    guid: MemberId,
    /// Signs the challenges of the unlock lane.
    #[serde(with = "stored")]
    pub(super) lane: SigningKey,
    /// Absent: the sealer alone gives the storage key.
    pub(super) lock: Option<Lock>,
    /// When keys were made.
    #[serde(default)]
    pub(super) made_at: MadeAt,
    /// What goes on over a time without a lock.
    #[serde(default)]
    past: Past,
}

/// When the keys were made that the host has for a vault; `None` for those of an earlier program, which did not record it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct MadeAt {
    /// The key of the unlock lane.
    pub(in crate::host) lane: Option<Timestamp>,
    /// The storage key.
    pub(in crate::host) storage: Option<Timestamp>,
}

/// The numbers of locks that were removed; they never fall.
#[derive(Default, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    generation: u64,
    attempts_total: u64,
}

/// A lock that is set.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    generation: u64,
    /// What the device proof of the app is recognised by.
    device: Digest,
    pin: Wrapped,
    password: Wrapped,
    pub(super) tries: Tries,
}

/// The storage key under one of the two keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    salt: Base64,
    key: Base64,
}

impl LockRecord {
    /// That of a vault without a lock.
    pub(super) fn new(guid: MemberId, lane: SigningKey, made_at: MadeAt) -> Self {
        Self { version: VERSION, guid, lane, lock: None, made_at, past: Past::default() }
    }

    /// A record of this member; `None` if it is none.
    pub(super) fn read(guid: MemberId, bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.version == VERSION && record.guid == guid).then_some(record)
    }

    /// The bytes that are sealed; they hold the lane key in clear.
    pub(super) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY_BYTES));
        serde_json::to_writer(&mut *bytes, self)?;
        Ok(bytes)
    }

    /// The lock that follows the present one and wraps this storage key; tries begin anew, their total goes on.
    pub(super) fn next_lock(
        &self,
        device: &DeviceProof,
        new: &NewLock,
        storage_key: &StorageKey,
        rng: &mut dyn rand_core::CryptoRng,
    ) -> Lock {
        let generation = self.lock.as_ref().map_or(self.past.generation, |lock| lock.generation).saturating_add(1);
        let mut wrapped = |kind, key: &UnlockKey, salt: [u8; 16]| Wrapped {
            salt: Base64::new(salt),
            key: Base64::new(wrap(key, WrapPlace { guid: self.guid, kind, generation }, storage_key, rng)),
        };
        Lock {
            generation,
            device: Digest::from_bytes(device.stored()),
            pin: wrapped(UnlockKind::Pin, &new.pin, *new.pin_salt.as_bytes()),
            password: wrapped(UnlockKind::Password, &new.password, *new.password_salt.as_bytes()),
            tries: Tries::new(self.attempts_total()),
        }
    }

    fn attempts_total(&self) -> u64 {
        self.lock.as_ref().map_or(self.past.attempts_total, |lock| lock.tries.total)
    }

    /// Takes the lock out; its numbers stay.
    pub(super) fn take_lock(&mut self) -> Option<Lock> {
        let lock = self.lock.take()?;
        self.past = Past { generation: lock.generation, attempts_total: lock.tries.total };
        Some(lock)
    }

    /// How the lock is, for the app.
    pub(super) fn status(&self, state: LockState, clocks: &Clocks) -> LockStatus {
        let salts = |lock: &Lock| LockSalts { pin: lock.pin.salt.clone(), password: lock.password.salt.clone() };
        let wait_ms = |lock: &Lock| lock.tries.password.wait_ms(clocks).unwrap_or(0);
        let lock = self.lock.as_ref();
        LockStatus {
            state,
            generation: lock.map_or(0, |lock| lock.generation),
            attempts_total: self.attempts_total(),
            pin_tries_left: lock.map_or(0, |lock| lock.tries.pin_tries_left),
            password_wait_ms: lock.map_or(0, |lock| i64::try_from(wait_ms(lock)).unwrap_or(i64::MAX)),
            salts: lock.map(salts),
        }
    }
}

impl Lock {
    /// Whether the attempt comes from the app that set this lock.
    pub(super) fn knows(&self, device: &DeviceProof) -> bool {
        device.matches(self.device.as_bytes())
    }

    /// Tries a key. The caller counted the try and stored the count before.
    pub(super) fn open(&self, guid: MemberId, kind: UnlockKind, key: &UnlockKey) -> Result<StorageKey, Undecryptable> {
        let wrapped = match kind {
            UnlockKind::Pin => &self.pin,
            UnlockKind::Password => &self.password,
        };
        unwrap(key, WrapPlace { guid, kind, generation: self.generation }, wrapped.key.as_bytes())
    }
}
