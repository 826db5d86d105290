//! A vault with 10 connections beside one with 10,000, in the same rounds: what the owner's commands and a peer's message take
//! in the vault itself, from the sealed event to the commit applied. No broker is between, whose own time
//! would hide the difference. Each answer is checked, and one wrong answer ends the run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench may fail loudly, and reads the clock"
)]

#[path = "../../tests/world/app.rs"]
mod app;
mod crowd;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/node.rs"]
mod node;
mod report;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/shop.rs"]
mod shop;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/town.rs"]
mod town;

use crowd::{Crowd, Work};
use report::{Report, Sizes};
use std::collections::BTreeMap;
use std::time::Duration;

const FEW: usize = 10;
const MANY: usize = 10_000;
const ROUNDS: usize = 20;
/// How often each work is done in one round.
const EACH: usize = 25;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds this; without it a test runner only wants to know what there is.
    if !arguments.iter().any(|word| word == "--bench") {
        return;
    }
    let mut crowds = [Crowd::new(FEW), Crowd::new(MANY)];
    // The first copies may take what is free in the process already.
    let first = [(); 4].map(|()| crowds[1].second_copy());
    let loaded = resident_bytes_of(|| [(); 4].map(|()| crowds[1].second_copy())) / 4;
    drop(first);
    let mut times: [BTreeMap<Work, Vec<Duration>>; 2] = Default::default();
    for round in 0..=ROUNDS {
        for (crowd, times) in crowds.iter_mut().zip(&mut times) {
            for work in Work::ALL {
                let samples: Vec<_> = (0..EACH).map(|_| crowd.one(work)).collect();
                // The first round warms up.
                times.entry(work).or_default().extend(samples.into_iter().filter(|_| round > 0));
            }
        }
    }
    let sizes = Sizes { connections: MANY - FEW, resident: loaded, stored: crowds[1].stored_bytes() };
    let report = Report::of(times, &sizes);
    report.write();
    report.print(arguments.iter().any(|word| word == "--json"));
}

/// How much memory of this process something takes.
fn resident_bytes_of<T>(make: impl FnOnce() -> T) -> u64 {
    let before = resident_bytes();
    let made = make();
    let bytes = resident_bytes().saturating_sub(before);
    drop(made);
    bytes
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
