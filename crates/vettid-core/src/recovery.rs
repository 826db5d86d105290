//! When a new device may try to recover, and what it may do afterwards (spec 2.11). Pure. Must never let a clock that was
//! set back give tries again.

use serde::{Deserialize, Serialize};
use vettid_wire::event::{self, EventRow as _};
use vettid_wire::id::EventId;
use vettid_wire::secret::{Action as _, Free, FreeRequests, Grant, Permit, PermitAnswer, Remove, Rotate, Use};
use vettid_wire::time::Timestamp;

use crate::credential::CHANGE_PASSWORD;
use crate::credential::attempts::{Clocks, Wait};

/// Tries in an hour.
pub const TRIES_AN_HOUR: usize = 5;
/// Tries in a day.
pub const TRIES_A_DAY: usize = 20;
/// Operations of high value wait so long after a recovery, in milliseconds.
pub const HOLD_MS: i64 = 24 * HOUR_MS;
/// A code for a try dies after this time, in milliseconds.
pub const CODE_LIFE_MS: i64 = 10 * 60 * 1000;

/// A device that recovers proves the password within this time, in milliseconds; three days, because a lock may cost one.
pub const OPEN_LIFE_MS: i64 = 72 * HOUR_MS;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// The actions of the credential that wait while a recovery is fresh: whatever lets a secret out, uses it, or destroys it, and
/// payments.
pub const HELD_ACTIONS: [&str; 9] = [
    CHANGE_PASSWORD,
    Use::NAME,
    Rotate::NAME,
    Remove::NAME,
    Grant::NAME,
    Permit::NAME,
    Free::NAME,
    PermitAnswer::NAME,
    FreeRequests::NAME,
];
/// The owner's commands that wait likewise: they cannot be taken back.
pub const HELD_EVENTS: [&str; 3] =
    [event::ConnectionRevoke::ROW.name, event::VaultLockSetup::ROW.name, event::GrantUse::ROW.name];

/// The hold after a recovery, counted on the clock that nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The recovery.
    pub recovery_id: EventId,
    /// When the device took the old one's place.
    pub since: Timestamp,
    wait: Wait,
}

impl Hold {
    /// A hold of [`HOLD_MS`] from now on.
    #[must_use]
    pub fn begin(recovery_id: EventId, clocks: &Clocks) -> Self {
        Self { recovery_id, since: clocks.now, wait: Wait::starting(HOLD_MS.unsigned_abs(), clocks) }
    }

    /// What is left of it, in milliseconds. What passed while no vault ran does not count, unless it was stored.
    #[must_use]
    pub fn left_ms(&self, clocks: &Clocks) -> u64 {
        self.wait.left_ms(clocks)
    }

    /// When it ends, if the vault runs on.
    #[must_use]
    pub fn until(&self, clocks: &Clocks) -> Timestamp {
        clocks.now.plus_ms(i64::try_from(self.left_ms(clocks)).unwrap_or(HOLD_MS))
    }

    /// As it is to be stored anew, if it is to be.
    #[must_use]
    pub fn settled(&self, clocks: &Clocks) -> Option<Self> {
        let wait = Wait::starting(self.left_ms(clocks), clocks);
        self.wait.is_due(clocks).then_some(Self { wait, ..*self })
    }
}

/// Earlier tries are not looked at; a store may forget them.
#[must_use]
pub fn counted_since(now: Timestamp) -> Timestamp {
    now.plus_ms(-24 * HOUR_MS)
}

/// Too many tries; the next one is possible after so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries")]
pub struct TooOften {
    /// So long.
    pub retry_after_ms: i64,
}

/// Whether one more try is admitted after these. Tries from the future count as well.
///
/// # Errors
/// [`TooOften`].
pub fn admit(tries: &[Timestamp], now: Timestamp) -> Result<(), TooOften> {
    let waits = [(TRIES_AN_HOUR, HOUR_MS), (TRIES_A_DAY, 24 * HOUR_MS)].map(|(limit, window_ms)| {
        let mut inside: Vec<_> = tries.iter().filter(|at| now.since_ms(**at) < window_ms).collect();
        inside.sort_unstable();
        let leaving = inside.len().checked_sub(limit).and_then(|index| inside.get(index));
        leaving.map_or(0, |at| window_ms.saturating_sub(now.since_ms(**at)))
    });
    match waits.into_iter().max() {
        Some(retry_after_ms) if retry_after_ms > 0 => Err(TooOften { retry_after_ms }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    /// Tries as often as possible from the start on.
    fn admitted_until(end_ms: i64, step_ms: usize) -> Vec<Timestamp> {
        let mut tries = Vec::new();
        for ms in (0..=end_ms).step_by(step_ms) {
            if admit(&tries, at(ms)).is_ok() {
                tries.push(at(ms));
            }
        }
        tries
    }

    fn clocks(now: Timestamp, monotonic_ms: u64, run: u8) -> Clocks {
        Clocks { now, monotonic_ms, boot_id: crate::credential::attempts::BootId([run; 16]) }
    }

    #[test]
    fn no_clock_that_is_set_and_no_restart_shortens_a_hold() {
        let day_ms = HOLD_MS.unsigned_abs();
        let hold = Hold::begin(EventId::from_bytes([1; 16]), &clocks(at(0), 1_000, 1));
        assert_eq!(hold.left_ms(&clocks(at(365 * HOLD_MS), 1_000, 1)), day_ms);
        assert_eq!(hold.left_ms(&clocks(at(-HOLD_MS), 61_000, 1)), day_ms - 60_000);
        assert_eq!(hold.left_ms(&clocks(at(0), u64::MAX, 2)), day_ms, "another run");
        let later = hold.settled(&clocks(at(0), 61_000, 1)).unwrap();
        assert_eq!(hold.settled(&clocks(at(0), 60_999, 1)), None);
        assert_eq!(later.left_ms(&clocks(at(0), 5, 2)), day_ms - 60_000, "what was stored is kept");
        assert_eq!(later.left_ms(&clocks(at(0), 1_000 + day_ms, 1)), 0);
        assert_eq!(later.until(&clocks(at(7), 61_000, 1)), at(7 + HOLD_MS - 60_000));
    }

    #[test]
    fn five_an_hour_and_twenty_a_day() {
        assert_eq!(admitted_until(HOUR_MS - 1, 1000).len(), 5);
        assert_eq!(admitted_until(2 * HOUR_MS - 1, 1000).len(), 10);
        assert_eq!(admitted_until(24 * HOUR_MS - 1, 1000).len(), 20);
        assert_eq!(admitted_until(25 * HOUR_MS - 1, 1000).len(), 25);
    }

    #[test]
    fn the_sixth_hears_how_long_it_waits() {
        let tries: Vec<_> = (0..5).map(|minute| at(minute * 60_000)).collect();
        let wait = |ms| admit(&tries, at(ms)).map_err(|too| too.retry_after_ms);
        assert_eq!(wait(5 * 60_000), Err(55 * 60_000));
        assert_eq!((wait(HOUR_MS - 1), wait(HOUR_MS)), (Err(1), Ok(())));
    }

    #[test]
    fn a_clock_set_back_gives_no_try() {
        let tries = [at(0); 5];
        assert!(admit(&tries, at(-HOUR_MS)).is_err());
        assert!(admit(&tries, at(-365 * 24 * HOUR_MS)).is_err());
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_five(gaps in prop::collection::vec(0..2 * HOUR_MS, 1..60)) {
            let (mut now_ms, mut tries) = (0, Vec::new());
            for gap in gaps {
                now_ms += gap;
                if admit(&tries, at(now_ms)).is_ok() {
                    tries.push(at(now_ms));
                }
            }
            for start in &tries {
                let within = |window: i64| tries.iter().filter(|at| (0..window).contains(&at.since_ms(*start))).count();
                prop_assert!(within(HOUR_MS) <= TRIES_AN_HOUR && within(24 * HOUR_MS) <= TRIES_A_DAY);
            }
        }
    }
}
