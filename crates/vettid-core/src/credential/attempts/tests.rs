//! Attempts and waits, against clocks that jump, stop and start anew.

use super::*;
use proptest::prelude::*;

fn at(monotonic_ms: u64, boot: u8) -> Clocks {
    Clocks { now: Timestamp::from_unix_ms(0), monotonic_ms, boot_id: BootId([boot; 16]) }
}

/// Test plan 4.8: what is accepted and what is refused, over a restart after each attempt.
#[test]
fn three_are_free_then_each_waits_longer_and_the_tenth_locks() {
    let mut attempts = Attempts::default();
    let mut now_ms = 0;
    let minute = 60_000;
    let waits = [0, 0, 0, 1, 5, 15, 60, 240, 1440].map(|minutes| minutes * minute);
    for (index, wait_ms) in waits.into_iter().enumerate() {
        assert!(!attempts.is_locked(MAX_CONSECUTIVE));
        attempts.count(&at(now_ms, 1));
        let stored = serde_json::to_string(&attempts).unwrap();
        attempts = serde_json::from_str(&stored).unwrap();
        assert_eq!(attempts.wait_ms(&at(now_ms, 1)), (wait_ms > 0).then_some(wait_ms), "after attempt {}", index + 1);
        now_ms += wait_ms;
        if wait_ms > 0 {
            assert_eq!(attempts.wait_ms(&at(now_ms - 1, 1)), Some(1));
        }
        assert_eq!(attempts.wait_ms(&at(now_ms, 1)), None);
    }
    attempts.count(&at(now_ms, 1));
    assert!(attempts.is_locked(MAX_CONSECUTIVE));
    assert_eq!((attempts.consecutive, attempts.total), (10, 10));
}

#[test]
fn a_policy_can_lock_earlier_but_not_later() {
    let attempts = Attempts { consecutive: 10, total: 10, wait: None };
    assert!(attempts.is_locked(1000));
    assert!(Attempts { consecutive: 5, ..attempts }.is_locked(5));
    assert!(!Attempts { consecutive: 5, ..attempts }.is_locked(6));
    assert!(Attempts::default().is_locked(0));
}

#[test]
fn the_wall_clock_does_not_shorten_a_wait() {
    let mut attempts = Attempts { consecutive: 3, total: 3, wait: None };
    attempts.count(&at(0, 1));
    let later = Clocks { now: Timestamp::from_unix_ms(i64::MAX), ..at(10, 1) };
    assert_eq!(attempts.wait_ms(&later), Some(59_990));
}

#[test]
fn a_restart_keeps_what_is_left_and_goes_on_from_there() {
    let mut attempts = Attempts { consecutive: 4, total: 4, wait: None };
    attempts.count(&at(1_000, 1));
    assert!(!attempts.settle(&at(1_500, 1)), "less than a minute passed");
    assert!(attempts.settle(&at(121_000, 1)));
    assert_eq!(attempts.wait_ms(&at(7, 2)), Some(180_000));
    assert_eq!(attempts.wait_ms(&at(99_999_999, 2)), Some(180_000), "an unsettled run does not count");
    assert!(attempts.settle(&at(7, 2)));
    assert_eq!(attempts.wait_ms(&at(8, 2)), Some(179_999));
    assert_eq!(attempts.wait_ms(&at(3, 2)), Some(180_000), "a clock that goes back gives nothing");
    assert!(attempts.settle(&at(180_007, 2)));
    assert_eq!((attempts.wait, attempts.settle(&at(180_008, 2))), (None, false));
}

#[test]
fn a_lock_ends_by_phrase_or_old_device() {
    let locked = Attempts { consecutive: 10, total: 12, wait: None };
    let mut by_device = locked;
    by_device.unlock(Unlock::OldDevice, &at(0, 1));
    assert_eq!((by_device.is_locked(10), by_device.wait_ms(&at(0, 1)), by_device.total), (false, None, 12));
    let mut by_phrase = locked;
    by_phrase.unlock(Unlock::RecoveryPhrase, &at(0, 1));
    assert_eq!((by_phrase.is_locked(10), by_phrase.wait_ms(&at(0, 1))), (false, Some(RECOVERY_WAIT_MS)));
}

#[test]
fn a_restore_never_lowers_a_count() {
    let mut attempts = Attempts { consecutive: 4, total: 40, wait: None };
    attempts.raise_to(2, 50);
    assert_eq!((attempts.consecutive, attempts.total), (4, 50));
    attempts.raise_to(9, 5);
    assert_eq!((attempts.consecutive, attempts.total), (9, 50));
}

proptest! {
    /// Whatever the clocks do, a wait takes as long as it is told in time that really passed within runs.
    #[test]
    fn no_sequence_of_restarts_and_jumps_shortens_a_wait(steps in proptest::collection::vec((0_u64..200_000, any::<bool>(), any::<bool>()), 1..40)) {
        let mut attempts = Attempts { consecutive: 5, total: 5, wait: None };
        attempts.count(&at(0, 0));
        let (mut boot, mut now_ms, mut passed_ms) = (0, 0, 0);
        for (step_ms, restart, settle) in steps {
            if restart {
                boot += 1;
                now_ms = 0;
            }
            now_ms += step_ms;
            passed_ms += step_ms;
            if settle {
                let _ = attempts.settle(&at(now_ms, boot));
            }
            let left_ms = attempts.wait_ms(&at(now_ms, boot)).unwrap_or(0);
            prop_assert!(left_ms + passed_ms >= 15 * 60_000, "{left_ms} left after {passed_ms}");
        }
    }
}
