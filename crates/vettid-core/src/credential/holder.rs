//! The app as the holder of a credential (spec 2.7): two slots, an intent before each request, and the check that the
//! issuer is the issuer before a password is typed.
//!
//! A shell stores two kinds of things: the [`HolderState`] (one sealed value), and the two slots (each written where
//! nothing is that is needed, synced, read back). Each step says what to store and in which order; what a slot says need not be
//! stored besides. Must never send a request that is not stored, nor overwrite the package that an answer was derived from.

pub mod record;
pub mod request;
pub mod slot;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{Confirmed, CredentialPackage, ReplenishedKeys, TransactionKey, UseResult, UseStatus};
use vettid_wire::envelope::Answer;
use vettid_wire::id::{Fingerprint, KeyId, MemberId, OperationId};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

use super::pool::LOW;
use record::{Answered, HolderRecord, Next, SlotName, Slots, Take, Untrusted};
use slot::{PasswordParts, Slot};

/// What the app stores besides the slots. Its stored form holds secrets in clear: seal it at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolderState {
    /// The member.
    pub guid: MemberId,
    /// The issuer; answers of any other are refused.
    pub issuer: Fingerprint,
    /// The rules' half.
    pub record: HolderRecord,
    /// Unused transaction keys, and the one that the intent uses.
    pub keys: Vec<TransactionKey>,
    /// Body of the request under way, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Base64>,
    /// What the password will need besides itself once the operation under way is done, where it changes that.
    #[serde(with = "vettid_crypto::stored")]
    pub next_password: Option<PasswordParts>,
}

/// The app's side of one credential.
#[derive(Debug)]
pub struct Holder {
    state: HolderState,
    a: Option<Slot>,
    b: Option<Slot>,
}

/// A package to write: into this slot and no other. Read it back and compare before [`Holder::stored`].
#[derive(Debug)]
pub struct SlotWrite {
    /// Where.
    pub name: SlotName,
    /// What; [`Slot::to_bytes`] gives the bytes.
    pub slot: Slot,
    keys: Vec<TransactionKey>,
}

/// What an answer came to.
#[derive(Debug)]
pub enum Received {
    /// Write the slot, then [`Holder::stored`]; [`Holder::next`] confirms. The state is to be stored before the next
    /// request, and soon if [`SlotWrite::brings_keys`].
    Write {
        /// Where and what.
        write: Box<SlotWrite>,
        /// What the action gave.
        action_result: Option<Value>,
    },
    /// The package is stored already; store the state.
    Have {
        /// What the action gave.
        action_result: Option<Value>,
    },
    /// The operation ended without effect: store the state, and ask the member.
    Ended(UseStatus),
    /// The operation is still open: the same bytes may be sent again, not before this time where there is one.
    Open {
        /// Why.
        status: UseStatus,
        /// So many milliseconds from now.
        retry_after_ms: Option<u64>,
    },
    /// The version that was used is gone, without effect: store the state, then free the slot where there is one, then
    /// [`Holder::freed`]. The operation may be begun anew, under a new id.
    FallBack(Option<SlotName>),
    /// The operation ran and its result was taken before; only its package was replaced. Store the state, then free the slot
    /// where there is one, then [`Holder::freed`].
    Replaced(Option<SlotName>),
}

impl SlotWrite {
    /// Whether fresh transaction keys came along, which no slot keeps.
    #[must_use]
    pub fn brings_keys(&self) -> bool {
        !self.keys.is_empty()
    }
}

impl Holder {
    /// A member's app before its first credential.
    #[must_use]
    pub fn new(guid: MemberId, issuer: Fingerprint, keys: Vec<TransactionKey>) -> Self {
        let record = HolderRecord::default();
        Self { state: HolderState { guid, issuer, record, keys, request: None, next_password: None }, a: None, b: None }
    }

    /// The app after a start. A slot that was torn while it was written counts as empty; what the others say is taken over.
    #[must_use]
    pub fn load(mut state: HolderState, a: Option<&[u8]>, b: Option<&[u8]>) -> Self {
        let whole = |bytes: Option<&[u8]>| bytes.and_then(Slot::from_bytes);
        let (a, b) = (whole(a), whole(b));
        state.record.slots = Slots { a: a.as_ref().map(Slot::entry), b: b.as_ref().map(Slot::entry) };
        let seen = [&a, &b].into_iter().flatten().map(|slot| slot.attempts_total).max();
        let closed = state.record.resume(seen.unwrap_or(0));
        let mut holder = Self { state, a, b };
        if let Some(intent) = closed {
            holder.drop_key(&intent.key_id);
        }
        holder.forget_request();
        holder
    }

    /// A new device takes over a package from the recovery container (spec 2.11), or a restore takes one of the saved
    /// versions (spec 2.7.6). Write the slot, then [`Self::stored`], then store the state.
    ///
    /// # Errors
    /// [`Untrusted`] if the package is another member's, or of an epoch below `epoch`.
    pub fn recovered(
        issuer: Fingerprint,
        package: CredentialPackage,
        password: PasswordParts,
        mut keys: Vec<TransactionKey>,
        (epoch, op_id): (u64, OperationId),
    ) -> Result<(Self, SlotWrite), Untrusted> {
        if package.credential_epoch < epoch {
            return Err(Untrusted::RolledBack);
        }
        keys.extend(package.new_transaction_keys.iter().cloned());
        let mut holder = Self::new(package.user_guid, issuer, keys);
        holder.state.record.epoch = epoch;
        let slot = Slot { op_id, package, password, attempts_total: 0 };
        Ok((holder, SlotWrite { name: SlotName::A, slot, keys: Vec::new() }))
    }

    /// What to store.
    #[must_use]
    pub fn state(&self) -> &HolderState {
        &self.state
    }

    /// What to send next; the same after a crash as before it.
    #[must_use]
    pub fn next(&self) -> Next {
        self.state.record.next()
    }

    /// The body of the operation under way, byte for byte.
    #[must_use]
    pub fn request(&self) -> Option<&[u8]> {
        self.state.request.as_ref().map(Base64::as_bytes)
    }

    /// The slot that the next operation uses.
    #[must_use]
    pub fn newest(&self) -> Option<&Slot> {
        let (name, _) = self.state.record.slots.newest()?;
        self.slot(name)
    }

    /// Unused, unexpired transaction keys.
    pub fn unused_keys(&self, now: Timestamp) -> impl Iterator<Item = &TransactionKey> {
        let reserved = self.state.record.intent.as_ref().map(|intent| &intent.key_id);
        self.state.keys.iter().filter(move |key| now < key.expires_at && Some(&key.key_id) != reserved)
    }

    /// Whether to ask for fresh transaction keys.
    #[must_use]
    pub fn needs_keys(&self, now: Timestamp) -> bool {
        self.unused_keys(now).count() <= LOW
    }

    /// Takes fresh keys; store the state.
    pub fn replenished(&mut self, fresh: ReplenishedKeys) {
        self.add_keys(fresh.new_transaction_keys);
        self.keep_keys(&fresh.live_key_ids);
    }

    /// Takes the answer to a `USE` or to a `CONFIRM` that was not confirmed.
    ///
    /// # Errors
    /// [`Untrusted`]: [`Untrusted::NotAsked`] is an old copy and is dropped; every other one stops the app and is shown.
    pub fn receive(&mut self, result: UseResult) -> Result<Received, Untrusted> {
        let UseResult { op_id, status, attempts_total, retry_after_ms, .. } = result;
        if status == UseStatus::Done {
            return self.take(result);
        }
        let used = self.state.record.intent.as_ref().map(|intent| intent.key_id.clone());
        let answered = self.state.record.answered(op_id, status, attempts_total)?;
        if status == UseStatus::UnknownTransactionKey {
            self.keep_keys(&result.live_key_ids);
        }
        if let Some(used) = used.filter(|_| self.state.record.intent.is_none()) {
            self.drop_key(&used);
        }
        self.forget_request();
        Ok(match answered {
            Answered::Over => Received::Ended(status),
            Answered::Open => Received::Open { status, retry_after_ms },
            Answered::FallBack(slot) => Received::FallBack(slot),
            Answered::Replaced(slot) => Received::Replaced(slot),
        })
    }

    fn take(&mut self, result: UseResult) -> Result<Received, Untrusted> {
        let UseResult { op_id, attempts_total, action_result, .. } = result;
        let mut package = result.credential_package.ok_or(Untrusted::NotGenuine)?;
        if package.user_guid != self.state.guid || package.ledger_auth_token.version != package.cek_version {
            return Err(Untrusted::NotGenuine);
        }
        let keys = std::mem::take(&mut package.new_transaction_keys);
        let offered = slot::entry(op_id, &package);
        match self.state.record.take(&offered, attempts_total) {
            Take::Refuse(untrusted) => Err(untrusted),
            Take::Have => {
                self.settle_keys(keys);
                Ok(Received::Have { action_result })
            }
            Take::Write(name) => {
                let password = self.password_of_result(name, action_result.as_ref())?;
                let slot = Slot { op_id, package, password, attempts_total };
                let write = Box::new(SlotWrite { name, slot, keys });
                Ok(Received::Write { write, action_result })
            }
        }
    }

    /// The operation's new password, or that of the version it was derived from. A change that the issuer refused is none:
    /// the version moved on with the former password (docs/decisions/0115).
    fn password_of_result(&self, target: SlotName, result: Option<&Value>) -> Result<PasswordParts, Untrusted> {
        let next = self.state.next_password.as_ref().filter(|_| !result.is_some_and(is_refusal));
        let base = || self.slot(target.other()).map(|slot| &slot.password);
        let parts = next.or_else(base).ok_or(Untrusted::WrongBase)?;
        Ok(parts.duplicate())
    }

    /// The slot was written and read back.
    pub fn stored(&mut self, write: SlotWrite) {
        let SlotWrite { name, slot, keys } = write;
        self.state.record.stored(name, slot.entry(), slot.attempts_total);
        self.settle_keys(keys);
        self.put(name, Some(slot));
    }

    /// `CONFIRMED` came. Free the slot where there is one, then [`Self::freed`]; without one, store the state.
    #[must_use]
    pub fn confirmed(&mut self, confirmed: &Confirmed) -> Option<SlotName> {
        let used = self.state.record.intent.as_ref().map(|intent| intent.key_id.clone());
        let freed = self.state.record.confirmed(confirmed.cek_version);
        // Its package was written, and perhaps nothing after it: then its key still counts as unused here.
        if let Some(used) = used.filter(|_| self.state.record.intent.is_none()) {
            self.drop_key(&used);
        }
        self.forget_request();
        freed
    }

    /// The slot was freed on the disk.
    pub fn freed(&mut self, name: SlotName) {
        self.state.record.slots.set(name, None);
        self.put(name, None);
    }

    /// The member gives an open operation up without knowing its outcome: it may still have happened, once. Store the state.
    pub fn give_up(&mut self) {
        if let Some(intent) = self.state.record.intent.take() {
            self.drop_key(&intent.key_id);
        }
        self.forget_request();
    }

    fn forget_request(&mut self) {
        if self.state.record.intent.is_none() {
            self.state.request = None;
            self.state.next_password = None;
        }
    }

    /// The content of a slot.
    #[must_use]
    pub fn slot(&self, name: SlotName) -> Option<&Slot> {
        match name {
            SlotName::A => self.a.as_ref(),
            SlotName::B => self.b.as_ref(),
        }
    }

    fn put(&mut self, name: SlotName, slot: Option<Slot>) {
        match name {
            SlotName::A => self.a = slot,
            SlotName::B => self.b = slot,
        }
    }

    /// The intent's key is used up; the fresh ones come in.
    fn settle_keys(&mut self, fresh: Vec<TransactionKey>) {
        if let Some(intent) = &self.state.record.intent {
            let used = intent.key_id.clone();
            self.drop_key(&used);
        }
        self.add_keys(fresh);
    }

    fn add_keys(&mut self, fresh: Vec<TransactionKey>) {
        for key in fresh {
            if self.state.keys.iter().all(|held| held.key_id != key.key_id) {
                self.state.keys.push(key);
            }
        }
    }

    fn keep_keys(&mut self, live: &[KeyId]) {
        self.state.keys.retain(|key| live.contains(&key.key_id));
    }

    fn drop_key(&mut self, key_id: &KeyId) {
        self.state.keys.retain(|key| key.key_id != *key_id);
    }
}

fn is_refusal(result: &Value) -> bool {
    matches!(json::from_value::<Answer<Value>>(result.clone()), Ok(Answer::Refused(_)))
}
