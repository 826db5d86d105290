//! Random lives of contracts: what the shipped decisions grant against a reference that is built differently, and that less in
//! a contract never grants more. A failure names its seed; `VETTID_CONTRACTS` sets how many lives are tried.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

mod batch;
mod life;
mod reference;
mod stored;

use life::{Act, Life, Terms};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stored::Store;
use vettid_core::contract::{Breach, Buckets, Grant, Reading, Spent, act, push_field, read_field, send_message};
use vettid_wire::contract::{Access, Rate, Retention, Tier};

/// Lives that are tried without another wish.
const LIVES: u64 = 100_000;

fn lives() -> u64 {
    std::env::var("VETTID_CONTRACTS").ok().map_or(LIVES, |wanted| wanted.parse().unwrap())
}

/// What was decided about one act.
type Decision = Result<Option<Grant>, Breach>;

/// Plays a life with the shipped rules. Whatever is granted is served, as if the owner always said yes.
fn play(terms: &Terms, life: &Life) -> Vec<Decision> {
    let (mut terms, mut accepted) = (terms.clone(), terms.accepted());
    let (mut buckets, mut spent) = (Buckets::default(), Spent::default());
    let mut store = Store::default();
    let decide = |(now, wish): &(_, Act)| match wish {
        Act::Lower { .. } => {
            wish.accept(&mut terms.contract);
            accepted = terms.accepted();
            Ok(None)
        }
        Act::Read { field, quotes_own, retention } => {
            let quoted_hash = if *quotes_own { &accepted.contract_hash } else { &life::other_hash() };
            let asked = Reading { quoted_hash, field, retention: *retention };
            let grant = read_field(*now, &accepted, (&mut buckets, &spent), asked)?;
            spent.served(&accepted, field);
            Ok(Some(grant))
        }
        Act::Push(field) => push_field(*now, &accepted, &mut buckets, field).map(|()| None),
        Act::Message { quotes_own, is_known } => {
            let quoted_hash = if *quotes_own { &accepted.contract_hash } else { &life::other_hash() };
            let sent = send_message(*now, &accepted, &mut buckets, quoted_hash, *is_known);
            sent.map(|()| None).map_err(|refused| refused.breach)
        }
        Act::Stored { what, quotes_own } => {
            let decision = store.decide(*now, &accepted, &mut buckets, (what, *quotes_own));
            store.follow(what, &decision);
            let quota_bytes = terms.contract.storage.as_ref().map_or(0, |storage| storage.quota_bytes);
            assert!(store.bytes() <= quota_bytes, "{terms:#?} {life:#?}");
            decision
        }
        Act::Ask { permission, quotes_own } => {
            let quoted_hash = if *quotes_own { &accepted.contract_hash } else { &life::other_hash() };
            act(*now, &accepted, &mut buckets, quoted_hash, *permission).map(|()| None)
        }
    };
    life.acts.iter().map(decide).collect()
}

#[test]
fn the_rules_and_the_reference_decide_alike() {
    let mut granted = 0u64;
    let mut refused = std::collections::HashMap::<Breach, u64>::new();
    for seed in 0..lives() {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng);
        let life = Life::random(&terms, &mut rng).with_lower_rates(&terms, &mut rng);
        let (shipped, wanted) = (play(&terms, &life), reference::play(&terms, &life));
        assert_eq!(shipped, wanted, "seed {seed}: {terms:#?} {life:#?}");
        for decision in shipped {
            match decision {
                Ok(_) => granted += 1,
                Err(code) => *refused.entry(code).or_default() += 1,
            }
        }
    }
    // Every outcome was really met.
    assert!(granted > lives(), "{granted}");
    let met = |breach: &Breach| refused.get(breach).is_some_and(|times| *times > lives() / 20);
    assert!(Breach::ALL.iter().all(met), "{refused:?}");
}

/// Takes something away from a contract; `None` where there is nothing of the kind.
type Less = fn(&Terms, &mut StdRng) -> Option<Terms>;

fn one(length: usize, rng: &mut StdRng) -> Option<usize> {
    (length > 0).then(|| rng.random_range(0..length))
}

fn without_a_field(terms: &Terms, rng: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    less.contract.fields.remove(one(terms.contract.fields.len(), rng)?);
    Some(less)
}

fn without_a_permission(terms: &Terms, rng: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    less.contract.permissions.remove(one(terms.contract.permissions.len(), rng)?);
    Some(less)
}

fn without_messages(terms: &Terms, _: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    less.contract.notifications_per_hour.take()?;
    Some(less)
}

fn without_an_agreement(terms: &Terms, rng: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    less.optional.remove(one(terms.optional.len(), rng)?);
    Some(less)
}

fn with_a_field_once(terms: &Terms, rng: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    let index = one(terms.contract.fields.len(), rng)?;
    // Its bucket would be left alone once it is spent, which changes nothing for a field that is refused by then.
    less.contract.fields[index].access = Access::OneTime;
    Some(less)
}

fn asking_first(terms: &Terms, rng: &mut StdRng) -> Option<Terms> {
    let mut less = terms.clone();
    let index = one(terms.contract.fields.len(), rng)?;
    let field = &mut less.contract.fields[index];
    // An optional field that was not agreed to would become one that can be asked for.
    (field.tier != Tier::Optional).then(|| field.tier = Tier::Consent)?;
    Some(less)
}

#[test]
fn less_in_a_contract_never_grants_more() {
    let kinds: [Less; 6] = [
        without_a_field,
        without_a_permission,
        without_messages,
        without_an_agreement,
        with_a_field_once,
        asking_first,
    ];
    let mut taken_away = [0u64; 6];
    for seed in 0..lives() / 5 {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng);
        let life = Life::random(&terms, &mut rng);
        let before = play(&terms, &life);
        for (kind, takes_away) in kinds.iter().enumerate() {
            let Some(less) = takes_away(&terms, &mut rng) else { continue };
            for (at, (now, then)) in play(&less, &life).iter().zip(&before).enumerate() {
                assert!(
                    rank(now) <= rank(then),
                    "seed {seed}, kind {kind}, act {at}: {then:?} became {now:?}\n{terms:#?}"
                );
                taken_away[kind] += u64::from(rank(now) < rank(then));
            }
        }
    }
    assert!(taken_away.iter().all(|times| *times > 0), "{taken_away:?}");
}

/// How much a decision gives: nothing, a question to the owner, the value.
fn rank(decision: &Decision) -> u8 {
    match decision {
        Err(_) => 0,
        Ok(Some(Grant::Consent)) => 1,
        Ok(Some(Grant::Granted) | None) => 2,
    }
}

/// With a shorter retention or a lower rate a single request may be granted where another one was before; never more of them up to any moment.
#[test]
fn a_lower_rate_or_shorter_retention_never_grants_more_up_to_any_moment() {
    let mut fewer = 0u64;
    for seed in 0..lives() / 5 {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng);
        let life = Life::random(&terms, &mut rng);
        let mut lower = terms.clone();
        let limited = lower.contract.fields.iter_mut().find(|field| field.rate.is_some());
        if let Some(field) = limited {
            field.rate.iter_mut().for_each(|rate| life::lower(rate, &mut rng));
            let name = field.field.clone();
            fewer += up_to_any_moment(&terms, &lower, &life, seed, |wish| wish.reads(&name));
            fewer += up_to_any_moment(&terms, &lower, &life, seed, |wish| wish.is_push_of(&name));
        }
        let mut fewer_messages = terms.clone();
        if let Some(number) = &mut fewer_messages.contract.notifications_per_hour {
            *number = rng.random_range(1..=*number);
            fewer += up_to_any_moment(&terms, &fewer_messages, &life, seed, Act::is_message);
        }
        let mut shorter = terms.clone();
        if let Some(field) = shorter.contract.fields.first_mut() {
            field.retention = Retention::Session;
            let name = field.field.clone();
            // What is refused earlier begins a bucket later; with a clock that goes back that is another bucket.
            fewer += up_to_any_moment(&terms, &shorter, &life.forward(), seed, |wish| wish.reads(&name));
        }
        // Where everything else is allowed, the contract's rate alone decides.
        let (open, mut lower) = (terms.all_allowed(), terms.all_allowed());
        life::lower(&mut lower.contract.rate, &mut rng);
        fewer += up_to_any_moment(&open, &lower, &life, seed, |_| true);
    }
    assert!(fewer > 0);
}

/// A version with a lower rate that is accepted in the middle lets nothing through that would not have been let through without it,
/// whatever was used by then.
#[test]
fn a_lower_rate_in_the_middle_never_grants_more_up_to_any_moment() {
    let mut fewer = 0u64;
    for seed in 0..lives() / 5 {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng).all_allowed();
        let mut rates = terms.clone();
        rates.contract.rate = Rate { count: rng.random_range(1..=12), per_seconds: rng.random_range(1..=600) };
        let lowered = Life::random(&rates, &mut rng).with_lower_rates(&rates, &mut rng);
        let (then, now) = (play(&rates, &lowered.without_lower_rates()), play(&rates, &lowered));
        let acts = lowered.acts.iter().zip(now).filter(|((_, act), _)| !matches!(act, Act::Lower { .. }));
        let (mut many, mut few) = (0u64, 0u64);
        for ((_, now), then) in acts.zip(then) {
            many += u64::from(then.is_ok());
            few += u64::from(now.is_ok());
            assert!(few <= many, "seed {seed}: {rates:#?} {lowered:#?}");
        }
        fewer += many - few;
    }
    assert!(fewer > 0);
}

/// Holds the grants of both up to each act against each other; how many fewer there are in the end.
fn up_to_any_moment(before: &Terms, after: &Terms, life: &Life, seed: u64, counts: impl Fn(&Act) -> bool) -> u64 {
    let (then, now) = (play(before, life), play(after, life));
    let (mut many, mut few) = (0u64, 0u64);
    for (((_, wish), then), now) in life.acts.iter().zip(&then).zip(&now) {
        if counts(wish) {
            many += u64::from(then.is_ok());
            few += u64::from(now.is_ok());
            assert!(few <= many, "seed {seed}: {before:#?} {after:#?} {life:#?}");
        }
    }
    many - few
}

/// A contract that differs from another one in nothing that is called wider grants nothing that the other one did not.
#[test]
fn what_the_diff_calls_narrower_never_grants_more() {
    use vettid_core::contract::diff::{Effect, changes};
    let mut less = 0u64;
    for seed in 0..lives() / 4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng);
        let life = Life::random(&terms, &mut rng);
        let mut after = terms.clone();
        for _ in 0..rng.random_range(1..3) {
            life::change(&mut after, &mut rng);
        }
        after.contract.rate = terms.contract.rate;
        after.contract.fields.iter_mut().for_each(|field| field.rate = None);
        let mut before = terms.clone();
        before.contract.fields.iter_mut().for_each(|field| field.rate = None);
        let found = changes(&before.contract, &after.contract);
        if found.is_empty() || found.iter().any(|change| change.effect == Effect::Wider) {
            continue;
        }
        // What was agreed to for the earlier version holds as far as it is still left to the member.
        let is_optional = |name: &String| after.contract.field(name).is_some_and(|field| field.tier == Tier::Optional);
        let mut agreed = after.clone();
        agreed.optional = before.optional.iter().filter(|name| is_optional(name)).cloned().collect();
        for (at, (now, then)) in play(&agreed, &life).iter().zip(&play(&before, &life)).enumerate() {
            assert!(rank(now) <= rank(then), "seed {seed}, act {at}: {then:?} became {now:?}\n{found:#?}");
            less += u64::from(rank(now) < rank(then));
        }
    }
    assert!(less > lives() / 100, "{less}");
}
