//! The clocks of services at one moment: the wall clock, and one that nobody can set, for waits after wrong passwords.

use crate::randomness;
use rand_core::Rng as _;
use std::sync::OnceLock;
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_nats::clock;

/// Now.
#[must_use]
pub(crate) fn clocks() -> Clocks {
    Clocks { now: clock::now(), monotonic_ms: since_boot_ms(), boot_id: run() }
}

/// Milliseconds since the machine was started, its sleep included.
fn since_boot_ms() -> u64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(since.tv_sec).unwrap_or(0), u64::try_from(since.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// This run of the program, drawn once.
fn run() -> BootId {
    static RUN: OnceLock<BootId> = OnceLock::new();
    *RUN.get_or_init(|| {
        let mut id = [0; 16];
        randomness::system().fill_bytes(&mut id);
        BootId(id)
    })
}
