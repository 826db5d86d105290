//! How many events a rule met in the present period of its owner's calendar. A clock that is set back never begins a period
//! anew, and within one run of the machine a clock that is set forward ends none early.

use crate::credential::attempts::{BootId, Clocks};
use serde::{Deserialize, Serialize};
use vettid_wire::rule::Period;
use vettid_wire::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The day zero of the calendar was a Thursday: weeks begin three days earlier.
const MONDAY_MS: i64 = 3 * DAY_MS;
/// The wall clock may be set right by this much within one run, in milliseconds.
const CORRECTION_MS: i64 = 120_000;

/// What a rule that counts has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Number of the period, on the calendar.
    period: i64,
    /// Events met in it.
    met: u32,
    /// The time that was believed when it was last counted.
    as_of: Timestamp,
    /// The same moment on the clock that nobody can set.
    monotonic_ms: u64,
    /// The run in which that clock counts.
    boot_id: BootId,
}

/// A calendar: its periods and where they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// What is counted in.
    pub per: Period,
    /// Minutes by which the owner's clock is ahead of UTC.
    pub utc_offset_minutes: i32,
}

impl Counter {
    /// Events met in the present period.
    #[must_use]
    pub fn met(&self, calendar: Calendar, clocks: &Clocks) -> u32 {
        if calendar.number(self.believed(clocks)) > self.period { 0 } else { self.met }
    }

    /// The counter after one more event.
    #[must_use]
    pub fn after(before: Option<Self>, calendar: Calendar, clocks: &Clocks) -> Self {
        let as_of = before.map_or(clocks.now, |before| before.believed(clocks));
        let period = calendar.number(as_of).max(before.map_or(i64::MIN, |before| before.period));
        let met = before.map_or(0, |before| before.met(calendar, clocks)).saturating_add(1);
        Self { period, met, as_of, monotonic_ms: clocks.monotonic_ms, boot_id: clocks.boot_id }
    }

    /// The counter when it is not known how many events were met in the present period: no more may be.
    #[must_use]
    pub fn spent(before: Option<Self>, calendar: Calendar, clocks: &Clocks) -> Self {
        Self { met: u32::MAX, ..Self::after(before, calendar, clocks) }
    }

    /// The time as far as it can be believed: never earlier than before, and no faster than the clock that nobody can set.
    fn believed(&self, clocks: &Clocks) -> Timestamp {
        let passed_ms = clocks.monotonic_ms.saturating_sub(self.monotonic_ms);
        let passed_ms = i64::try_from(passed_ms).unwrap_or(i64::MAX).saturating_add(CORRECTION_MS);
        let latest = if clocks.boot_id == self.boot_id { self.as_of.plus_ms(passed_ms) } else { clocks.now };
        clocks.now.min(latest).max(self.as_of)
    }
}

impl Calendar {
    fn number(self, at: Timestamp) -> i64 {
        let local_ms = at.unix_ms().saturating_add(i64::from(self.utc_offset_minutes) * 60_000);
        match self.per {
            Period::Hour => local_ms.div_euclid(HOUR_MS),
            Period::Day => local_ms.div_euclid(DAY_MS),
            Period::Week => local_ms.saturating_add(MONDAY_MS).div_euclid(7 * DAY_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAYS: Calendar = Calendar { per: Period::Day, utc_offset_minutes: 60 };

    fn clocks(now: &str, monotonic_ms: u64, run: u8) -> Clocks {
        Clocks { now: now.parse().unwrap(), monotonic_ms, boot_id: BootId([run; 16]) }
    }

    #[test]
    fn a_day_ends_at_the_owners_midnight() {
        let at = clocks("2026-11-21T22:30:00.000Z", 0, 1);
        let counter = Counter::after(Some(Counter::after(None, DAYS, &at)), DAYS, &at);
        assert_eq!(counter.met(DAYS, &clocks("2026-11-21T22:59:59.999Z", 1_799_999, 1)), 2);
        assert_eq!(counter.met(DAYS, &clocks("2026-11-21T23:00:00.000Z", 1_800_000, 1)), 0);
    }

    #[test]
    fn a_week_begins_on_monday() {
        let weeks = Calendar { per: Period::Week, utc_offset_minutes: 0 };
        let sunday = Counter::after(None, weeks, &clocks("2026-11-22T23:59:59.000Z", 0, 1));
        assert_eq!(sunday.met(weeks, &clocks("2026-11-22T23:59:59.999Z", 999, 1)), 1);
        assert_eq!(sunday.met(weeks, &clocks("2026-11-23T00:00:00.000Z", 1_000, 1)), 0);
    }

    #[test]
    fn a_clock_that_is_set_gives_no_new_period() {
        let counter = Counter::after(None, DAYS, &clocks("2026-11-21T12:00:00.000Z", 0, 1));
        // Forward, in the same run.
        assert_eq!(counter.met(DAYS, &clocks("2026-12-21T12:00:00.000Z", 60_000, 1)), 1);
        // Back, in this run and in another.
        assert_eq!(counter.met(DAYS, &clocks("2026-11-01T12:00:00.000Z", 60_000, 1)), 1);
        assert_eq!(counter.met(DAYS, &clocks("2026-11-01T12:00:00.000Z", 0, 2)), 1);
        let back = Counter::after(Some(counter), DAYS, &clocks("2026-11-01T12:00:00.000Z", 0, 2));
        assert_eq!(back.met(DAYS, &clocks("2026-11-21T12:00:00.000Z", 0, 2)), 2);
    }

    proptest! {
        /// However the wall clock is set, the events of a run never fall into more days than have passed, and one.
        #[test]
        fn no_more_periods_than_time(steps in proptest::collection::vec((0u64..40_000_000, -200_000_000i64..200_000_000), 1..50)) {
            let (mut counter, mut monotonic_ms, mut periods) = (None, 0, 0);
            for (step_ms, wrong_ms) in steps {
                monotonic_ms += step_ms;
                let right = 1_800_000_000_000 + i64::try_from(monotonic_ms).unwrap();
                let now = Timestamp::from_unix_ms(right + wrong_ms);
                let next = Counter::after(counter, DAYS, &Clocks { now, monotonic_ms, boot_id: BootId([1; 16]) });
                periods += i64::from(next.met == 1);
                counter = Some(next);
                let corrections = 50 * CORRECTION_MS;
                prop_assert!(periods <= (i64::try_from(monotonic_ms).unwrap() + corrections) / DAY_MS + 2);
            }
        }
    }
}
