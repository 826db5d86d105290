//! The dry run of a contract: past requests decided by the same rules as real ones, with buckets and spent fields of its own, so that
//! nothing real is used up. Hands nothing out, and knows no value.

use super::{AcceptedContract, Breach, Buckets, Grant, Reading, Spent, push_field, read_field, tier_grant};
use std::collections::BTreeMap;
use vettid_wire::contract::{Access, ContractField, Rate};
use vettid_wire::time::Timestamp;
use vettid_wire::trial::{FieldTrial, RefusedCount};

/// What happened in the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// A service asked for a field.
    Asked {
        /// When.
        at: Timestamp,
        /// For which.
        field: String,
    },
    /// A field changed that was followed.
    Changed {
        /// When.
        at: Timestamp,
        /// Which.
        field: String,
    },
}

/// What the owner's rules say of a request that the contract lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByRules {
    /// Nothing that changes its end.
    Unchanged,
    /// No.
    Denied,
    /// The owner is asked.
    Asked,
    /// Yes, in place of the owner.
    Answered,
}

/// What the owner's vault says beside the contract.
pub struct Beside<'a> {
    /// Of which fields there are values.
    pub is_stored: &'a dyn Fn(&str) -> bool,
    /// What rules say of a request at a time, for a field, under this grant; called in the order of time.
    pub rules: &'a mut dyn FnMut(Timestamp, &str, Grant) -> ByRules,
}

/// Tries a contract on what happened from `since` to `now`, in the order given. Rules are counted beside what the contract says: they
/// change no other number.
#[must_use]
pub fn try_on(
    accepted: &AcceptedContract,
    mut spent: Spent,
    past: &[Past],
    (since, now): (Timestamp, Timestamp),
    beside: Beside<'_>,
) -> Vec<FieldTrial> {
    let Beside { is_stored, rules } = beside;
    let mut trials: Vec<FieldTrial> =
        accepted.contract.fields.iter().map(|field| begin(accepted, &spent, field, (since, now), is_stored)).collect();
    let mut refused: BTreeMap<(String, Breach), u64> = BTreeMap::new();
    let mut buckets = Buckets::default();
    for happened in past {
        match happened {
            Past::Asked { at, field } => {
                let reading = Reading { quoted_hash: &accepted.contract_hash, field, retention: None };
                let granted = read_field(*at, accepted, (&mut buckets, &spent), reading);
                let trial = of(&mut trials, field);
                trial.asked += 1;
                if let Ok(grant) = &granted {
                    match rules(*at, field, *grant) {
                        ByRules::Unchanged => {}
                        ByRules::Denied => trial.by_rules.denied += 1,
                        ByRules::Asked => trial.by_rules.asked += 1,
                        ByRules::Answered => trial.by_rules.answered += 1,
                    }
                }
                match granted {
                    Err(breach) => *refused.entry((field.clone(), breach)).or_default() += 1,
                    Ok(_) if !is_stored(field) => trial.empty += 1,
                    Ok(grant) => {
                        spent.served(accepted, field);
                        match grant {
                            Grant::Granted => trial.handed_out += 1,
                            Grant::Consent => trial.after_consent += 1,
                        }
                    }
                }
            }
            Past::Changed { at, field } => {
                if is_stored(field) && push_field(*at, accepted, &mut buckets, field).is_ok() {
                    of(&mut trials, field).sent += 1;
                }
            }
        }
    }
    for ((field, breach), requests) in refused {
        of(&mut trials, &field).refused.push(RefusedCount { check: breach.to_string(), requests });
    }
    trials
}

/// The trial of a field; one that the contract does not name comes after those that it does.
fn of<'a>(trials: &'a mut Vec<FieldTrial>, field: &str) -> &'a mut FieldTrial {
    let place = trials.iter().position(|trial| trial.field == field).unwrap_or(trials.len());
    if place == trials.len() {
        trials.push(FieldTrial { field: field.to_owned(), ..FieldTrial::default() });
    }
    // Just now it was put there, if it was not before.
    #[expect(clippy::indexing_slicing, reason = "the place was found or made one line above")]
    &mut trials[place]
}

fn begin(
    accepted: &AcceptedContract,
    spent: &Spent,
    field: &ContractField,
    (since, now): (Timestamp, Timestamp),
    is_stored: &dyn Fn(&str) -> bool,
) -> FieldTrial {
    let (name, stored) = (field.field.clone(), is_stored(&field.field));
    let grant = tier_grant(accepted, field).ok().filter(|_| !spent.has(field));
    let rates = [Some(accepted.contract.rate), field.rate].into_iter().flatten();
    let most = rates.map(|rate| let_through(rate, now.since_ms(since))).min().unwrap_or(0);
    let at_most = match (grant, field.access) {
        (None, _) => 0,
        (Some(_), Access::OneTime) => most.min(1),
        (Some(_), _) => most,
    };
    let leaves_at_once = field.access == Access::Snapshot && grant == Some(Grant::Granted) && stored;
    FieldTrial { field: name, is_stored: stored, at_most, leaves_at_once, ..FieldTrial::default() }
}

/// How many requests a rate lets through in so many milliseconds: the full bucket, and what flows in.
fn let_through(rate: Rate, period_ms: i64) -> u64 {
    let (count, per_ms) = (u64::from(rate.count), u64::from(rate.per_seconds).saturating_mul(1000).max(1));
    count.saturating_add(u64::try_from(period_ms).unwrap_or(0).saturating_mul(count) / per_ms)
}

#[cfg(test)]
mod tests;
