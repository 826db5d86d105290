//! Several fields in one request: each is decided as the reference decides it alone, at the same moment and in the same order.

use crate::life::{Act, Life, Terms, other_hash};
use crate::{lives, reference};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::HashSet;
use vettid_core::contract::{Breach, Buckets, Spent, read_fields};
use vettid_wire::contract::Retention;
use vettid_wire::time::Timestamp;

type Asked = (String, Option<Retention>);

/// Random requests for fields of the contract and others, none twice in a request.
fn requests(terms: &Terms, life: &Life, rng: &mut StdRng) -> Vec<(Timestamp, bool, Vec<Asked>)> {
    let mut requests = Vec::new();
    for (at, _) in &life.acts {
        let reads = Life::random(terms, rng).acts.into_iter().filter_map(|(_, act)| match act {
            Act::Read { field, retention, .. } => Some((field, retention)),
            _ => None,
        });
        let mut named = HashSet::new();
        let fields = reads.filter(|(field, _)| named.insert(field.clone())).collect();
        requests.push((*at, rng.random_range(0..8) > 0, fields));
    }
    requests
}

#[test]
fn a_request_for_several_fields_gives_what_each_of_them_alone_would() {
    let (mut granted, mut mixed) = (0u64, 0u64);
    for seed in 0..lives() / 10 {
        let mut rng = StdRng::seed_from_u64(seed);
        let terms = Terms::random(&mut rng);
        let life = Life::random(&terms, &mut rng);
        let requests = requests(&terms, &life, &mut rng);
        let one_by_one = requests.iter().flat_map(|(at, quotes_own, fields)| {
            let read = |(field, retention): &Asked| {
                (*at, Act::Read { field: field.clone(), quotes_own: *quotes_own, retention: *retention })
            };
            fields.iter().map(read).collect::<Vec<_>>()
        });
        let mut wanted = reference::play(&terms, &Life { acts: one_by_one.collect() }).into_iter();
        let accepted = terms.accepted();
        let (mut buckets, mut spent) = (Buckets::default(), Spent::default());
        for (at, quotes_own, fields) in &requests {
            let hash = if *quotes_own { accepted.contract_hash.clone() } else { other_hash() };
            let asked: Vec<_> = fields.iter().map(|(field, retention)| (field.as_str(), *retention)).collect();
            let decided = read_fields(*at, &accepted, (&mut buckets, &spent), &hash, &asked);
            let decided = decided.unwrap_or_else(|breach| vec![Err(breach); fields.len()]);
            assert_eq!(decided.len(), fields.len());
            for ((field, _), decision) in fields.iter().zip(&decided) {
                if decision.is_ok() {
                    spent.served(&accepted, field);
                }
                assert_eq!(Some(decision.map(Some)), wanted.next(), "seed {seed}: {terms:#?} {requests:#?}");
            }
            let given = decided.iter().filter(|decision| decision.is_ok()).count();
            granted += given as u64;
            mixed += u64::from(given > 0 && given < decided.len());
            assert!(*quotes_own || decided.iter().all(|decision| *decision == Err(Breach::NotCurrent)));
        }
    }
    assert!(granted > lives() / 10 && mixed > lives() / 100, "{granted} {mixed}");
}
