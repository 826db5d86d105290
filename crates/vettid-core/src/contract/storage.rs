//! What a service may do with what it stores with its member. The order of the checks is that of every other act: contract
//! current, category declared, rate, permission, quota. Nothing is counted against the quota here; that is the vault's.

use super::{AcceptedContract, Breach, Buckets, check_current, check_permission, take_overall};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Permission;
use vettid_wire::stored::MAX_STORED_ITEMS;
use vettid_wire::time::Timestamp;

/// What a service wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageAct<'a> {
    /// To store something.
    Put {
        /// In this category.
        category: &'a str,
        /// How much there would be then.
        filling: Filling,
    },
    /// To read or delete one thing of this category.
    One(&'a str),
    /// To list a category, or all of them.
    List(Option<&'a str>),
}

impl<'a> StorageAct<'a> {
    fn category(self) -> Option<&'a str> {
        match self {
            Self::Put { category, .. } | Self::One(category) => Some(category),
            Self::List(category) => category,
        }
    }
}

/// What is stored on a connection, and what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filling {
    /// Bytes that are stored now.
    pub used_bytes: u64,
    /// Things that are stored now.
    pub items: u64,
    /// Bytes of the one thing that is replaced, if it is there.
    pub replaced_bytes: Option<u64>,
    /// Bytes of the new one.
    pub added_bytes: u64,
}

impl Filling {
    /// Bytes that are stored afterwards.
    #[must_use]
    pub fn bytes_after(&self) -> u64 {
        self.used_bytes.saturating_sub(self.replaced_bytes.unwrap_or(0)).saturating_add(self.added_bytes)
    }

    /// Things that are stored afterwards.
    #[must_use]
    pub fn items_after(&self) -> u64 {
        self.items.saturating_add(u64::from(self.replaced_bytes.is_none()))
    }

    fn fits(&self, quota_bytes: u64) -> bool {
        self.bytes_after() <= quota_bytes && self.items_after() <= MAX_STORED_ITEMS
    }
}

/// Decides one act on what a service stores. Every act that quotes the right contract counts against the overall rate.
///
/// # Errors
/// The first [`Breach`].
pub fn on_stored(
    now: Timestamp,
    accepted: &AcceptedContract,
    buckets: &mut Buckets,
    quoted_hash: &Base64Url,
    wanted: StorageAct<'_>,
) -> Result<(), Breach> {
    check_current(accepted, quoted_hash)?;
    let within_rate = take_overall(now, accepted, buckets);
    let storage = accepted.contract.storage.as_ref().ok_or(Breach::NotDeclared)?;
    if wanted.category().is_some_and(|name| storage.category(name).is_none()) {
        return Err(Breach::NotDeclared);
    }
    within_rate?;
    check_permission(accepted, Permission::StoreData)?;
    match wanted {
        StorageAct::Put { filling, .. } if !filling.fits(storage.quota_bytes) => Err(Breach::OverQuota),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_makes_room_and_things_are_counted() {
        let filling = Filling { used_bytes: 90, items: 3, replaced_bytes: Some(40), added_bytes: 50 };
        assert_eq!((filling.bytes_after(), filling.items_after()), (100, 3));
        assert!(filling.fits(100) && !filling.fits(99));
        let full = Filling { items: MAX_STORED_ITEMS, replaced_bytes: None, ..filling };
        assert!(!full.fits(1000));
        assert!(Filling { replaced_bytes: Some(1), ..full }.fits(1000));
        let huge = Filling { used_bytes: u64::MAX, added_bytes: u64::MAX, ..filling };
        assert!(!huge.fits(1000));
    }
}
