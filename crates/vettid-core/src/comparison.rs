//! What a contract asks beside what contracts of the same kind ask. Counts what is published, and says of one contract what few others ask;
//! whether that is too much is for the member to decide.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::category::{Counted, FieldCount, LEAST_SERVICES, RetentionCount};
use vettid_wire::contract::{Contract, ContractField, Permission, Retention, Tier};

/// Something is unusual if at most one service in so many asks as much.
const UNUSUAL: u32 = 4;

/// Counts what these contracts ask; `None` if there are too few of them.
#[must_use]
pub fn count<'a>(contracts: impl IntoIterator<Item = &'a Contract>) -> Option<Counted> {
    let mut counted = Counted { services: 0, fields: BTreeMap::new(), permissions: BTreeMap::new() };
    for contract in contracts {
        counted.services += 1;
        for field in &contract.fields {
            add(counted.fields.entry(field.field.clone()).or_default(), field);
        }
        for permission in permissions(contract) {
            *counted.permissions.entry(permission).or_default() += 1;
        }
    }
    (counted.services >= LEAST_SERVICES).then_some(counted)
}

/// Each once.
fn permissions(contract: &Contract) -> BTreeSet<Permission> {
    contract.permissions.iter().copied().collect()
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
    for permission in permissions(contract) {
        let services = counted.permissions.get(&permission).copied().unwrap_or_default();
        if is_unusual(services) {
            found.push(Unusual::Permission { permission, services });
        }
    }
    found
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
