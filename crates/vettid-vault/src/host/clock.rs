//! The one place where the host reads the clock; everything else takes the time as an argument.

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_wire::time::Timestamp;

/// Now, in whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "the clock of this shell")]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The clocks of this machine at one moment.
#[must_use]
pub fn clocks() -> Clocks {
    Clocks { now: now(), monotonic_ms: since_boot_ms(), boot_id: run() }
}

/// Milliseconds since the machine was started, its sleep included. Nobody can set this clock.
fn since_boot_ms() -> u64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(since.tv_sec).unwrap_or(0), u64::try_from(since.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// This run of the program, drawn once. The clock of an earlier run may belong to an earlier start of the machine.
fn run() -> BootId {
    static RUN: OnceLock<BootId> = OnceLock::new();
    *RUN.get_or_init(|| {
        let mut id = [0; 16];
        UnwrapErr(SysRng).fill_bytes(&mut id);
        BootId(id)
    })
}
