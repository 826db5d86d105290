//! What is to be said about what a service wants to store.

use super::{Fault, Findings, sentence};
use std::collections::HashSet;
use vettid_wire::contract::{Contract, MAX_CATEGORIES, MAX_QUOTA_BYTES, Permission, Storage};
use vettid_wire::data::is_field_name;

/// More than this is more than notes, receipts and cards need, in bytes.
const LARGE_QUOTA_BYTES: u64 = 256 * 1024;

/// Permission and section go together, and the section has to be sound.
pub(super) fn lint(contract: &Contract, findings: &mut Findings) {
    let is_permitted = contract.permissions.contains(&Permission::StoreData);
    match &contract.storage {
        None if is_permitted => {
            findings.error(
                Fault::Missing,
                "/storage",
                "store_data needs a quota and categories: edit FILE add-category",
            );
        }
        None => {}
        Some(storage) => {
            if !is_permitted {
                findings.error(Fault::Missing, "/permissions", "what it may store has no effect without store_data");
            }
            of_section(storage, findings);
        }
    }
}

fn of_section(storage: &Storage, findings: &mut Findings) {
    let quota = "/storage/quota_bytes";
    match storage.quota_bytes {
        0 => findings.error(Fault::Zero, quota, "the quota counts from 1 byte"),
        bytes if bytes > MAX_QUOTA_BYTES => {
            findings.error(Fault::TooLarge, quota, format!("more than {MAX_QUOTA_BYTES} bytes"));
        }
        bytes if bytes > LARGE_QUOTA_BYTES => {
            findings.warning(Fault::OverAsking, quota, format!("more than {LARGE_QUOTA_BYTES} bytes with each member"));
        }
        _ => {}
    }
    let place = "/storage/categories";
    if storage.categories.is_empty() {
        findings.error(Fault::Empty, place, "there is no category to store in");
    } else if storage.categories.len() > MAX_CATEGORIES {
        findings.error(Fault::TooLarge, place, format!("more than {MAX_CATEGORIES} categories"));
    }
    let mut names = HashSet::new();
    for (index, declared) in storage.categories.iter().enumerate() {
        let at = |part: &str| format!("{place}/{index}/{part}");
        if !is_field_name(&declared.category) {
            findings.error(Fault::Name, &at("category"), "a name is 1 to 64 of a-z, 0-9 and _");
        }
        if !names.insert(&declared.category) {
            findings.error(Fault::Twice, &at("category"), "the category stands twice");
        }
        sentence(&declared.purpose, &at("purpose"), findings);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use vettid_wire::contract::StorageCategory;
    use vettid_wire::json;

    fn stores() -> Contract {
        let mut contract: Contract = json::read(include_bytes!("../../../../../examples/shop/contract.json")).unwrap();
        contract.permissions.retain(|permission| *permission != Permission::StoreData);
        contract.permissions.push(Permission::StoreData);
        let purpose = "Receipts of what you ordered".to_owned();
        let categories = vec![StorageCategory { category: "receipts".to_owned(), purpose }];
        contract.storage = Some(Storage { quota_bytes: 65_536, categories });
        contract
    }

    fn found(change: impl FnOnce(&mut Contract)) -> Vec<(Severity, Fault, String)> {
        let mut contract = stores();
        change(&mut contract);
        let found = super::super::lint(&contract);
        // What is said here is what keeps such a contract from being accepted.
        let is_sound = super::super::is_sound(&found);
        assert!(!is_sound || contract.validate().is_ok(), "{found:?}");
        found.into_iter().map(|finding| (finding.severity, finding.fault, finding.place)).collect()
    }

    #[test]
    fn each_fault_of_the_section_is_found_where_it_is() {
        let error = |fault, place: &str| vec![(Severity::Error, fault, place.to_owned())];
        let storage = |change: fn(&mut Storage)| found(|contract| change(contract.storage.as_mut().unwrap()));
        assert_eq!(found(|_| {}), []);
        assert_eq!(found(|c| c.storage = None), error(Fault::Missing, "/storage"));
        let not_permitted = |c: &mut Contract| c.permissions.retain(|other| *other != Permission::StoreData);
        assert_eq!(found(not_permitted), error(Fault::Missing, "/permissions"));
        let (quota, categories) = ("/storage/quota_bytes", "/storage/categories");
        assert_eq!(storage(|s| s.quota_bytes = 0), error(Fault::Zero, quota));
        assert_eq!(storage(|s| s.quota_bytes = MAX_QUOTA_BYTES + 1), error(Fault::TooLarge, quota));
        let large = vec![(Severity::Warning, Fault::OverAsking, quota.to_owned())];
        assert_eq!(storage(|s| s.quota_bytes = LARGE_QUOTA_BYTES + 1), large);
        assert_eq!(storage(|s| s.categories.clear()), error(Fault::Empty, categories));
        let twice = storage(|s| s.categories.push(s.categories[0].clone()));
        assert_eq!(twice, error(Fault::Twice, "/storage/categories/1/category"));
        let name = storage(|s| s.categories[0].category = "my receipts".to_owned());
        assert_eq!(name, error(Fault::Name, "/storage/categories/0/category"));
        let purpose = "/storage/categories/0/purpose";
        assert_eq!(storage(|s| s.categories[0].purpose.clear()), error(Fault::Missing, purpose));
        let hidden = storage(|s| s.categories[0].purpose = "Receipts \u{202e}of orders".to_owned());
        assert_eq!(hidden, error(Fault::Misleading, purpose));
        let many = storage(|s| {
            let named = |at| StorageCategory { category: format!("c{at}"), ..s.categories[0].clone() };
            s.categories = (0..=MAX_CATEGORIES).map(named).collect();
        });
        assert_eq!(many, error(Fault::TooLarge, categories));
    }
}
