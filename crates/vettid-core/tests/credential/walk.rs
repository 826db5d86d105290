//! Random walks with real cryptography: the searched rules and what stands around them agree.

use crate::sides::{Crash, SIGN, Sides, Told, payload};
use proptest::prelude::*;
use serde_json::json;
use vettid_core::credential::holder::Received;
use vettid_core::credential::holder::record::SlotName;
use vettid_wire::credential::UseRequest;
use vettid_wire::json;

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(bool),
    Deliver(Crash),
    DeliverOld(u8, Crash),
    Take(u8),
    TakeTorn(u8),
    Confirm,
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let crash = || prop_oneof![Just(Crash::Never), Just(Crash::BeforeCompare), Just(Crash::BeforeSecondCommit)];
    prop_oneof![
        3 => (0_u8..8).prop_map(|wrong| Step::Ask(wrong > 0)),
        4 => crash().prop_map(Step::Deliver),
        1 => (any::<u8>(), crash()).prop_map(|(n, crash)| Step::DeliverOld(n, crash)),
        4 => any::<u8>().prop_map(Step::Take),
        1 => any::<u8>().prop_map(Step::TakeTorn),
        2 => Just(Step::Confirm),
        1 => Just(Step::GiveUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// The searched rules and the cryptography around them agree: on any walk some slot opens, and each operation ran
    /// at most once.
    #[test]
    fn no_walk_locks_out_or_runs_twice(steps in proptest::collection::vec(step(), 1..40)) {
        let mut sides = Sides::new();
        let mut sent: Vec<UseRequest> = Vec::new();
        let mut answers: Vec<Vec<u8>> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(right) => {
                    let payload = payload(if right { 1 } else { 9 }, false);
                    sent.extend(sides.try_ask(SIGN, json!({}), payload, None).ok());
                }
                Step::Deliver(crash) | Step::DeliverOld(_, crash) if !sent.is_empty() => {
                    let request = match step {
                        Step::DeliverOld(n, _) => sent[usize::from(n) % sent.len()].clone(),
                        _ => sent[sent.len() - 1].clone(),
                    };
                    if let Some(Told::Result(bytes)) = sides.handle(&request, crash) {
                        answers.push(bytes);
                    }
                }
                Step::Take(n) if !answers.is_empty() => {
                    let back = usize::from(n) % answers.len().min(3);
                    let answer = answers[answers.len() - 1 - back].clone();
                    let _ = sides.take(&answer);
                }
                Step::TakeTorn(n) if !answers.is_empty() => {
                    let answer = answers[usize::from(n) % answers.len()].clone();
                    let before = [sides.slot_bytes(SlotName::A), sides.slot_bytes(SlotName::B)];
                    if let Ok(Received::Write { write, .. }) = sides.holder.receive(json::read(&answer).unwrap()) {
                        let [mut a, mut b] = before;
                        let torn = write.slot.to_bytes().unwrap().expose()[..50].to_vec();
                        if write.name == SlotName::A { a = Some(torn) } else { b = Some(torn) }
                        sides.load([a, b]);
                    }
                }
                Step::Confirm => { sides.confirm(); }
                Step::GiveUp => sides.holder.give_up(),
                _ => {}
            }
            sides.restart();
            let genuine = sides.holder.state().record.slots.iter().any(|(_, entry)| {
                sides.issuer.record().accepted(entry.version).is_some_and(|issue| issue.blob_hash == entry.blob_hash)
            });
            prop_assert!(genuine, "locked out: {:?} and {:?}", sides.versions(), sides.issuer.record());
            prop_assert!(sides.effects.values().all(|count| *count == 1), "{:?}", sides.effects);
        }
    }
}
