//! What a contract asks beside what contracts of the same kind ask. Counts what is published, and says of one contract what few others ask;
//! whether that is too much is for the member to decide.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::category::{AmountCount, Counted, FieldCount, LEAST_SERVICES, RetentionCount, StorageCount};
use vettid_wire::contract::{Contract, ContractField, Permission, Retention, Storage, Tier};

/// Something is unusual if at most one service in so many asks as much.
const UNUSUAL: u32 = 4;

/// Counts what these contracts ask; `None` if there are too few of them.
#[must_use]
pub fn count<'a>(contracts: impl IntoIterator<Item = &'a Contract>) -> Option<Counted> {
    let mut counted = Counted {
        services: 0,
        fields: BTreeMap::new(),
        permissions: BTreeMap::new(),
        storage: None,
        notifications_per_hour: None,
    };
    let (mut stored, mut messages) = (StorageCount::default(), Vec::new());
    for contract in contracts {
        counted.services += 1;
        for field in &contract.fields {
            add(counted.fields.entry(field.field.clone()).or_default(), field);
        }
        for permission in permissions(contract) {
            *counted.permissions.entry(permission).or_default() += 1;
        }
        if let Some(storage) = storage(contract) {
            add_amount(&mut stored.quota_bytes, storage.quota_bytes);
            for name in categories(storage) {
                *stored.categories.entry(name.to_owned()).or_default() += 1;
            }
        }
        if let Some(number) = notifications(contract) {
            add_amount(&mut messages, number);
        }
    }
    (counted.storage, counted.notifications_per_hour) = (Some(stored), Some(messages));
    (counted.services >= LEAST_SERVICES).then_some(counted)
}

/// Each once.
fn permissions(contract: &Contract) -> BTreeSet<Permission> {
    contract.permissions.iter().copied().collect()
}

/// What may be stored: the section counts only with the permission, as in the vault.
fn storage(contract: &Contract) -> Option<&Storage> {
    contract.storage.as_ref().filter(|_| contract.permissions.contains(&Permission::StoreData))
}

/// Each once.
fn categories(storage: &Storage) -> BTreeSet<&str> {
    storage.categories.iter().map(|declared| declared.category.as_str()).collect()
}

/// How many messages may come in an hour: the number counts only with the permission.
fn notifications(contract: &Contract) -> Option<u64> {
    contract.notifications_per_hour.filter(|_| contract.permissions.contains(&Permission::SendMessages)).map(u64::from)
}

fn add_amount(counts: &mut Vec<AmountCount>, amount: u64) {
    match counts.binary_search_by_key(&amount, |known| known.amount) {
        Ok(place) => {
            if let Some(known) = counts.get_mut(place) {
                known.services += 1;
            }
        }
        Err(place) => counts.insert(place, AmountCount { amount, services: 1 }),
    }
}

/// How many may have so much or more.
fn as_much(counts: &[AmountCount], amount: u64) -> u32 {
    counts.iter().filter(|count| count.amount >= amount).map(|count| count.services).sum()
}

fn add(count: &mut FieldCount, field: &ContractField) {
    count.services += 1;
    *count.tiers.entry(field.tier).or_default() += 1;
    match count.retentions.binary_search_by_key(&field.retention, |known| known.retention) {
        Ok(place) => {
            if let Some(known) = count.retentions.get_mut(place) {
                known.services += 1;
            }
        }
        Err(place) => count.retentions.insert(place, RetentionCount { retention: field.retention, services: 1 }),
    }
}

/// Something that few services of the kind ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Unusual {
    /// A field.
    Field {
        /// The field.
        field: String,
        /// How many ask for it.
        services: u32,
    },
    /// A field that many ask for, but few in such a strong way.
    Tier {
        /// The field.
        field: String,
        /// How it is handed out.
        tier: Tier,
        /// How many ask for it in this or a stronger way.
        services: u32,
    },
    /// A field that many ask for, but few to keep for so long.
    Retention {
        /// The field.
        field: String,
        /// How long it is kept.
        retention: Retention,
        /// How many keep it for so long or longer.
        services: u32,
    },
    /// Something that the service may do.
    Permission {
        /// What.
        permission: Permission,
        /// How many may do that.
        services: u32,
    },
    /// Storage with the member that many have, but few so much of it.
    Quota {
        /// How much at most, in bytes.
        quota_bytes: u64,
        /// How many may store so much or more.
        services: u32,
    },
    /// A category of what is stored with the member.
    Category {
        /// Its name.
        category: String,
        /// How many store something under that name.
        services: u32,
    },
    /// Messages that many send, but few so many of them.
    Notifications {
        /// In any hour.
        per_hour: u64,
        /// How many may send so many or more.
        services: u32,
    },
}

impl Unusual {
    /// How many of the counted services ask as much.
    #[must_use]
    pub fn services(&self) -> u32 {
        match self {
            Self::Field { services, .. }
            | Self::Tier { services, .. }
            | Self::Retention { services, .. }
            | Self::Permission { services, .. }
            | Self::Quota { services, .. }
            | Self::Category { services, .. }
            | Self::Notifications { services, .. } => *services,
        }
    }
}

/// What a contract asks that at most a quarter of the counted services ask, in the order of the contract.
#[must_use]
pub fn unusual(contract: &Contract, counted: &Counted) -> Vec<Unusual> {
    let is_unusual = |services: u32| u64::from(services) * u64::from(UNUSUAL) <= u64::from(counted.services);
    let mut found = Vec::new();
    for field in &contract.fields {
        let name = || field.field.clone();
        let none = FieldCount::default();
        let known = counted.fields.get(&field.field).unwrap_or(&none);
        if is_unusual(known.services) {
            found.push(Unusual::Field { field: name(), services: known.services });
            continue;
        }
        let as_strong = known.tiers.iter().filter(|(tier, _)| strength(**tier) >= strength(field.tier));
        let services = as_strong.map(|(_, services)| services).sum();
        if is_unusual(services) {
            found.push(Unusual::Tier { field: name(), tier: field.tier, services });
        }
        let as_long = known.retentions.iter().filter(|count| count.retention >= field.retention);
        let services = as_long.map(|count| count.services).sum();
        if is_unusual(services) {
            found.push(Unusual::Retention { field: name(), retention: field.retention, services });
        }
    }
    let mut named = BTreeSet::new();
    for permission in permissions(contract) {
        let services = counted.permissions.get(&permission).copied().unwrap_or_default();
        if is_unusual(services) {
            named.insert(permission);
            found.push(Unusual::Permission { permission, services });
        }
    }
    // Who may do it at all says enough where few may.
    if !named.contains(&Permission::StoreData) {
        found.extend(storage_asks(contract, counted).into_iter().filter(|ask| is_unusual(ask.services())));
    }
    if !named.contains(&Permission::SendMessages)
        && let (Some(per_hour), Some(known)) = (notifications(contract), &counted.notifications_per_hour)
    {
        let services = as_much(known, per_hour);
        if is_unusual(services) {
            found.push(Unusual::Notifications { per_hour, services });
        }
    }
    found
}

/// What a contract wants to store, each with how many want as much.
fn storage_asks(contract: &Contract, counted: &Counted) -> Vec<Unusual> {
    let (Some(storage), Some(known)) = (storage(contract), &counted.storage) else {
        return vec![];
    };
    let quota_bytes = storage.quota_bytes;
    let quota = Unusual::Quota { quota_bytes, services: as_much(&known.quota_bytes, quota_bytes) };
    let category = |name: &str| {
        let services = known.categories.get(name).copied().unwrap_or_default();
        Unusual::Category { category: name.to_owned(), services }
    };
    std::iter::once(quota).chain(categories(storage).into_iter().map(category)).collect()
}

/// How much a tier leaves to the member, the least last.
fn strength(tier: Tier) -> u8 {
    match tier {
        Tier::Consent => 0,
        Tier::Optional => 1,
        Tier::OnDemand => 2,
        Tier::Required => 3,
    }
}

#[cfg(test)]
mod tests;
