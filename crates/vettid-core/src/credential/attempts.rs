//! Password attempts (spec 2.9): counted before the compare, waiting that a clock jump cannot shorten, and the lock.
//! Must never count down a wait by the wall clock.

use serde::{Deserialize, Serialize};
use vettid_wire::time::Timestamp;

/// Most attempts in a row of any credential; its policy may name fewer.
pub const MAX_CONSECUTIVE: u32 = 10;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Attempts in a row without a wait.
const FREE: usize = 3;
/// The waits after the attempts that follow the free ones; the last attempt locks instead.
const WAITS_MS: [u64; 6] = [MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS];
/// How long a credential that the recovery phrase unlocked waits.
pub const RECOVERY_WAIT_MS: u64 = 24 * HOUR_MS;
/// A wait that is looked at is stored anew after so much of it has passed.
const STEP_MS: u64 = MINUTE_MS;

/// One run of the machine: the monotonic clock means nothing beyond it. A shell draws it at random when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

/// The clocks of a shell at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock; stamps objects, never shortens a wait or lengthens a grant.
    pub now: Timestamp,
    /// Milliseconds of a clock that never goes back and counts while the machine sleeps.
    pub monotonic_ms: u64,
    /// The run in which `monotonic_ms` counts.
    pub boot_id: BootId,
}

/// The attempts on one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// Since the last right password.
    pub consecutive: u32,
    /// Ever; never falls.
    pub total: u64,
    /// How long the next attempt has to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// A wait: what was left of it at one moment of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Milliseconds left at that moment.
    pub remaining_ms: u64,
    /// The moment, on the monotonic clock.
    pub as_of_ms: u64,
    /// The run.
    pub boot_id: BootId,
}

/// What ends the lock, besides nothing else (spec 2.9). Whether it is genuine was checked elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    /// The recovery phrase: attempts open after 24 hours.
    RecoveryPhrase,
    /// An approval of the member's old device: attempts open at once.
    OldDevice,
}

impl Attempts {
    /// Counts one attempt. The caller stores this before it compares anything.
    pub fn count(&mut self, clocks: &Clocks) {
        self.consecutive = self.consecutive.saturating_add(1);
        self.total = self.total.saturating_add(1);
        let waited = usize::try_from(self.consecutive).unwrap_or(usize::MAX).saturating_sub(FREE);
        let wait_ms = waited.checked_sub(1).and_then(|index| WAITS_MS.get(index));
        self.wait = wait_ms.map(|&wait_ms| Wait::starting(wait_ms, clocks));
    }

    /// The password was right.
    pub fn reset(&mut self) {
        self.consecutive = 0;
        self.wait = None;
    }

    /// Whether no attempt is left under this limit.
    #[must_use]
    pub fn is_locked(&self, limit: u32) -> bool {
        self.consecutive >= limit.min(MAX_CONSECUTIVE)
    }

    /// Milliseconds until the next attempt; `None` when none has to pass.
    #[must_use]
    pub fn wait_ms(&self, clocks: &Clocks) -> Option<u64> {
        self.wait.map(|wait| wait.left_ms(clocks)).filter(|&left_ms| left_ms > 0)
    }

    /// Moves a wait into the present run and stores how much of it has passed; whether anything is to be stored. A shell
    /// calls this at its start, and before it judges a request, so that a wait goes on after a restart.
    pub fn settle(&mut self, clocks: &Clocks) -> bool {
        let Some(wait) = self.wait else { return false };
        let due = wait.is_due(clocks);
        if due {
            let left_ms = wait.left_ms(clocks);
            self.wait = (left_ms > 0).then(|| Wait::starting(left_ms, clocks));
        }
        due
    }

    /// Ends the lock.
    pub fn unlock(&mut self, by: Unlock, clocks: &Clocks) {
        self.reset();
        if by == Unlock::RecoveryPhrase {
            self.wait = Some(Wait::starting(RECOVERY_WAIT_MS, clocks));
        }
    }

    /// After a restore neither side's count is believed alone (spec §3 R17): the higher one stands.
    pub fn raise_to(&mut self, consecutive: u32, total: u64) {
        self.consecutive = self.consecutive.max(consecutive);
        self.total = self.total.max(total);
    }
}

impl Wait {
    /// One that begins now.
    #[must_use]
    pub fn starting(remaining_ms: u64, clocks: &Clocks) -> Self {
        Self { remaining_ms, as_of_ms: clocks.monotonic_ms, boot_id: clocks.boot_id }
    }

    /// Whether it is to be stored anew: it began in another run, ended, or went on by [`STEP_MS`].
    #[must_use]
    pub fn is_due(&self, clocks: &Clocks) -> bool {
        let left_ms = self.left_ms(clocks);
        self.boot_id != clocks.boot_id || self.remaining_ms.saturating_sub(left_ms) >= STEP_MS || left_ms == 0
    }

    /// What is left of it, in milliseconds. In another run nothing of it has passed since it was stored.
    #[must_use]
    pub fn left_ms(&self, clocks: &Clocks) -> u64 {
        let same_run = self.boot_id == clocks.boot_id;
        let passed_ms = if same_run { clocks.monotonic_ms.saturating_sub(self.as_of_ms) } else { 0 };
        self.remaining_ms.saturating_sub(passed_ms)
    }
}

#[cfg(test)]
mod tests;
