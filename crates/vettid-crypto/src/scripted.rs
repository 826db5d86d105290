//! Test hook: randomness that was written down beforehand, for known answers.

use std::collections::VecDeque;
use std::convert::Infallible;

/// Gives out a script byte by byte, or counts upwards. Panics when a script is used up.
pub(crate) struct Scripted {
    script: VecDeque<u8>,
    counter: Option<u8>,
}

impl Scripted {
    pub(crate) fn counting() -> Self {
        Self { script: VecDeque::new(), counter: Some(0) }
    }
}

impl Scripted {
    /// Gives out these bytes, in this order.
    pub(crate) fn playing(pieces: &[&[u8]]) -> Self {
        Self { script: pieces.concat().into(), counter: None }
    }
}

impl rand_core::TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = match self.counter.as_mut() {
                Some(counter) => {
                    *counter = counter.wrapping_add(1);
                    *counter
                }
                None => self.script.pop_front().expect("the script has another byte"),
            };
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Scripted {}
