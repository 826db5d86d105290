//! Token buckets: at most `count` in `per_seconds`, refilled evenly. Integer arithmetic on given times only;
//! a clock that goes back refills nothing.

use serde::{Deserialize, Serialize};
use vettid_wire::contract::Rate;
use vettid_wire::time::Timestamp;

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Thousandths of `per_seconds` times tokens: whole numbers whatever the rate.
    level: u64,
    as_of: Timestamp,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { level: capacity(rate), as_of: now }
    }

    /// An empty bucket.
    #[must_use]
    pub fn empty(now: Timestamp) -> Self {
        Self { level: 0, as_of: now }
    }

    /// Takes one token; `false` when none is left.
    #[must_use]
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> bool {
        let has = self.has(rate, 1, now);
        if has {
            self.spend(rate, 1);
        }
        has
    }

    /// Whether so many tokens are there.
    #[must_use]
    pub fn has(&mut self, rate: Rate, tokens: u64, now: Timestamp) -> bool {
        self.refill(rate, now);
        self.level >= token(rate).saturating_mul(tokens)
    }

    /// When the next token is there, as of the last time that was looked.
    #[must_use]
    pub fn free_at(&self, rate: Rate) -> Timestamp {
        let missing = token(rate).saturating_sub(self.level);
        let wait_ms = missing.div_ceil(u64::from(rate.count.max(1)));
        self.as_of.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX))
    }

    /// Takes so many tokens, or what is left of them.
    pub fn spend(&mut self, rate: Rate, tokens: u64) {
        self.level = self.level.saturating_sub(token(rate).saturating_mul(tokens));
    }

    fn refill(&mut self, rate: Rate, now: Timestamp) {
        let elapsed_ms = u64::try_from(now.since_ms(self.as_of)).unwrap_or(0);
        let gained = elapsed_ms.saturating_mul(u64::from(rate.count));
        self.level = self.level.saturating_add(gained).min(capacity(rate));
        self.as_of = self.as_of.max(now);
    }
}

/// One token: the milliseconds in which the whole bucket refills.
fn token(rate: Rate) -> u64 {
    u64::from(rate.per_seconds).saturating_mul(1000)
}

fn capacity(rate: Rate) -> u64 {
    token(rate).saturating_mul(u64::from(rate.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { count: 3, per_seconds: 60 };

    #[test]
    fn an_empty_bucket_gives_nothing_until_it_refills() {
        let mut bucket = Bucket::empty(at(0));
        assert!(!bucket.take(RATE, at(0)) && !bucket.take(RATE, at(19_999)));
        assert!(bucket.take(RATE, at(20_000)) && !bucket.take(RATE, at(20_000)));
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn gives_count_and_then_refills_evenly() {
        let mut bucket = Bucket::full(RATE, at(0));
        let taken: Vec<bool> = (0..4).map(|_| bucket.take(RATE, at(0))).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!bucket.take(RATE, at(19_999)));
        assert_eq!(bucket.free_at(RATE), at(20_000));
        assert!(bucket.take(RATE, at(20_000)));
        assert!(!bucket.take(RATE, at(20_001)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::full(RATE, at(0));
        for _ in 0..3 {
            assert!(bucket.take(RATE, at(0)));
        }
        assert!(!bucket.take(RATE, at(-1_000_000)));
        assert!(!bucket.take(RATE, at(1)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_in_any_period(
            steps in proptest::collection::vec(0i64..30_000, 1..100), count in 1u32..10, per_seconds in 1u32..100,
        ) {
            let rate = Rate { count, per_seconds };
            let mut bucket = Bucket::full(rate, at(0));
            let (mut now, mut granted) = (0, 0u64);
            for step in steps {
                now += step;
                granted += u64::from(bucket.take(rate, at(now)));
                let most = u64::from(count) + u64::try_from(now).unwrap() * u64::from(count) / (u64::from(per_seconds) * 1000);
                prop_assert!(granted <= most);
            }
        }
    }
}
