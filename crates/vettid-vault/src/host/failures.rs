//! What went wrong with the events of one vault, kept while the vault is loaded again: what fails time after time goes into quarantine,
//! and what was in hand when the program fell is handled alone from then on. Only what is handled, or put away, is forgotten.

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// After so many failures an event that cannot be handled is put into quarantine.
const MOST_FAILURES: u32 = 5;
/// Events whose failures are counted at once; what fails beyond that comes again until there is a place.
const MOST_FAILING: usize = 1_024;
/// A vault that stopped is loaded again after this time.
pub(super) const RESTART_AFTER: Duration = Duration::from_secs(1);
/// A vault that falls again and again is loaded again after up to this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A vault that ran for so long has got over its falls. Much longer than all pauses between those that one event leads to.
const GOT_OVER_AFTER: Duration = Duration::from_secs(900);

/// What becomes of an event that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is tried again.
    Again,
    /// It failed too often.
    TooOften,
}

/// The failures of one vault.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// How often events could not be handled, by their place in the inbox.
    counts: HashMap<u64, u32>,
    /// Events that were in hand when the program fell.
    suspects: HashSet<u64>,
    /// Falls in a row, and the time of the last one.
    falls: u32,
    fell_at: Option<Instant>,
}

impl Failures {
    /// An event could not be handled.
    pub(super) fn failed(&mut self, sequence: u64) -> Failed {
        if !self.counts.contains_key(&sequence) && self.counts.len() >= MOST_FAILING {
            return Failed::Again;
        }
        let count = self.counts.entry(sequence).or_default();
        *count += 1;
        if *count >= MOST_FAILURES { Failed::TooOften } else { Failed::Again }
    }

    /// The event is handled, or put away.
    pub(super) fn forget(&mut self, sequence: u64) {
        self.counts.remove(&sequence);
        self.suspects.remove(&sequence);
    }

    /// The program fell with these events in hand; one of them may be why.
    pub(super) fn fell(&mut self, now: Instant, in_hand: impl IntoIterator<Item = u64>) {
        if self.fell_at.is_some_and(|last| now.duration_since(last) >= GOT_OVER_AFTER) {
            self.falls = 0;
        }
        (self.falls, self.fell_at) = (self.falls.saturating_add(1), Some(now));
        for sequence in in_hand {
            self.failed(sequence);
            if self.counts.contains_key(&sequence) {
                self.suspects.insert(sequence);
            }
        }
    }

    /// Whether an event is handled in a batch of its own.
    pub(super) fn is_suspect(&self, sequence: u64) -> bool {
        self.suspects.contains(&sequence)
    }

    /// Whether an event is not tried any more.
    pub(super) fn is_spent(&self, sequence: u64) -> bool {
        self.counts.get(&sequence).is_some_and(|count| *count >= MOST_FAILURES)
    }

    /// How long the vault rests before it is loaded again. The first falls, which one event may lead to, are followed by short rests.
    pub(super) fn rest(&self) -> Duration {
        let further = self.falls.saturating_sub(MOST_FAILURES).min(16);
        (RESTART_AFTER * 2_u32.pow(further)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_fails_five_times_and_a_handled_one_begins_anew() {
        let mut failures = Failures::default();
        for _ in 0..2 {
            for _ in 1..MOST_FAILURES {
                assert_eq!((failures.failed(7), failures.is_spent(7)), (Failed::Again, false));
            }
            assert_eq!((failures.failed(7), failures.is_spent(7)), (Failed::TooOften, true));
            failures.forget(7);
        }
        assert!(!failures.is_suspect(7));
    }

    #[test]
    fn what_was_in_hand_at_a_fall_is_suspect_until_it_is_handled() {
        let mut failures = Failures::default();
        let begin = Instant::now();
        for number in 0..MOST_FAILURES {
            assert!(!failures.is_spent(1), "{number}");
            failures.fell(begin, [1, 2]);
            failures.forget(2);
        }
        assert_eq!((failures.is_suspect(1), failures.is_spent(1)), (true, true));
        assert_eq!((failures.is_suspect(2), failures.is_spent(2)), (false, false));
    }

    #[test]
    fn no_more_events_are_counted_than_the_bound() {
        let (mut failures, bound) = (Failures::default(), u64::try_from(MOST_FAILING).unwrap());
        failures.fell(Instant::now(), 0..bound + 1);
        assert_eq!((failures.is_suspect(bound - 1), failures.is_suspect(bound)), (true, false));
        for _ in 0..MOST_FAILURES {
            assert_eq!(failures.failed(bound), Failed::Again);
        }
        failures.forget(0);
        failures.fell(Instant::now(), [bound]);
        assert!(failures.is_suspect(bound));
    }

    #[test]
    fn rests_are_short_for_one_event_and_then_grow_up_to_a_bound_until_the_vault_got_over_it() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        assert_eq!(failures.rest(), RESTART_AFTER);
        let mut rests = Vec::new();
        for _ in 0..40 {
            failures.fell(now, []);
            rests.push(failures.rest().as_secs());
            now += Duration::from_secs(1);
        }
        assert_eq!(rests[..9], [1, 1, 1, 1, 1, 2, 4, 8, 16]);
        assert_eq!(rests.last(), Some(&LONGEST_PAUSE.as_secs()));
        failures.fell(now + GOT_OVER_AFTER, []);
        assert_eq!(failures.rest(), RESTART_AFTER);
    }
}
