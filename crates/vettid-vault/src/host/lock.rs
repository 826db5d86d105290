//! The lock of a vault at rest, on its host (decisions 0105 and 0106): the lock records, the unlock lane that works while a
//! vault is locked, and what the host does when one is unlocked. Must never keep a storage key that its member locked.

pub(super) mod keeper;
pub(super) mod record;

use super::clock;
use std::sync::OnceLock;
use std::time::Instant;
use vettid_core::credential::attempts::{BootId, Clocks};

/// The clocks of this process. The monotonic one stands still while the machine sleeps, so a wait can only become longer.
fn clocks() -> Clocks {
    static START: OnceLock<(Instant, BootId)> = OnceLock::new();
    let (start, boot_id) = START.get_or_init(|| (Instant::now(), BootId(boot())));
    let monotonic_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Clocks { now: clock::now(), monotonic_ms, boot_id: *boot_id }
}

fn boot() -> [u8; 16] {
    use rand_core::Rng;
    let mut bytes = [0; 16];
    rand_core::UnwrapErr(getrandom::SysRng).fill_bytes(&mut bytes);
    bytes
}
