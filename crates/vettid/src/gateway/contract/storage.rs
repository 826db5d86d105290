//! The changes of what a contract lets its service store. Permission and section come and go together.

use crate::failure::{Exit, Failure};
use clap::Args;
use vettid_wire::contract::{Contract, Permission, Storage, StorageCategory};

/// What a service gets that does not say how much it needs, in bytes.
const USUAL_QUOTA_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(crate) struct AddCategory {
    /// Name of the category: a-z, 0-9 and _
    #[arg(value_name = "CATEGORY")]
    category: String,
    /// What is stored in it, as the member reads it
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// How much may be stored with each member, over all categories; 65536 if nothing else was said
    #[arg(long, value_name = "BYTES")]
    quota_bytes: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Category {
    /// Name of the category
    #[arg(value_name = "CATEGORY")]
    category: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetQuota {
    /// How much may be stored with each member, over all categories
    #[arg(value_name = "BYTES")]
    quota_bytes: u64,
}

impl AddCategory {
    pub(super) fn apply(&self, contract: &mut Contract) {
        let none = || Storage { quota_bytes: USUAL_QUOTA_BYTES, categories: Vec::new() };
        let storage = contract.storage.get_or_insert_with(none);
        storage.quota_bytes = self.quota_bytes.unwrap_or(storage.quota_bytes);
        let known = storage.categories.iter_mut().find(|known| known.category == self.category);
        match known {
            Some(known) => known.purpose.clone_from(&self.purpose),
            None => storage
                .categories
                .push(StorageCategory { category: self.category.clone(), purpose: self.purpose.clone() }),
        }
        if !contract.permissions.contains(&Permission::StoreData) {
            contract.permissions.push(Permission::StoreData);
        }
    }
}

impl Category {
    pub(super) fn remove(&self, contract: &mut Contract) -> Result<(), Failure> {
        let none = || Failure::new(Exit::Refused, "there is no such category").next("to add it: add-category");
        let storage = contract.storage.as_mut().filter(|storage| storage.category(&self.category).is_some());
        let storage = storage.ok_or_else(none)?;
        storage.categories.retain(|known| known.category != self.category);
        if storage.categories.is_empty() {
            contract.storage = None;
            contract.permissions.retain(|permission| *permission != Permission::StoreData);
        }
        Ok(())
    }
}

impl SetQuota {
    pub(super) fn apply(&self, contract: &mut Contract) -> Result<(), Failure> {
        let none = || Failure::new(Exit::Refused, "nothing is stored").next("to begin: add-category");
        contract.storage.as_mut().ok_or_else(none)?.quota_bytes = self.quota_bytes;
        Ok(())
    }
}
