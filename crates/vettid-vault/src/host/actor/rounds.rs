//! When a running vault looks for what expired: every second while something happens to it, less and less often while nothing does, so
//! that a vault that nobody uses costs its host next to nothing. Vaults that were loaded together do not look at the same moment.

use super::{Actor, Stopped, Taken};
use crate::host::lock::lane::Lane;
use crate::lock;
use crate::manager::Event;
use std::time::Duration;
use tokio::time::Instant;
use vettid_wire::id::MemberId;

/// Between two rounds of a vault to which something happens.
const OFTEN: Duration = Duration::from_secs(1);
/// The least and the most that lie between two rounds of a vault to which nothing happens; each has a time of its own.
const SELDOM_MS: (u64, u64) = (6_000, 10_000);

/// The next round of one vault.
#[derive(Debug)]
pub(super) struct Rounds {
    at: Instant,
    pause: Duration,
    seldom: Duration,
}

impl Rounds {
    /// The first round comes within a second.
    pub(super) fn begin(now: Instant, member: MemberId) -> Self {
        let [.., high, low] = member.to_bytes();
        let place = u64::from(u16::from_be_bytes([high, low]));
        let share = |whole_ms: u64| Duration::from_millis(whole_ms * place / 0x1_0000);
        let seldom = Duration::from_millis(SELDOM_MS.0) + share(SELDOM_MS.1 - SELDOM_MS.0);
        Self { at: now + share(1_000), pause: OFTEN, seldom }
    }

    /// When the next round is due.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Something happened to the vault: the next round comes soon.
    pub(super) fn something_happened(&mut self, now: Instant) {
        self.pause = OFTEN;
        self.at = self.at.min(now + OFTEN);
    }

    /// A round is done. `is_quiet`: it found nothing to do.
    pub(super) fn done(&mut self, now: Instant, is_quiet: bool) {
        self.pause = if is_quiet { (self.pause * 2).min(self.seldom) } else { OFTEN };
        self.at = now + self.pause;
    }
}

impl Actor {
    /// Looks for what expired and what did not leave. Says whether there was nothing to do. A vault with a lock is never quiet, for it
    /// locks itself on time; nor is one in a call.
    pub(super) async fn look_around(&mut self) -> Result<bool, Stopped> {
        let was_changed = std::mem::take(&mut self.is_changed);
        self.handle(vec![Taken::own(Event::Tick)]).await?;
        self.lock_if_idle().await?;
        let is_waiting = self.send_waiting();
        let found_something = std::mem::take(&mut self.is_changed);
        if was_changed || found_something {
            self.ways.close_ended(&self.vault);
        }
        let is_in_call = self.vault.is_in_call().unwrap_or_else(|error| {
            tracing::error!(%error, "the state of calls cannot be read");
            true
        });
        Ok(!is_waiting && !found_something && !is_in_call && !self.lane.as_ref().is_some_and(Lane::has_lock))
    }

    /// What was committed and is neither delivered nor on its way. Says whether there may be any.
    fn send_waiting(&mut self) -> bool {
        match self.vault.waiting() {
            Ok(posts) => {
                let is_waiting = !posts.is_empty();
                posts.into_iter().for_each(|post| self.ways.send(&self.vault, post));
                is_waiting
            }
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read");
                true
            }
        }
    }

    /// Locks the vault when its owner was away for as long as is set.
    async fn lock_if_idle(&mut self) -> Result<(), Stopped> {
        if !self.lane.as_ref().is_some_and(Lane::has_lock) {
            return Ok(());
        }
        let idle_minutes = match self.vault.idle_minutes() {
            Ok(idle_minutes) => idle_minutes,
            Err(error) => {
                tracing::error!(%error, "the time after which a vault locks itself cannot be read");
                return Ok(());
            }
        };
        let is_due =
            idle_minutes.is_some_and(|minutes| self.owner_at.elapsed() >= Duration::from_secs(u64::from(minutes) * 60));
        if !is_due {
            return Ok(());
        }
        self.handle(vec![Taken::own(Event::Lock(lock::News::Idle))]).await?;
        Err(Stopped::Locked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(place: u16) -> MemberId {
        let [high, low] = place.to_be_bytes();
        MemberId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, high, low])
    }

    /// The pauses of a vault to which nothing happens, in milliseconds.
    fn quiet_pauses(rounds: &mut Rounds, times: usize) -> Vec<u128> {
        let pause = |rounds: &mut Rounds| {
            let now = rounds.at();
            rounds.done(now, true);
            (rounds.at() - now).as_millis()
        };
        (0..times).map(|_| pause(rounds)).collect()
    }

    #[tokio::test]
    async fn a_quiet_vault_looks_less_often_until_something_happens() {
        let now = Instant::now();
        let mut rounds = Rounds::begin(now, member(0));
        assert_eq!(rounds.at(), now);
        assert_eq!(quiet_pauses(&mut rounds, 4), [2_000, 4_000, 6_000, 6_000]);
        let now = rounds.at() - Duration::from_millis(5_500);
        rounds.something_happened(now);
        assert_eq!(rounds.at(), now + OFTEN);
        // What happens all the time does not put the round off.
        rounds.something_happened(now + Duration::from_millis(900));
        assert_eq!(rounds.at(), now + OFTEN);
        rounds.done(now + OFTEN, false);
        assert_eq!(rounds.at(), now + 2 * OFTEN);
        assert_eq!(quiet_pauses(&mut rounds, 1), [2_000]);
    }

    #[tokio::test]
    async fn vaults_look_at_times_of_their_own() {
        let now = Instant::now();
        let mut late = Rounds::begin(now, member(u16::MAX));
        assert_eq!((late.at() - now).as_millis(), 999);
        assert_eq!(quiet_pauses(&mut late, 4), [2_000, 4_000, 8_000, 9_999]);
        let mut half = Rounds::begin(now, member(0x8000));
        assert_eq!((half.at() - now).as_millis(), 500);
        assert_eq!(quiet_pauses(&mut half, 4), [2_000, 4_000, 8_000, 8_000]);
    }
}
