//! What a service stores: what stands there, as a vault counts it, and that less in a contract never lets more be stored, read or
//! deleted of the same things.

use crate::life::{Act, Life, OfStored, Terms, change_storage, other_hash};
use crate::{Decision, lives};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use vettid_core::contract::diff::{Effect, changes};
use vettid_core::contract::storage::{Filling, StorageAct, on_stored};
use vettid_core::contract::{AcceptedContract, Buckets};
use vettid_wire::time::Timestamp;

/// What stands there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store(BTreeMap<(String, u8), u64>);

impl Store {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().sum()
    }

    fn filling(&self, place: &(String, u8), added_bytes: u64) -> Filling {
        let items = u64::try_from(self.0.len()).unwrap();
        Filling { used_bytes: self.bytes(), items, replaced_bytes: self.0.get(place).copied(), added_bytes }
    }

    /// What the shipped rules say.
    pub(crate) fn decide(
        &self,
        now: Timestamp,
        accepted: &AcceptedContract,
        buckets: &mut Buckets,
        (what, quotes_own): (&OfStored, bool),
    ) -> Decision {
        let quoted_hash = if quotes_own { &accepted.contract_hash } else { &other_hash() };
        let wanted = match what {
            OfStored::Put { category, name, bytes } => {
                StorageAct::Put { category, filling: self.filling(&(category.clone(), *name), *bytes) }
            }
            OfStored::Get(category) | OfStored::Delete { category, .. } => StorageAct::One(category),
            OfStored::List(category) => StorageAct::List(category.as_deref()),
        };
        on_stored(now, accepted, buckets, quoted_hash, wanted).map(|()| None)
    }

    /// Does what was granted.
    pub(crate) fn follow(&mut self, what: &OfStored, decision: &Decision) {
        match what {
            _ if decision.is_err() => {}
            OfStored::Put { category, name, bytes } => drop(self.0.insert((category.clone(), *name), *bytes)),
            OfStored::Delete { category, name } => drop(self.0.remove(&(category.clone(), *name))),
            OfStored::Get(_) | OfStored::List(_) => {}
        }
    }
}

/// Plays a life under two contracts over the same things, which follow what the first one grants, or the second. Gives how often
/// each of them granted what the other one did not.
fn beside(first: &Terms, second: &Terms, life: &Life, follows_first: bool) -> (u64, u64) {
    let both = [first.accepted(), second.accepted()];
    let mut buckets = [Buckets::default(), Buckets::default()];
    let (mut store, mut alone) = (Store::default(), (0, 0));
    for (now, act) in &life.acts {
        let Act::Stored { what, quotes_own } = act else { continue };
        let [by_first, by_second] =
            [0, 1].map(|at| store.decide(*now, &both[at], &mut buckets[at], (what, *quotes_own)));
        alone.0 += u64::from(by_first.is_ok() && by_second.is_err());
        alone.1 += u64::from(by_second.is_ok() && by_first.is_err());
        store.follow(what, if follows_first { &by_first } else { &by_second });
    }
    alone
}

/// A quota and categories that the diff does not call wider let nothing more be done with the same things; and what it calls wider
/// really lets more be done, in some case.
#[test]
fn what_the_diff_calls_narrower_lets_no_more_be_done_with_what_is_stored() {
    let (mut less, mut more) = (0, 0);
    for seed in 0..lives() / 2 {
        let mut rng = StdRng::seed_from_u64(seed);
        let before = Terms::random(&mut rng);
        let life = Life::random(&before, &mut rng);
        let mut after = before.clone();
        (0..rng.random_range(1..3)).for_each(|_| change_storage(&mut after.contract, &mut rng));
        let found = changes(&before.contract, &after.contract);
        let is_wider = found.iter().any(|change| change.effect == Effect::Wider);
        for follows_first in [true, false] {
            let (by_before, by_after) = beside(&before, &after, &life, follows_first);
            assert!(is_wider || by_after == 0, "seed {seed}: {found:#?} {before:#?} {after:#?} {life:#?}");
            less += by_before;
            more += by_after;
        }
    }
    assert!(less > lives() / 100 && more > lives() / 100, "{less} {more}");
}
