//! The rules of the app over plain values (spec 2.7): two slots, one intent, and the base rule. The model checker drives
//! this file as it stands. Must never overwrite the slot that an answer was derived from.

use serde::{Deserialize, Serialize};
use vettid_wire::credential::{Confirm, UseStatus};
use vettid_wire::digest::Digest;
use vettid_wire::id::{KeyId, OperationId};

/// One of the two places for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotName {
    /// The first.
    A,
    /// The second.
    B,
}

impl SlotName {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A package, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotEntry {
    /// Its epoch.
    pub epoch: u64,
    /// Its version.
    pub version: u64,
    /// The version it was derived from; `None` in the first package.
    pub derived_from: Option<u64>,
    /// SHA-256 of the blob bytes.
    pub blob_hash: Digest,
    /// The operation that made it.
    pub op_id: OperationId,
}

/// The two slots as they were found on the disk; a torn one is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Slots {
    /// The first.
    pub a: Option<SlotEntry>,
    /// The second.
    pub b: Option<SlotEntry>,
}

impl Slots {
    /// What lies in a slot.
    #[must_use]
    pub fn get(&self, name: SlotName) -> Option<&SlotEntry> {
        match name {
            SlotName::A => self.a.as_ref(),
            SlotName::B => self.b.as_ref(),
        }
    }

    /// Takes over what was written into a slot; `None` for one that was freed or torn.
    pub fn set(&mut self, name: SlotName, entry: Option<SlotEntry>) {
        match name {
            SlotName::A => self.a = entry,
            SlotName::B => self.b = entry,
        }
    }

    /// The slot with this version.
    #[must_use]
    pub fn find(&self, version: u64) -> Option<(SlotName, &SlotEntry)> {
        self.iter().find(|(_, entry)| entry.version == version)
    }

    /// The slot with the highest version.
    #[must_use]
    pub fn newest(&self) -> Option<(SlotName, &SlotEntry)> {
        self.iter().max_by_key(|(_, entry)| (entry.epoch, entry.version))
    }

    /// The filled slots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotName, &SlotEntry)> {
        let filled = |name| self.get(name).map(|entry| (name, entry));
        [filled(SlotName::A), filled(SlotName::B)].into_iter().flatten()
    }
}

/// The one operation that the app has begun; stored before its request is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The operation.
    pub op_id: OperationId,
    /// Hash of the request.
    pub request_hash: Digest,
    /// The version that it uses; `None` when it makes the first one.
    pub version: Option<u64>,
    /// The transaction key that it uses up.
    pub key_id: KeyId,
    /// The highest `attempts_total` that was seen before it: the answer shows no less.
    pub attempts_total: u64,
}

/// What the app remembers besides packages and keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolderRecord {
    /// What lies on the disk; read from there at the start, not stored here.
    #[serde(skip)]
    pub slots: Slots,
    /// The operation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Highest epoch seen.
    pub epoch: u64,
    /// Highest version seen.
    pub highest_version: u64,
    /// Highest `attempts_total` seen.
    pub attempts_total: u64,
}

/// What the app sends next, after any start and any answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The stored request, byte for byte.
    SendAgain(OperationId),
    /// The newest package is stored and not confirmed.
    Confirm(Confirm),
    /// Nothing is open.
    Nothing,
}

/// What is to be done with an answer that carries a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Write the package into this slot, read it back, then [`HolderRecord::stored`].
    Write(SlotName),
    /// It is stored already.
    Have,
    /// Do not use it.
    Refuse(Untrusted),
}

/// What an answer without a package came to. Where a slot is named, it is to be freed after the record was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The operation is over and never ran.
    Over,
    /// The operation is open: the same bytes may be sent again.
    Open,
    /// The operation never ran and never will: the version that it used was replaced. The other slot takes its place.
    FallBack(Option<SlotName>),
    /// The operation ran and its result is known; only the version that it made was replaced.
    Replaced(Option<SlotName>),
}

/// Why an answer is not used. The app stops and shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Untrusted {
    /// Not the operation under way; an old copy, not an attack.
    #[error("the answer belongs to no open operation")]
    NotAsked,
    /// Not derived from the version that the operation used, or that version lies in no slot.
    #[error("the answer is not derived from a stored credential")]
    WrongBase,
    /// An epoch below one that the app has seen, or fewer attempts than it has seen (spec 2.9, §3 R18).
    #[error("the vault was rolled back")]
    RolledBack,
    /// Another member's, malformed, or two different packages under one number.
    #[error("the answer is not genuine")]
    NotGenuine,
}

/// An operation is under way: its outcome comes first (spec §3 R13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another operation with the credential is under way")]
pub struct Busy;

impl HolderRecord {
    /// What to send, from what is stored alone: the same after a crash as before it.
    #[must_use]
    pub fn next(&self) -> Next {
        if let Some(intent) = &self.intent {
            return match self.result_of(intent.op_id) {
                Some(entry) => Next::Confirm(entry.confirm()),
                None => Next::SendAgain(intent.op_id),
            };
        }
        match (&self.slots.a, &self.slots.b, self.slots.newest()) {
            (Some(_), Some(_), Some((_, newest))) => Next::Confirm(newest.confirm()),
            _ => Next::Nothing,
        }
    }

    /// The app after a start: takes over what the slots say, for they are written first. An operation whose package lies
    /// there without its base was confirmed, as nothing else frees the base of a package (docs/decisions/0097): it is
    /// closed, and given back. `attempts_total` is the highest that a slot names.
    pub fn resume(&mut self, attempts_total: u64) -> Option<Intent> {
        let Self { slots, intent, epoch, highest_version, .. } = self;
        for (_, entry) in slots.iter() {
            *epoch = entry.epoch.max(*epoch);
            *highest_version = entry.version.max(*highest_version);
        }
        let has_result = |intent: &Intent| slots.iter().any(|(_, entry)| entry.op_id == intent.op_id);
        let lost_base = |base| slots.find(base).is_none();
        let closed = intent.take_if(|intent| has_result(intent) && intent.version.is_some_and(lost_base));
        self.saw_attempts(attempts_total);
        closed
    }

    /// The stored package that an operation made.
    #[must_use]
    pub fn result_of(&self, op_id: OperationId) -> Option<&SlotEntry> {
        self.slots.iter().map(|(_, entry)| entry).find(|entry| entry.op_id == op_id)
    }

    /// Begins an operation. Stored together with the request before that is sent.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn begin(&mut self, intent: Intent) -> Result<(), Busy> {
        if self.intent.is_some() {
            return Err(Busy);
        }
        self.intent = Some(intent);
        Ok(())
    }

    /// Decides about a package that came as the answer to an operation: the base rule. Changes nothing.
    #[must_use]
    pub fn take(&self, offered: &SlotEntry, attempts_total: u64) -> Take {
        let Some(intent) = self.intent.as_ref().filter(|intent| intent.op_id == offered.op_id) else {
            return Take::Refuse(Untrusted::NotAsked);
        };
        if offered.epoch < self.epoch || attempts_total < intent.attempts_total {
            return Take::Refuse(Untrusted::RolledBack);
        }
        match self.slots.find(offered.version) {
            Some((_, have)) if have == offered => return Take::Have,
            Some(_) => return Take::Refuse(Untrusted::NotGenuine),
            None => {}
        }
        if offered.derived_from != intent.version {
            return Take::Refuse(Untrusted::WrongBase);
        }
        match offered.derived_from {
            None => self.first_slot(),
            Some(base) => match self.slots.find(base) {
                Some((slot, _)) if offered.version > base => Take::Write(slot.other()),
                _ => Take::Refuse(Untrusted::WrongBase),
            },
        }
    }

    fn first_slot(&self) -> Take {
        let empty = self.slots.iter().next().is_none();
        if empty { Take::Write(SlotName::A) } else { Take::Refuse(Untrusted::WrongBase) }
    }

    /// The package was written and read back.
    pub fn stored(&mut self, slot: SlotName, entry: SlotEntry, attempts_total: u64) {
        self.epoch = self.epoch.max(entry.epoch);
        self.highest_version = self.highest_version.max(entry.version);
        self.saw_attempts(attempts_total);
        self.slots.set(slot, Some(entry));
    }

    /// Remembers the attempts that an answer named.
    fn saw_attempts(&mut self, attempts_total: u64) {
        self.attempts_total = self.attempts_total.max(attempts_total);
    }

    /// `CONFIRMED` came: closes the operation that made the version, and names the older slot, which is to be freed after
    /// this was stored. `None` when nothing is to be freed.
    #[must_use]
    pub fn confirmed(&mut self, version: u64) -> Option<SlotName> {
        let (slot, entry) = self.slots.newest().filter(|(_, entry)| entry.version == version)?;
        let op_id = entry.op_id;
        self.close(op_id);
        self.slots.get(slot.other()).is_some().then(|| slot.other())
    }

    /// Takes an answer without a package, to a `USE` or to a `CONFIRM`.
    ///
    /// # Errors
    /// [`Untrusted`]; nothing was changed.
    pub fn answered(
        &mut self,
        op_id: OperationId,
        status: UseStatus,
        attempts_total: u64,
    ) -> Result<Answered, Untrusted> {
        if status == UseStatus::StalePending {
            return self.stale_pending(op_id);
        }
        let intent = self.intent.as_ref().filter(|intent| intent.op_id == op_id).ok_or(Untrusted::NotAsked)?;
        if attempts_total < intent.attempts_total {
            return Err(Untrusted::RolledBack);
        }
        self.saw_attempts(attempts_total);
        match status {
            UseStatus::WrongPassword | UseStatus::StaleCredential | UseStatus::UnknownTransactionKey => {
                self.close(op_id);
                Ok(Answered::Over)
            }
            UseStatus::Wait | UseStatus::Locked | UseStatus::InDoubt => Ok(Answered::Open),
            UseStatus::Done | UseStatus::StalePending => Err(Untrusted::NotGenuine),
        }
    }

    /// A version was replaced before it was confirmed: the one that the operation made, or else the one that it used. The
    /// last slot is never freed on such a word.
    fn stale_pending(&mut self, op_id: OperationId) -> Result<Answered, Untrusted> {
        let made = self.result_of(op_id).map(|entry| entry.version);
        let open = self.intent.as_ref().filter(|intent| intent.op_id == op_id);
        let used = open.and_then(|intent| intent.version);
        let version = made.or(used).ok_or(Untrusted::NotAsked)?;
        let slot = self.slots.find(version).map(|(slot, _)| slot).filter(|slot| self.slots.get(slot.other()).is_some());
        self.close(op_id);
        Ok(if made.is_some() { Answered::Replaced(slot) } else { Answered::FallBack(slot) })
    }

    /// Closes the operation under way, if it is this one.
    fn close(&mut self, op_id: OperationId) {
        self.intent.take_if(|intent| intent.op_id == op_id);
    }
}

impl SlotEntry {
    fn confirm(&self) -> Confirm {
        Confirm { op_id: self.op_id, cek_version: self.version, blob_hash: self.blob_hash }
    }
}
