//! What the app keeps of a credential: the holder's state and the keys of grants in one sealed value, the two slots
//! apart. Must never count a slot as written that was not read back.

use super::failure::CredentialError;
use crate::intent::Intent;
use crate::store::{Hold, Place, StoreError, to_bytes};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use vettid_core::credential::holder::record::SlotName;
use vettid_core::credential::holder::slot::Slot;
use vettid_core::credential::holder::{Holder, HolderState, SlotWrite};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::stored;
use vettid_wire::base64::Base64;
use vettid_wire::id::{Fingerprint, MemberId, SecretId};
use vettid_wire::secret::Operation;
use vettid_wire::time::Timestamp;

/// The form of the stored value.
const VERSION: u8 = 1;
/// Most grants whose keys are kept; the ones that end first are forgotten first.
const MAX_GRANTS: usize = 128;

/// The key of an open grant.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptGrant {
    pub(crate) secret_id: SecretId,
    pub(crate) operation: Operation,
    /// When its key came; `None` if that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opened_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    #[serde(with = "stored")]
    pub(crate) key: Secret32,
}

/// Where a credential is kept.
#[derive(Debug)]
pub(crate) struct Places {
    /// Everything but the packages.
    pub(crate) state: Place,
    /// The first slot.
    pub(crate) a: Place,
    /// The second slot.
    pub(crate) b: Place,
}

/// Places of the Vault Credential.
pub(crate) const VAULT: Places = Places { state: Place::Credential, a: Place::SlotA, b: Place::SlotB };
/// Places of the Vault Services Credential.
pub(crate) const SERVICES: Places =
    Places { state: Place::ServicesCredential, a: Place::ServicesSlotA, b: Place::ServicesSlotB };

/// What is kept.
pub(crate) struct Kept {
    places: &'static Places,
    pub(crate) holder: Holder,
    /// What carries the operation under way.
    pub(crate) sending: Option<Intent>,
    /// The operation under way is sent only once the password of the Vault Credential has this salt; if that does not come to
    /// pass, it is given up.
    pub(crate) after: Option<Base64>,
    grants: Vec<KeptGrant>,
    /// Fresh transaction keys came, which no slot keeps.
    has_new_keys: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    holder: HolderState,
    sending: Option<Intent>,
    #[serde(default)]
    after: Option<Base64>,
    grants: Vec<KeptGrant>,
}

#[derive(Serialize)]
struct StoredView<'k> {
    version: u8,
    holder: &'k HolderState,
    sending: Option<&'k Intent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'k Base64>,
    grants: &'k [KeptGrant],
}

impl Kept {
    /// Before the first credential.
    pub(crate) fn new(places: &'static Places, holder: Holder) -> Self {
        Self { places, holder, sending: None, after: None, grants: Vec::new(), has_new_keys: false }
    }

    /// What is stored for this member and this issuer, where it is known; `None` if nothing is. A slot that is torn counts as
    /// empty.
    pub(crate) fn load(
        hold: &impl Hold,
        places: &'static Places,
        guid: MemberId,
        issuer: Option<Fingerprint>,
    ) -> Result<Option<Self>, StoreError> {
        let is_for = |kept: &Self| {
            let state = kept.holder.state();
            state.guid == guid && issuer.is_none_or(|issuer| state.issuer == issuer)
        };
        Ok(Self::load_any(hold, places)?.filter(is_for))
    }

    /// What is stored, of whatever member and issuer.
    pub(crate) fn load_any(hold: &impl Hold, places: &'static Places) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = hold.load(places.state)? else {
            return Ok(None);
        };
        let stored: Stored = serde_json::from_slice(bytes.expose()).map_err(StoreError::Form)?;
        if stored.version != VERSION {
            return Err(StoreError::Version { found: stored.version });
        }
        let (a, b) = (slot(hold, places.a)?, slot(hold, places.b)?);
        let [a, b] = [&a, &b].map(|slot| slot.as_ref().map(SecretBytes::expose));
        let holder = Holder::load(stored.holder, a, b);
        let is_open = holder.request().is_some();
        let (sending, after) = (stored.sending.filter(|_| is_open), stored.after.filter(|_| is_open));
        Ok(Some(Self { places, holder, sending, after, grants: stored.grants, has_new_keys: false }))
    }

    /// Stores everything but the slots.
    pub(crate) fn save(&mut self, hold: &mut impl Hold) -> Result<(), StoreError> {
        if self.holder.request().is_none() {
            (self.sending, self.after) = (None, None);
        }
        let view = StoredView {
            version: VERSION,
            holder: self.holder.state(),
            sending: self.sending.as_ref(),
            after: self.after.as_ref(),
            grants: &self.grants,
        };
        let bytes = to_bytes(&view)?;
        hold.save(self.places.state, &bytes)?;
        self.has_new_keys = false;
        Ok(())
    }

    /// Writes a package into its slot and reads it back. A start takes over what the slot says; the rest is to be stored
    /// before the next operation.
    pub(crate) fn write(&mut self, hold: &mut impl Hold, write: SlotWrite) -> Result<(), CredentialError> {
        let place = self.places.slot(write.name);
        let bytes = write.slot.to_bytes().map_err(StoreError::Form)?;
        hold.save(place, bytes.expose())?;
        let read_back = hold.load(place)?;
        let is_whole = read_back.is_some_and(|found| found == bytes && Slot::from_bytes(found.expose()).is_some());
        if !is_whole {
            return Err(StoreError::NotKept.into());
        }
        self.has_new_keys |= write.brings_keys();
        self.holder.stored(write);
        Ok(())
    }

    /// Frees the older slot after `CONFIRMED`, which says as much as the stored state would; stores only what it does not say
    /// (docs/decisions/0097).
    pub(crate) fn confirmed(&mut self, hold: &mut impl Hold, freed: Option<SlotName>) -> Result<(), StoreError> {
        if freed.is_none() || self.has_new_keys {
            self.save(hold)?;
        }
        self.free(hold, freed)
    }

    /// Stores everything, then frees the slot where there is one.
    pub(crate) fn save_and_free(&mut self, hold: &mut impl Hold, freed: Option<SlotName>) -> Result<(), StoreError> {
        self.save(hold)?;
        self.free(hold, freed)
    }

    fn free(&mut self, hold: &mut impl Hold, freed: Option<SlotName>) -> Result<(), StoreError> {
        if let Some(name) = freed {
            hold.free(self.places.slot(name))?;
            self.holder.freed(name);
        }
        Ok(())
    }

    /// Keeps the key of a grant in place of an earlier one over the same.
    pub(crate) fn add_grant(&mut self, now: Timestamp, grant: KeptGrant) {
        self.end_grant(grant.secret_id, grant.operation);
        self.grants.retain(|grant| now < grant.expires_at);
        self.grants.push(grant);
        self.grants.sort_by_key(|grant| Reverse(grant.expires_at));
        self.grants.truncate(MAX_GRANTS);
    }

    /// The live grant over one operation of one secret.
    pub(crate) fn grant(&self, now: Timestamp, secret_id: SecretId, operation: Operation) -> Option<&KeptGrant> {
        let fits =
            |grant: &&KeptGrant| grant.secret_id == secret_id && grant.operation == operation && now < grant.expires_at;
        self.grants.iter().find(fits)
    }

    /// Forgets the key of a grant.
    pub(crate) fn end_grant(&mut self, secret_id: SecretId, operation: Operation) {
        self.grants.retain(|grant| (grant.secret_id, grant.operation) != (secret_id, operation));
    }

    /// Forgets the keys of all grants over a secret that is gone; whether there were any.
    pub(crate) fn end_grants_of(&mut self, secret_id: SecretId) -> bool {
        let before = self.grants.len();
        self.grants.retain(|grant| grant.secret_id != secret_id);
        self.grants.len() < before
    }

    /// The grants that are open by this clock.
    pub(crate) fn live_grants(&self, now: Timestamp) -> impl Iterator<Item = &KeptGrant> {
        self.grants.iter().filter(move |grant| now < grant.expires_at)
    }
}

/// Removes what is left of another member's credential, for good.
pub(crate) fn clear_slots(hold: &mut impl Hold, places: &Places) -> Result<(), StoreError> {
    hold.remove(places.a)?;
    hold.remove(places.b)
}

impl Places {
    fn slot(&self, name: SlotName) -> Place {
        match name {
            SlotName::A => self.a,
            SlotName::B => self.b,
        }
    }
}

/// The bytes of a slot; a file that was cut off while it was written does not open.
fn slot(hold: &impl Hold, place: Place) -> Result<Option<SecretBytes>, StoreError> {
    match hold.load(place) {
        Err(StoreError::Sealed { .. }) => Ok(None),
        found => found,
    }
}
