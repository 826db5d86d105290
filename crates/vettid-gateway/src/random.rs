//! Randomness from outside: the operating system, asked each time and never stretched.

use getrandom::SysRng;
use rand_core::{Rng as _, UnwrapErr};

/// The system's generator. Stops the program if the system has no randomness to give.
pub(crate) fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Fresh bytes, such as for an id or a nonce.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    system().fill_bytes(&mut bytes);
    bytes
}
