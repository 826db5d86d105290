//! The Vault Credential while processes are killed: an app and a vault as two real processes over real files, of which one
//! ends itself by SIGKILL before or after each durable step that the code names, and a driver who keeps the accounts.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests may fail loudly"
)]

mod app;
mod driver;
mod frame;
mod schedule;
mod vault;

use frame::Point;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One of the two processes; the driver starts it.
#[test]
#[ignore = "a process of the other test, not a test"]
fn child() {
    match std::env::var(driver::ROLE).as_deref() {
        Ok("app") => app::run(),
        Ok("vault") => vault::run(),
        _ => panic!("only the driver starts this"),
    }
}

fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// 1,000 schedules, or as many as `VETTID_SCHEDULES` says; `VETTID_SEED` repeats a run.
#[test]
fn whoever_is_killed_nothing_is_lost_done_twice_or_accepted_again() {
    let schedules = number_of("VETTID_SCHEDULES").unwrap_or(1000);
    let seed = number_of("VETTID_SEED").unwrap_or_else(rand::random);
    eprintln!("{schedules} schedules of seed {seed}");
    // SIGKILL leaves what was written to the system, so a disk in memory shows the same in less time.
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let bases = schedule::Bases::make(folder.path());
    let points = schedule::points();
    let (next, total) = (AtomicU64::new(0), Mutex::new(schedule::Seen::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= schedules {
                        return;
                    }
                    let target = &points[usize::try_from(number).unwrap() % points.len()];
                    let place = folder.path().join(number.to_string());
                    let seen = schedule::run(&bases, seed, number, target, &place);
                    std::fs::remove_dir_all(place).unwrap();
                    let mut total = total.lock().unwrap();
                    total.killed.extend(seen.killed);
                    total.deaths += seen.deaths;
                    total.effects += seen.effects;
                    total.stale += seen.stale;
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let spared: BTreeSet<&Point> = points.iter().filter(|point| !total.killed.contains(point)).collect();
    eprintln!(
        "{} deaths, {} effects, {} copies refused, {} of {} points",
        total.deaths,
        total.effects,
        total.stale,
        points.len() - spared.len(),
        points.len()
    );
    // Each point is the first target of as many schedules; a few tries may miss it, a dozen do not.
    if schedules >= 1000 {
        assert!(spared.is_empty(), "nobody died there: {spared:?}");
    }
}
