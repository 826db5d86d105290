//! Every version of the contract that this service ever published, the newest one in force for who connects now. Versions only
//! rise, and the text of one never changes.

use crate::offer::Offer;
use crate::state::{Draft, Loaded, StateError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Contract;
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

const PREFIX: &str = "contract/";

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The contract.
    pub contract: Contract,
    /// Its hash (spec 2.14).
    pub contract_hash: Base64Url,
    /// When it was published.
    pub published_at: Timestamp,
}

/// Why a contract is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNewer {
    /// Its version was published before, with another text, or a higher one was.
    #[error("the contract was changed: give it a higher contract_version than {0}")]
    Version(u64),
    /// It is of another service.
    #[error("the contract is of another service than {0}")]
    OtherService(ServiceId),
}

/// The published versions.
#[derive(Debug)]
pub(crate) struct Versions {
    newest: RwLock<Arc<Version>>,
    all: RwLock<BTreeMap<u64, Arc<Version>>>,
}

impl Version {
    /// A version that is published now.
    #[must_use]
    pub(crate) fn new(offer: &Offer, published_at: Timestamp) -> Self {
        Self { contract: offer.contract.clone(), contract_hash: offer.contract_hash.clone(), published_at }
    }

    /// Counts the versions.
    #[must_use]
    pub(crate) fn number(&self) -> u64 {
        self.contract.contract_version
    }
}

impl Versions {
    /// What the state holds, and what older connections were made under; `offer` is published if it is newer. Gives what has to
    /// be stored.
    ///
    /// # Errors
    /// [`NotNewer`]: the offer is none of the known versions, and not newer.
    pub(crate) fn with(
        now: Timestamp,
        offer: &Offer,
        known: impl IntoIterator<Item = Version>,
    ) -> Result<(Self, Option<Version>), NotNewer> {
        let mut all: BTreeMap<u64, Arc<Version>> = BTreeMap::new();
        known.into_iter().for_each(|version| drop(all.insert(version.number(), Arc::new(version))));
        let Some(newest) = all.values().next_back().cloned() else {
            let first = Version::new(offer, now);
            let newest = Arc::new(first.clone());
            all.insert(first.number(), Arc::clone(&newest));
            return Ok((Self { newest: RwLock::new(newest), all: RwLock::new(all) }, Some(first)));
        };
        let versions = Self { newest: RwLock::new(newest), all: RwLock::new(all) };
        let new = versions.next(now, offer)?;
        if let Some(new) = &new {
            versions.add(new.clone());
        }
        Ok((versions, new))
    }

    /// The version that an offer makes; `None` if it was published before.
    ///
    /// # Errors
    /// [`NotNewer`].
    pub(crate) fn next(&self, now: Timestamp, offer: &Offer) -> Result<Option<Version>, NotNewer> {
        let newest = self.newest();
        if newest.contract.service_id != offer.contract.service_id {
            return Err(NotNewer::OtherService(newest.contract.service_id.clone()));
        }
        let number = offer.contract.contract_version;
        if self.get(number).is_some_and(|known| known.contract_hash == offer.contract_hash) {
            return Ok(None);
        }
        if number <= newest.number() {
            Err(NotNewer::Version(newest.number()))
        } else {
            Ok(Some(Version::new(offer, now)))
        }
    }

    /// Takes in what was stored.
    pub(crate) fn add(&self, version: Version) {
        let version = Arc::new(version);
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(version.number(), Arc::clone(&version));
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// What is offered now.
    #[must_use]
    pub(crate) fn newest(&self) -> Arc<Version> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One version.
    #[must_use]
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Version>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// All, oldest first.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<Arc<Version>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// What the state holds.
///
/// # Errors
/// [`StateError::Unreadable`].
pub(crate) fn load(loaded: &Loaded) -> Result<Vec<Version>, StateError> {
    loaded.values(PREFIX)
}

/// Puts a version into a commit.
///
/// # Errors
/// [`StateError::Unwritable`].
pub(crate) fn store(draft: &mut Draft, version: &Version) -> Result<(), StateError> {
    draft.put(format!("{PREFIX}{:020}", version.number()), version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_core::contract::contract_hash;
    use vettid_wire::json;

    fn offer(number: u64, text: &str) -> Offer {
        let mut contract: Contract = json::read(include_bytes!("../../../examples/shop/contract.json")).unwrap();
        contract.contract_version = number;
        contract.description = text.to_owned();
        Offer { contract_hash: contract_hash(&contract).unwrap(), contract }
    }

    #[test]
    fn versions_only_rise_and_keep_their_text() {
        let now = Timestamp::default();
        let (versions, first) = Versions::with(now, &offer(1, "one"), []).unwrap();
        let first = first.unwrap();
        assert_eq!(versions.next(now, &offer(1, "one")), Ok(None));
        assert_eq!(versions.next(now, &offer(1, "another")), Err(NotNewer::Version(1)));
        let third = versions.next(now, &offer(3, "three")).unwrap().unwrap();
        versions.add(third.clone());
        assert_eq!(versions.next(now, &offer(2, "two")), Err(NotNewer::Version(3)));
        assert_eq!(versions.next(now, &offer(1, "one")), Ok(None));
        assert_eq!(*versions.newest(), third);
        // An old file at the next start takes nothing back.
        let (again, new) = Versions::with(now, &offer(1, "one"), [first.clone(), third.clone()]).unwrap();
        assert_eq!((again.newest().number(), new), (3, None));
        assert_eq!(*again.get(1).unwrap(), first);
        assert!(Versions::with(now, &offer(3, "rewritten"), [first, third]).is_err());
    }
}
