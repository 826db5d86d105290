//! How much a key may call: a bucket that fills evenly and holds what a minute allows. Pure.

use vettid_wire::time::Timestamp;

/// The time in which an empty bucket fills, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// Calls that the bucket holds.
    pub most: u32,
    /// Calls that may be made at once.
    pub left: u32,
    /// The next call may be made after this time, in milliseconds; 0 at once.
    pub wait_ms: i64,
    /// The bucket is full again after this time, in milliseconds.
    pub full_after_ms: i64,
}

/// A bucket. Counts in parts of a call: a call is 60 000 of them, a millisecond brings as many as calls are allowed a minute.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_minute: u32,
    parts: i64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(now: Timestamp, per_minute: u32) -> Self {
        Self { per_minute, parts: i64::from(per_minute) * MINUTE_MS, at: now }
    }

    /// Takes a call out of the bucket; `Err`: it does not hold one, and nothing was taken.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<Level, Level> {
        let full = i64::from(self.per_minute) * MINUTE_MS;
        let passed_ms = now.since_ms(self.at).clamp(0, MINUTE_MS);
        self.parts = (self.parts + passed_ms * i64::from(self.per_minute)).min(full);
        self.at = now;
        if self.parts < MINUTE_MS {
            return Err(self.level());
        }
        self.parts -= MINUTE_MS;
        Ok(self.level())
    }

    fn level(&self) -> Level {
        let a_ms = i64::from(self.per_minute).max(1);
        let after = |parts: i64| (parts.max(0) + a_ms - 1) / a_ms;
        Level {
            most: self.per_minute,
            left: u32::try_from(self.parts / MINUTE_MS).unwrap_or(u32::MAX),
            wait_ms: after(MINUTE_MS - self.parts),
            full_after_ms: after(i64::from(self.per_minute) * MINUTE_MS - self.parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn a_minute_holds_what_it_allows_and_fills_evenly() {
        let mut bucket = Bucket::new(at(0), 3);
        let left: Vec<_> = (0..3).map(|_| bucket.take(at(0)).unwrap().left).collect();
        assert_eq!(left, [2, 1, 0]);
        let empty = bucket.take(at(0)).unwrap_err();
        assert_eq!((empty.left, empty.wait_ms, empty.full_after_ms), (0, 20_000, 60_000));
        assert_eq!(bucket.take(at(19_999)).unwrap_err().wait_ms, 1);
        assert_eq!(bucket.take(at(20_000)).unwrap().left, 0);
        assert!(bucket.take(at(20_001)).is_err());
        assert_eq!(bucket.take(at(10_000_000)).unwrap().left, 2, "never more than a minute's worth");
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing() {
        let mut bucket = Bucket::new(at(100_000), 1);
        bucket.take(at(100_000)).unwrap();
        assert!(bucket.take(at(0)).is_err());
        assert!(bucket.take(at(59_999)).is_err());
        assert!(bucket.take(at(60_000)).is_ok());
    }
}
