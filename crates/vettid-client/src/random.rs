//! Randomness of the operating system (spec 2.0). Must never be replaced by a generator in user space.

use rand_core::{Infallible, TryCryptoRng, TryRng};

/// The operating system's generator. A system that cannot give randomness any more ends the program: going on with
/// bytes that may be known to others would be worse.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom(());

/// The operating system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct NoRandomness(getrandom::Error);

impl SystemRandom {
    /// The generator, after a first draw that worked.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new() -> Result<Self, NoRandomness> {
        getrandom::fill(&mut [0; 32]).map_err(NoRandomness)?;
        Ok(Self(()))
    }
}

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if getrandom::fill(out).is_err() {
            std::process::abort();
        }
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

/// `N` fresh bytes.
pub(crate) fn bytes<const N: usize>(rng: &mut dyn rand_core::CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn draws_differ() {
        let mut rng = SystemRandom::new().unwrap();
        let (one, other): ([u8; 16], [u8; 16]) = (bytes(&mut rng), bytes(&mut rng));
        assert_ne!(one, other);
        assert_ne!(rng.next_u64(), rng.next_u64());
    }
}
