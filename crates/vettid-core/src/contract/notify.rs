//! Messages of a service: how many of them a contract lets through in any hour. What was let through is remembered with its
//! time, so the number holds for every hour and not on average; a clock that goes back makes no room.

use super::{AcceptedContract, Breach, Buckets, check_current, check_permission, take_overall};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Permission;
use vettid_wire::time::Timestamp;

/// An hour in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// What was let through, the oldest first; never more than one hour has room for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(VecDeque<Timestamp>);

/// A message is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSent {
    /// The check that failed.
    pub breach: Breach,
    /// There is room again then, if it was for want of room.
    pub retry_at: Option<Timestamp>,
}

impl From<Breach> for NotSent {
    fn from(breach: Breach) -> Self {
        Self { breach, retry_at: None }
    }
}

impl Hour {
    /// So many just now: it is not known how many there were.
    pub(super) fn full(number: u32, now: Timestamp) -> Self {
        Self((0..number).map(|_| now).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When there is room for one more of `number` in an hour; `None`: now.
    fn free_at(&self, number: u32, now: Timestamp) -> Option<Timestamp> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        // The one that has to be an hour old, so that fewer than `number` are younger.
        let last = self.0.len().checked_sub(number)?;
        let now = self.not_before(now);
        let until = self.0.get(last).map_or_else(|| now.plus_ms(HOUR_MS), |at| at.plus_ms(HOUR_MS));
        (until > now).then_some(until)
    }

    fn take(&mut self, now: Timestamp) {
        let now = self.not_before(now);
        self.0.retain(|at| at.plus_ms(HOUR_MS) > now);
        self.0.push_back(now);
    }

    fn not_before(&self, now: Timestamp) -> Timestamp {
        self.0.back().map_or(now, |latest| now.max(*latest))
    }
}

/// Decides a message. `is_known` says that it was let through before: it counts against the contract's rate, and not against
/// the number of the hour.
pub fn send_message(
    now: Timestamp,
    accepted: &AcceptedContract,
    buckets: &mut Buckets,
    quoted_hash: &Base64Url,
    is_known: bool,
) -> Result<(), NotSent> {
    check_current(accepted, quoted_hash)?;
    if let Err(breach) = take_overall(now, accepted, buckets) {
        let retry_at = buckets.overall.map(|bucket| bucket.free_at(accepted.contract.rate));
        return Err(NotSent { breach, retry_at });
    }
    let number = accepted.contract.notifications_per_hour;
    let full = number.filter(|_| !is_known).and_then(|number| buckets.hour.free_at(number, now));
    if let Some(until) = full {
        return Err(NotSent { breach: Breach::OverNotifications, retry_at: Some(until) });
    }
    check_permission(accepted, Permission::SendMessages)?;
    number.ok_or(Breach::NotPermitted)?;
    if !is_known {
        buckets.hour.take(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn no_hour_has_more_than_the_number() {
        let mut hour = Hour::default();
        for ms in [0, 1_000, 3_000_000] {
            assert_eq!(hour.free_at(3, at(ms)), None);
            hour.take(at(ms));
        }
        assert_eq!(hour.free_at(3, at(3_599_999)), Some(at(HOUR_MS)));
        assert_eq!(hour.free_at(3, at(HOUR_MS)), None);
        hour.take(at(HOUR_MS));
        assert_eq!(hour.free_at(3, at(HOUR_MS)), Some(at(HOUR_MS + 1_000)));
        // A lower number waits for more of them, a higher one does not wait.
        assert_eq!(hour.free_at(1, at(HOUR_MS)), Some(at(2 * HOUR_MS)));
        assert_eq!(hour.free_at(4, at(HOUR_MS)), None);
        assert_eq!(hour.free_at(0, at(9 * HOUR_MS)), Some(at(10 * HOUR_MS)));
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_room() {
        let mut hour = Hour::default();
        hour.take(at(0));
        hour.take(at(-HOUR_MS));
        assert_eq!(hour.free_at(2, at(-HOUR_MS)), Some(at(HOUR_MS)));
        assert_eq!(hour.free_at(2, at(HOUR_MS)), None);
    }

    #[test]
    fn of_what_is_not_known_the_hour_is_full() {
        assert_eq!(Hour::full(2, at(0)).free_at(2, at(0)), Some(at(HOUR_MS)));
    }
}
