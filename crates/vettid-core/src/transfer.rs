//! Fetching a file piece by piece: which pieces to ask for now, and when to ask again. Pure: it never sees a piece. What was not
//! asked for is not wanted, and a peer that does not answer is asked less and less often.

use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::time::Timestamp;

/// Pieces that are asked for and not here yet, at most.
pub const WINDOW: usize = 4;
/// A piece that did not come for this long is asked for again, in milliseconds; doubled while nothing comes at all.
pub const FIRST_PATIENCE_MS: i64 = 3_000;
/// Longest time between two tries, in milliseconds (five minutes).
pub const LONGEST_PATIENCE_MS: i64 = 300_000;

/// What becomes of a piece that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was asked for and is to be stored.
    Wanted,
    /// Nobody asked for it, or it is here or being stored already.
    Unasked,
}

/// One file on its way here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pieces: u32,
    here: BTreeSet<u32>,
    /// Since when each piece is asked for.
    asked: BTreeMap<u32, Timestamp>,
    /// Pieces that came and are not stored yet.
    storing: BTreeSet<u32>,
    patience_ms: i64,
    /// Nothing is asked for before this time.
    not_before: Option<Timestamp>,
}

impl Fetch {
    /// A file of so many pieces, some of which are here already.
    #[must_use]
    pub fn new(pieces: u32, here: &BTreeSet<u32>) -> Self {
        let here = here.iter().copied().filter(|index| *index < pieces).collect();
        let (asked, storing) = (BTreeMap::new(), BTreeSet::new());
        Self { pieces, here, asked, storing, patience_ms: FIRST_PATIENCE_MS, not_before: None }
    }

    /// The pieces to ask for now; they count as asked for.
    #[must_use]
    pub fn next(&mut self, now: Timestamp) -> Vec<u32> {
        let before = self.asked.len();
        let patience_ms = self.patience_ms;
        self.asked.retain(|_, since| (0..patience_ms).contains(&now.since_ms(*since)));
        if before > 0 && self.asked.is_empty() {
            // All of them were lost: the peer is away, or the network is.
            self.not_before = Some(now.plus_ms(self.patience_ms));
            self.patience_ms = (self.patience_ms * 2).min(LONGEST_PATIENCE_MS);
        }
        // A clock that was set back waits no longer than the longest time.
        let waits = |at: Timestamp| at > now && at.since_ms(now) <= LONGEST_PATIENCE_MS;
        if self.not_before.is_some_and(waits) {
            return Vec::new();
        }
        let room = WINDOW.saturating_sub(self.asked.len() + self.storing.len());
        let is_open = |index: &u32| {
            !self.here.contains(index) && !self.asked.contains_key(index) && !self.storing.contains(index)
        };
        let next: Vec<u32> = (0..self.pieces).filter(is_open).take(room).collect();
        self.asked.extend(next.iter().map(|index| (*index, now)));
        next
    }

    /// Whether this piece is waited for.
    #[must_use]
    pub fn is_asked(&self, index: u32) -> bool {
        self.asked.contains_key(&index)
    }

    /// A piece came that is what its manifest says.
    pub fn arrived(&mut self, index: u32) -> Arrival {
        if self.asked.remove(&index).is_none() {
            return Arrival::Unasked;
        }
        self.storing.insert(index);
        (self.patience_ms, self.not_before) = (FIRST_PATIENCE_MS, None);
        Arrival::Wanted
    }

    /// A piece came that is not what its manifest says: it is asked for again, later.
    pub fn is_wrong(&mut self, index: u32, now: Timestamp) {
        if self.asked.remove(&index).is_some() {
            self.not_before = Some(now.plus_ms(self.patience_ms));
            self.patience_ms = (self.patience_ms * 2).min(LONGEST_PATIENCE_MS);
        }
    }

    /// A piece is stored, or could not be and has to come again.
    pub fn stored(&mut self, index: u32, is_stored: bool) {
        self.storing.remove(&index);
        if is_stored && index < self.pieces {
            self.here.insert(index);
        }
    }

    /// A while is waited before the next piece is asked for.
    pub fn pause(&mut self, now: Timestamp) {
        self.not_before = Some(now.plus_ms(LONGEST_PATIENCE_MS));
    }

    /// So many pieces are here.
    #[must_use]
    pub fn here(&self) -> u32 {
        u32::try_from(self.here.len()).unwrap_or(u32::MAX)
    }

    /// Whether every piece is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.here() == self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000 + ms)
    }

    #[test]
    fn a_few_pieces_are_under_way_at_once_and_only_what_is_missing_is_asked_for() {
        let mut fetch = Fetch::new(7, &[1, 9].into());
        assert_eq!(fetch.here(), 1);
        assert_eq!(fetch.next(at(0)), [0, 2, 3, 4]);
        assert!(fetch.next(at(1)).is_empty());
        assert_eq!(
            (fetch.arrived(2), fetch.arrived(2), fetch.arrived(6)),
            (Arrival::Wanted, Arrival::Unasked, Arrival::Unasked)
        );
        assert!(fetch.next(at(2)).is_empty(), "it is not stored yet");
        fetch.stored(2, true);
        assert_eq!(fetch.next(at(3)), [5]);
        assert_eq!(fetch.arrived(5), Arrival::Wanted);
        fetch.stored(5, false);
        assert_eq!(fetch.next(at(4)), [5], "what was not stored comes again");
    }

    #[test]
    fn a_peer_that_is_away_is_asked_less_and_less_often() {
        let (mut fetch, mut now, mut asked) = (Fetch::new(3, &BTreeSet::new()), 0, Vec::new());
        while now < 3_600_000 {
            if !fetch.next(at(now)).is_empty() {
                asked.push(now);
            }
            now += 1_000;
        }
        let pauses: Vec<i64> = asked.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(pauses.len() > 5 && pauses.len() < 20, "{pauses:?}");
        assert!(*pauses.last().unwrap() <= 2 * LONGEST_PATIENCE_MS + 1_000, "{pauses:?}");
        // It is back: from now on everything goes at once.
        let next = (0..).map(|n| fetch.next(at(now + n * 1_000))).find(|next| !next.is_empty()).unwrap();
        assert_eq!(fetch.arrived(next[0]), Arrival::Wanted);
        fetch.stored(next[0], true);
        assert_eq!(fetch.patience_ms, FIRST_PATIENCE_MS);
    }

    #[test]
    fn a_wrong_piece_is_asked_for_again_but_not_at_once() {
        let mut fetch = Fetch::new(1, &BTreeSet::new());
        assert_eq!(fetch.next(at(0)), [0]);
        fetch.is_wrong(0, at(1));
        assert!(fetch.next(at(2)).is_empty());
        assert_eq!(fetch.next(at(1 + FIRST_PATIENCE_MS)), [0]);
    }

    proptest! {
        /// Whatever is lost, repeated, wrong or not stored: in the end everything is here, with a bounded number under way.
        #[test]
        fn everything_arrives_in_the_end(pieces in 1u32..40, fates in proptest::collection::vec(0u8..5, 1..200)) {
            let (mut fetch, mut now) = (Fetch::new(pieces, &BTreeSet::new()), 0);
            let mut fates = fates.into_iter();
            for _ in 0..10_000 {
                if fetch.is_complete() {
                    break;
                }
                for index in fetch.next(at(now)) {
                    match fates.next() {
                        Some(0) => {}
                        Some(1) => fetch.is_wrong(index, at(now)),
                        Some(2) => {
                            prop_assert_eq!(fetch.arrived(index), Arrival::Wanted);
                            fetch.stored(index, false);
                        }
                        _ => {
                            prop_assert_eq!(fetch.arrived(index), Arrival::Wanted);
                            prop_assert_eq!(fetch.arrived(index), Arrival::Unasked);
                            fetch.stored(index, true);
                        }
                    }
                    prop_assert!(fetch.asked.len() + fetch.storing.len() <= WINDOW);
                }
                now += 1_000;
            }
            prop_assert!(fetch.is_complete());
        }
    }
}
