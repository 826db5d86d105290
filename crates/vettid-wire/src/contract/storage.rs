//! What a service may store with its member: how much, and in which categories. Form only; what it stored stands elsewhere.

use crate::data::is_field_name;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Largest quota of one contract, in bytes (1 MiB).
pub const MAX_QUOTA_BYTES: u64 = 1024 * 1024;
/// Most categories in one contract.
pub const MAX_CATEGORIES: usize = 16;

/// The storage section of a contract. It goes with the permission `store_data`: one without the other gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Most that may be stored on one connection, in bytes, from 1 to [`MAX_QUOTA_BYTES`].
    pub quota_bytes: u64,
    /// In which categories, from 1 to [`MAX_CATEGORIES`].
    pub categories: Vec<StorageCategory>,
}

/// A category of what a service stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageCategory {
    /// Its name: `a-z`, `0-9`, `_`, at most 64 bytes.
    pub category: String,
    /// What is stored in it, shown to the member.
    pub purpose: String,
}

/// Why a storage section cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStorage {
    /// Nothing, or too much.
    #[error("the quota is not from 1 to {MAX_QUOTA_BYTES} bytes")]
    Quota,
    /// None, or too many.
    #[error("there are not from 1 to {MAX_CATEGORIES} categories")]
    Categories,
    /// A name outside the grammar.
    #[error("the name of category {0} is not valid")]
    CategoryName(usize),
    /// The same category twice.
    #[error("category {0} stands twice")]
    CategoryTwice(usize),
}

impl Storage {
    /// Checks what the grammar alone cannot.
    ///
    /// # Errors
    /// The first [`InvalidStorage`].
    pub fn validate(&self) -> Result<(), InvalidStorage> {
        if !(1..=MAX_QUOTA_BYTES).contains(&self.quota_bytes) {
            return Err(InvalidStorage::Quota);
        }
        if !(1..=MAX_CATEGORIES).contains(&self.categories.len()) {
            return Err(InvalidStorage::Categories);
        }
        let mut names = HashSet::new();
        for (index, declared) in self.categories.iter().enumerate() {
            if !is_field_name(&declared.category) {
                return Err(InvalidStorage::CategoryName(index));
            }
            if !names.insert(&declared.category) {
                return Err(InvalidStorage::CategoryTwice(index));
            }
        }
        Ok(())
    }

    /// The category of this name.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&StorageCategory> {
        self.categories.iter().find(|declared| declared.category == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> Storage {
        let category = |name: &str| StorageCategory { category: name.to_owned(), purpose: "p".to_owned() };
        Storage { quota_bytes: 4096, categories: vec![category("receipts"), category("cards")] }
    }

    fn found(change: impl FnOnce(&mut Storage)) -> Result<(), InvalidStorage> {
        let mut changed = storage();
        change(&mut changed);
        changed.validate()
    }

    #[test]
    fn unsound_sections_are_named() {
        assert_eq!(found(|_| {}), Ok(()));
        assert_eq!(found(|s| s.quota_bytes = MAX_QUOTA_BYTES), Ok(()));
        for quota_bytes in [0, MAX_QUOTA_BYTES + 1, u64::MAX] {
            assert_eq!(found(|s| s.quota_bytes = quota_bytes), Err(InvalidStorage::Quota));
        }
        assert_eq!(found(|s| s.categories.clear()), Err(InvalidStorage::Categories));
        let many = |number: usize| {
            found(|s| {
                let named = |at| StorageCategory { category: format!("c{at}"), purpose: "p".to_owned() };
                s.categories = (0..number).map(named).collect();
            })
        };
        assert_eq!((many(MAX_CATEGORIES), many(MAX_CATEGORIES + 1)), (Ok(()), Err(InvalidStorage::Categories)));
        for name in ["", "Receipts", "a/b", &"a".repeat(65)] {
            assert_eq!(
                found(|s| s.categories[1].category = name.into()),
                Err(InvalidStorage::CategoryName(1)),
                "{name}"
            );
        }
        assert_eq!(found(|s| s.categories[1].category = "receipts".into()), Err(InvalidStorage::CategoryTwice(1)));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        for place in ["", "/categories/0"] {
            let mut value = serde_json::to_value(storage()).unwrap();
            value.pointer_mut(place).unwrap()["extra"] = 1.into();
            assert!(crate::json::from_value::<Storage>(value).is_err(), "{place}");
        }
    }
}
