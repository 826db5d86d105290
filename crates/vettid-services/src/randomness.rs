//! The one place where services draw randomness: the system's generator.

use getrandom::SysRng;
use rand_core::{TryRng as _, UnwrapErr};

/// The system's generator, as everything below the shells takes it.
pub(crate) type SystemRandomness = UnwrapErr<SysRng>;

/// The system's generator.
#[must_use]
pub(crate) fn system() -> SystemRandomness {
    UnwrapErr(SysRng)
}

/// Whether the system gives randomness now; asked before anything secret is made.
pub(crate) fn check() -> Result<(), getrandom::Error> {
    SysRng.try_next_u64().map(drop)
}
