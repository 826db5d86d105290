//! Plays back the randomness of the known answers.

use std::collections::VecDeque;
use std::convert::Infallible;

/// Randomness that was written down beforehand. Panics when it is used up.
pub(crate) struct Script(VecDeque<u8>);

impl Script {
    /// Plays these pieces, one after the other.
    pub(crate) fn of(pieces: &[&[u8]]) -> Self {
        Self(pieces.concat().into())
    }

    /// Whether everything was used.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl rand::TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.0.pop_front().unwrap();
        }
        Ok(())
    }
}

impl rand::TryCryptoRng for Script {}
