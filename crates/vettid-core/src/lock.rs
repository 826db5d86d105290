//! The tries at the lock of a vault (decision 0105): what is let through, what has to wait, and what a right key sets back.
//! Must never let a try through that was not counted first.

use crate::credential::attempts::{Attempts, Clocks};
use crate::credential::pin;
use serde::{Deserialize, Serialize};
use vettid_wire::lock::UnlockKind;

/// Wrong PINs in a row, after which only the password opens.
pub const PIN_TRIES: u8 = 5;
const _: () = assert!(PIN_TRIES as u32 == pin::MAX_TRIES, "there is one number of tries");
/// Wrong passwords in a row after which each further one waits the longest time. There is no end to the tries: the member
/// has no other way in.
const LONGEST_WAIT_AFTER: u32 = 9;

/// Why nothing is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// No PIN is tried any more.
    PasswordRequired,
    /// No password is tried yet.
    Wait,
}

/// The tries at one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// Wrong PINs that are still let through.
    pub pin_tries_left: u8,
    /// Of the password.
    pub password: Attempts,
    /// Of both, ever; never falls.
    pub total: u64,
    /// Of both, since a key was right.
    pub wrong: u32,
}

impl Tries {
    /// Those of a new lock. `total` goes on from the one before.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { pin_tries_left: PIN_TRIES, password: Attempts::default(), total, wrong: 0 }
    }

    /// Counts a try before it is made. The caller stores this, and only then tries the key.
    ///
    /// # Errors
    /// [`Barred`]: nothing is counted, and nothing may be tried.
    pub fn count(&mut self, kind: UnlockKind, clocks: &Clocks) -> Result<(), Barred> {
        match kind {
            UnlockKind::Pin => {
                self.pin_tries_left = self.pin_tries_left.checked_sub(1).ok_or(Barred::PasswordRequired)?;
            }
            UnlockKind::Password if self.password.wait_ms(clocks).is_some() => return Err(Barred::Wait),
            UnlockKind::Password => {
                self.password.consecutive = self.password.consecutive.min(LONGEST_WAIT_AFTER - 1);
                self.password.count(clocks);
            }
        }
        self.total = self.total.saturating_add(1);
        self.wrong = self.wrong.saturating_add(1);
        Ok(())
    }

    /// The key was right. Gives how many were wrong before it.
    pub fn succeeded(&mut self, kind: UnlockKind) -> u32 {
        self.pin_tries_left = PIN_TRIES;
        if kind == UnlockKind::Password {
            self.password.reset();
        }
        std::mem::take(&mut self.wrong).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::attempts::BootId;
    use proptest::prelude::*;
    use vettid_wire::time::Timestamp;

    fn clocks(monotonic_ms: u64) -> Clocks {
        Clocks { now: Timestamp::from_unix_ms(0), monotonic_ms, boot_id: BootId([1; 16]) }
    }

    #[test]
    fn five_pins_then_the_password() {
        let mut tries = Tries::new(7);
        for left in (0..5).rev() {
            assert_eq!(tries.count(UnlockKind::Pin, &clocks(0)), Ok(()));
            assert_eq!(tries.pin_tries_left, left);
        }
        let before = tries;
        assert_eq!(tries.count(UnlockKind::Pin, &clocks(u64::MAX)), Err(Barred::PasswordRequired));
        assert_eq!(tries, before);
        tries.count(UnlockKind::Password, &clocks(0)).unwrap();
        assert_eq!(tries.succeeded(UnlockKind::Password), 5);
        assert_eq!((tries.pin_tries_left, tries.wrong, tries.total), (5, 0, 13));
    }

    #[test]
    fn the_waits_of_wrong_passwords() {
        let (mut tries, mut at) = (Tries::new(0), 0);
        let minutes = [0, 0, 0, 1, 5, 15, 60, 240, 1440, 1440, 1440];
        for wait in minutes.map(|minutes| minutes * 60_000) {
            tries.count(UnlockKind::Password, &clocks(at)).unwrap();
            assert_eq!(tries.password.wait_ms(&clocks(at)).unwrap_or(0), wait);
            if wait > 0 {
                assert_eq!(tries.count(UnlockKind::Password, &clocks(at + wait - 1)), Err(Barred::Wait));
            }
            at += wait;
        }
    }

    #[test]
    fn a_right_pin_does_not_end_the_wait_of_the_password() {
        let mut tries = Tries::new(0);
        (0..4).for_each(|_| tries.count(UnlockKind::Password, &clocks(0)).unwrap());
        tries.count(UnlockKind::Pin, &clocks(0)).unwrap();
        tries.succeeded(UnlockKind::Pin);
        assert_eq!(tries.count(UnlockKind::Password, &clocks(0)), Err(Barred::Wait));
    }

    proptest! {
        #[test]
        fn the_total_counts_each_try(steps in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..60)) {
            let (mut tries, mut made) = (Tries::new(3), 0);
            for (pin, right) in steps {
                let kind = if pin { UnlockKind::Pin } else { UnlockKind::Password };
                if tries.count(kind, &clocks(0)).is_ok() {
                    made += 1;
                    if right {
                        tries.succeeded(kind);
                    }
                }
                prop_assert_eq!(tries.total, 3 + made);
            }
        }
    }
}
