//! The same rules, told another way: one table of refusals in their order, and rates as the theoretical arrival time of a cell
//! (ITU-T I.371, generic cell rate algorithm) in exact fractions instead of buckets.

use crate::Decision;
use crate::life::{Act, Life, OfStored, Terms};
use std::collections::{HashMap, HashSet};
use vettid_core::contract::{Breach, Grant};
use vettid_wire::contract::{Access, Permission, Rate, Retention, Tier};

/// One rate: when the next cell is expected, in milliseconds times `count`; a clock that goes back stands still.
#[derive(Default)]
struct Arrivals {
    expected: Option<i128>,
    latest_ms: i64,
    rate: Option<Rate>,
}

impl Arrivals {
    /// Under another rate as many cells are free as were free before, in whole milliseconds.
    fn change(&mut self, rate: Rate) {
        let (Some(before), Some(expected)) = (self.rate.replace(rate), self.expected) else { return };
        let whole = |rate: Rate| i128::from(rate.count) * i128::from(rate.per_seconds) * 1000;
        let passed = |rate: Rate| i128::from(self.latest_ms) * i128::from(rate.count);
        let free = whole(before) - (expected - passed(before));
        let free = free * i128::from(rate.per_seconds) / i128::from(before.per_seconds);
        self.expected = Some(passed(rate) + whole(rate) - free);
    }

    fn conforms(&mut self, rate: Rate, now_ms: i64) -> bool {
        self.change(rate);
        let latest_ms = if self.expected.is_some() { self.latest_ms.max(now_ms) } else { now_ms };
        self.latest_ms = latest_ms;
        let (count, interval) = (i128::from(rate.count), i128::from(rate.per_seconds) * 1000);
        let now = i128::from(latest_ms) * count;
        let expected = self.expected.unwrap_or(now).max(now);
        let conforms = expected - now <= (count - 1) * interval;
        self.expected = Some(if conforms { expected + interval } else { expected });
        conforms
    }
}

const HOUR_MS: i64 = 3_600_000;

/// Every message that was let through; how many of them fell into the last hour is counted anew each time.
#[derive(Default)]
struct Sent(Vec<i64>);

impl Sent {
    /// A clock that goes back stands still.
    fn now(&self, now_ms: i64) -> i64 {
        self.0.iter().fold(now_ms, |latest, at| latest.max(*at))
    }

    fn has_room(&self, number: u32, now_ms: i64) -> bool {
        let hour_ago = self.now(now_ms) - HOUR_MS;
        self.0.iter().filter(|at| **at > hour_ago).count() < number as usize
    }
}

/// A retention as a number of days.
fn days(retention: Retention) -> u64 {
    match retention {
        Retention::Session => 0,
        Retention::TimeLimited { days } => u64::from(days),
        Retention::UntilRevoked => u64::MAX,
    }
}

pub(crate) fn play(terms: &Terms, life: &Life) -> Vec<Decision> {
    let mut contract = terms.contract.clone();
    let mut overall = Arrivals::default();
    let mut of_field: HashMap<&str, Arrivals> = HashMap::new();
    let mut of_push: HashMap<&str, Arrivals> = HashMap::new();
    let mut served: HashSet<&str> = HashSet::new();
    let mut sent = Sent::default();
    let mut things: Vec<Thing> = Vec::new();
    let mut decisions = Vec::new();
    for (now, wish) in &life.acts {
        let now_ms = now.unix_ms();
        if wish.accept(&mut contract) {
            decisions.push(Ok(None));
            continue;
        }
        decisions.push(match wish {
            Act::Lower { .. } => unreachable!("it was accepted"),
            Act::Read { quotes_own: false, .. } | Act::Stored { quotes_own: false, .. } => Err(Breach::NotCurrent),
            Act::Stored { what, .. } => {
                let conforms = overall.conforms(contract.rate, now_ms);
                stored(terms, conforms, &mut things, what)
            }
            Act::Push(name) => {
                let field = contract.fields.iter().find(|field| field.field == *name);
                match field.filter(|field| field.access == Access::Snapshot) {
                    None => Err(Breach::NotDeclared),
                    Some(field) if field.tier == Tier::Consent => Err(Breach::NotAgreed),
                    Some(field) if field.tier == Tier::Optional && !terms.optional.contains(name) => {
                        Err(Breach::NotAgreed)
                    }
                    Some(field) => {
                        let rate = field.rate.unwrap_or(contract.rate);
                        let conforms = of_push.entry(name).or_default().conforms(rate, now_ms);
                        if conforms { Ok(None) } else { Err(Breach::OverRate) }
                    }
                }
            }
            Act::Message { quotes_own: false, .. } | Act::Ask { quotes_own: false, .. } => Err(Breach::NotCurrent),
            Act::Message { is_known, .. } => {
                let conforms = overall.conforms(contract.rate, now_ms);
                let may_send = contract.permissions.contains(&Permission::SendMessages);
                match contract.notifications_per_hour {
                    _ if !conforms => Err(Breach::OverRate),
                    Some(number) if !is_known && !sent.has_room(number, now_ms) => Err(Breach::OverNotifications),
                    Some(_) if may_send => {
                        if !is_known {
                            sent.0.push(sent.now(now_ms));
                        }
                        Ok(None)
                    }
                    _ => Err(Breach::NotPermitted),
                }
            }
            Act::Ask { permission, .. } => {
                let conforms = overall.conforms(contract.rate, now_ms);
                match (conforms, contract.permissions.contains(permission)) {
                    (false, _) => Err(Breach::OverRate),
                    (true, false) => Err(Breach::NotPermitted),
                    (true, true) => Ok(None),
                }
            }
            Act::Read { field: name, retention, .. } => {
                let conforms = overall.conforms(contract.rate, now_ms);
                let field = contract.fields.iter().find(|field| field.field == *name);
                let agreed = |tier| tier != Tier::Optional || terms.optional.contains(name);
                match field {
                    None => Err(Breach::NotDeclared),
                    Some(field) if !agreed(field.tier) => Err(Breach::NotAgreed),
                    Some(field) if field.access == Access::OneTime && served.contains(name.as_str()) => {
                        Err(Breach::Spent)
                    }
                    Some(field) if retention.is_some_and(|wish| days(wish) > days(field.retention)) => {
                        Err(Breach::RetentionTooLong)
                    }
                    Some(_) if !conforms => Err(Breach::OverRate),
                    Some(field) => {
                        let arrivals = of_field.entry(name).or_default();
                        if field.rate.is_none_or(|rate| arrivals.conforms(rate, now_ms)) {
                            served.insert(name);
                            Ok(Some(if field.tier == Tier::Consent { Grant::Consent } else { Grant::Granted }))
                        } else {
                            Err(Breach::OverRate)
                        }
                    }
                }
            }
        });
    }
    decisions
}

/// A stored thing: its category, its name, its bytes.
type Thing = (String, u8, u64);

/// What becomes of an act on stored things: each refusal in its order, then what stands there afterwards, counted anew.
fn stored(terms: &Terms, conforms: bool, things: &mut Vec<Thing>, what: &OfStored) -> Decision {
    let storage = terms.contract.storage.as_ref().ok_or(Breach::NotDeclared)?;
    let (OfStored::Put { category, .. } | OfStored::Get(category) | OfStored::Delete { category, .. }) = what else {
        let OfStored::List(only) = what else { unreachable!() };
        let is_declared = only.as_ref().is_none_or(|only| storage.categories.iter().any(|one| one.category == *only));
        return refuse(terms, is_declared, conforms);
    };
    refuse(terms, storage.categories.iter().any(|one| one.category == *category), conforms)?;
    let mut after = things.clone();
    match what {
        OfStored::Put { name, bytes, .. } => {
            after.retain(|(in_category, of_name, _)| (in_category, of_name) != (category, name));
            after.push((category.clone(), *name, *bytes));
            if after.iter().map(|(.., bytes)| bytes).sum::<u64>() > storage.quota_bytes {
                return Err(Breach::OverQuota);
            }
        }
        OfStored::Delete { name, .. } => after.retain(|thing| (&thing.0, thing.1) != (category, *name)),
        OfStored::Get(_) | OfStored::List(_) => {}
    }
    *things = after;
    Ok(None)
}

fn refuse(terms: &Terms, is_declared: bool, conforms: bool) -> Decision {
    match (is_declared, conforms, terms.contract.permissions.contains(&Permission::StoreData)) {
        (false, ..) => Err(Breach::NotDeclared),
        (_, false, _) => Err(Breach::OverRate),
        (.., false) => Err(Breach::NotPermitted),
        _ => Ok(None),
    }
}
