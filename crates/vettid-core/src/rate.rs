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
    /// The rate whose `per_seconds` the level is in; `None`: that of whoever asks, in what was stored before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { level: capacity(rate), as_of: now, rate: Some(rate) }
    }

    /// An empty bucket.
    #[must_use]
    pub fn empty(now: Timestamp) -> Self {
        Self { level: 0, as_of: now, rate: None }
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
        let under_rate = self.under(rate);
        let missing = token(rate).saturating_sub(under_rate.level);
        let wait_ms = missing.div_ceil(u64::from(rate.count.max(1)));
        self.as_of.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX))
    }

    /// Takes so many tokens, or what is left of them.
    pub fn spend(&mut self, rate: Rate, tokens: u64) {
        *self = self.under(rate);
        self.level = self.level.saturating_sub(token(rate).saturating_mul(tokens));
    }

    /// The same number of tokens, rounded down, in the units of this rate: another rate fills no bucket.
    fn under(self, rate: Rate) -> Self {
        let before = u128::from(self.rate.map_or(token(rate), token).max(1));
        let level = u128::from(self.level) * u128::from(token(rate)) / before;
        Self { level: u64::try_from(level).unwrap_or(u64::MAX), rate: Some(rate), ..self }
    }

    fn refill(&mut self, rate: Rate, now: Timestamp) {
        *self = self.under(rate);
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

    #[test]
    fn another_rate_neither_fills_nor_empties_a_bucket() {
        let (hourly, slow) = (Rate { count: 100, per_seconds: 3600 }, Rate { count: 1, per_seconds: 60 });
        let mut bucket = Bucket::full(hourly, at(0));
        (0..100).for_each(|_| assert!(bucket.take(hourly, at(35_999))));
        // Almost a hundredth of the hour flowed in, and almost one token of a minute would be the same number.
        assert!(!bucket.take(slow, at(35_999)), "what is left is less than a token");
        let mut bucket = Bucket::full(slow, at(0));
        assert!(bucket.take(hourly, at(0)), "a token stays a token");
        assert!(!bucket.take(hourly, at(0)));
        assert_eq!(bucket.free_at(slow), at(60_000));
    }

    #[test]
    fn a_bucket_that_was_stored_without_its_rate_is_read_as_before() {
        let stored = r#"{"level":60000,"as_of":"1970-01-01T00:16:40.000Z"}"#;
        let mut bucket: Bucket = serde_json::from_str(stored).unwrap();
        assert!(bucket.take(RATE, at(0)) && !bucket.take(RATE, at(0)));
        let again: Bucket = serde_json::from_str(&serde_json::to_string(&bucket).unwrap()).unwrap();
        assert_eq!(again, bucket);
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
