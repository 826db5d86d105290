//! Replay windows (spec §3 R5): each sequence of a peer has an effect at most once, and late arrivals within
//! the window are still taken. Pure; the window is stored in the commit that carries the effect.

use serde::{Deserialize, Serialize};

/// Sequences behind the highest one that are still told apart.
pub const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// What the window says of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Not seen yet, and now marked.
    New,
    /// Seen before: answer again if there is an answer, no second effect.
    Seen,
    /// Too old to tell: drop.
    TooOld,
}

/// The sequences seen from one peer in one incarnation and epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    highest: u64,
    /// Bit `n % 1024` belongs to sequence `n`, for the last 1,024 sequences.
    bits: [u64; WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Self { highest: 0, bits: [0; WORDS] }
    }
}

impl Window {
    /// Marks a sequence (from 1) and says whether it was new.
    pub fn mark(&mut self, sequence: u64) -> Freshness {
        let freshness = self.check(sequence);
        if freshness == Freshness::New {
            self.advance_to(sequence);
            self.set(sequence, true);
        }
        freshness
    }

    /// Says what [`Self::mark`] would say, without marking.
    #[must_use]
    pub fn check(&self, sequence: u64) -> Freshness {
        if sequence > self.highest {
            return Freshness::New;
        }
        if sequence == 0 || self.highest - sequence >= WINDOW {
            return Freshness::TooOld;
        }
        if self.get(sequence) { Freshness::Seen } else { Freshness::New }
    }

    /// Takes a mark back: the event will come again.
    pub fn unmark(&mut self, sequence: u64) {
        if self.check(sequence) == Freshness::Seen {
            self.set(sequence, false);
        }
    }

    fn advance_to(&mut self, sequence: u64) {
        if sequence <= self.highest {
            return;
        }
        if sequence - self.highest >= WINDOW {
            self.bits = [0; WORDS];
        } else {
            (self.highest + 1..=sequence).for_each(|passed| self.set(passed, false));
        }
        self.highest = sequence;
    }

    fn get(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, sequence: u64, value: bool) {
        let (word, bit) = place(sequence);
        if let Some(bits) = self.bits.get_mut(word) {
            if value { *bits |= bit } else { *bits &= !bit }
        }
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let position = sequence % WINDOW;
    (usize::try_from(position / 64).unwrap_or(0), 1 << (position % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The window as a plain set.
    #[derive(Default)]
    struct Reference(BTreeSet<u64>);

    impl Reference {
        fn mark(&mut self, sequence: u64) -> Freshness {
            let highest = self.0.last().copied().unwrap_or(0);
            if sequence == 0 || (sequence <= highest && highest - sequence >= WINDOW) {
                return Freshness::TooOld;
            }
            if self.0.insert(sequence) { Freshness::New } else { Freshness::Seen }
        }
    }

    #[test]
    fn the_edge_of_the_window() {
        let mut window = Window::default();
        assert_eq!(window.mark(2000), Freshness::New);
        assert_eq!(window.mark(2000 - WINDOW), Freshness::TooOld);
        assert_eq!(window.mark(2001 - WINDOW), Freshness::New);
        assert_eq!(window.mark(2001 - WINDOW), Freshness::Seen);
        assert_eq!(window.mark(0), Freshness::TooOld);
        assert_eq!(window.mark(u64::MAX), Freshness::New);
        assert_eq!(window.mark(2000), Freshness::TooOld);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn equals_a_set(steps in proptest::collection::vec((0u64..5000, 0u64..40), 1..200)) {
            let (mut window, mut reference) = (Window::default(), Reference::default());
            for (base, offset) in steps {
                let sequence = base + offset;
                prop_assert_eq!(window.mark(sequence), reference.mark(sequence));
            }
        }
    }
}
