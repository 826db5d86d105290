//! Floods of requests that want the member's word (spec 2.14): three that were not approved in five minutes, and a day of
//! silence after three denials. One counter per connection; whatever a service asks counts on the same one. Must never let a
//! clock that goes back end a silence.

use serde::{Deserialize, Serialize};
use vettid_wire::auth::Decision;
use vettid_wire::id::RequestId;
use vettid_wire::time::Timestamp;

/// Most requests of [`WINDOW_MS`] that the member did not approve.
pub const MAX_ASKED: usize = 3;
/// How long a request counts, in milliseconds (five minutes).
pub const WINDOW_MS: i64 = 5 * 60 * 1000;
/// So many denials within [`MUTE_MS`] silence a connection.
pub const MAX_DENIALS: usize = 3;
/// How long it is silent, and how long a denial counts, in milliseconds (24 hours).
pub const MUTE_MS: i64 = 24 * 3600 * 1000;

/// Why a request does not reach the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Three others came within five minutes.
    TooMany,
    /// The member denied three; silent until then.
    Muted(Timestamp),
}

/// What one connection asked of late, and what the member said to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    asked: Vec<Asked>,
    denied_at: Vec<Timestamp>,
    muted_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    request_id: RequestId,
    at: Timestamp,
}

impl Flood {
    /// Counts a new request that wants the member's word.
    ///
    /// # Errors
    /// [`Held`] if it must not reach the member; it is not counted then.
    pub fn admit(&mut self, now: Timestamp, request_id: RequestId) -> Result<(), Held> {
        self.forget(now);
        if let Some(until) = self.muted_until {
            return Err(Held::Muted(until));
        }
        if self.asked.len() >= MAX_ASKED {
            return Err(Held::TooMany);
        }
        self.asked.push(Asked { request_id, at: now });
        Ok(())
    }

    /// Counts what the member said. An approved request no longer counts as one that came unasked; an approval never takes a
    /// denial back. Gives the end of the silence that this denial begins.
    pub fn decided(&mut self, now: Timestamp, request_id: RequestId, decision: Decision) -> Option<Timestamp> {
        self.forget(now);
        match decision {
            Decision::Approve => {
                self.asked.retain(|asked| asked.request_id != request_id);
                None
            }
            Decision::Deny => self.denied(now),
        }
    }

    fn denied(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.denied_at.push(now);
        if self.denied_at.len() < MAX_DENIALS || self.muted_until.is_some() {
            return None;
        }
        self.denied_at.clear();
        self.muted_until = Some(now.plus_ms(MUTE_MS));
        self.muted_until
    }

    /// The member lets the connection speak again: nothing counts any more.
    pub fn unmute(&mut self) {
        *self = Self::default();
    }

    /// Until when nothing of this connection reaches the member.
    #[must_use]
    pub fn muted_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.muted_until.filter(|until| now < *until)
    }

    /// Whether nothing is left that counts.
    #[must_use]
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        self.forget(now);
        self.asked.is_empty() && self.denied_at.is_empty() && self.muted_until.is_none()
    }

    fn forget(&mut self, now: Timestamp) {
        self.asked.retain(|asked| now.since_ms(asked.at) < WINDOW_MS);
        self.denied_at.retain(|at| now.since_ms(*at) < MUTE_MS);
        self.muted_until = self.muted_until(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn id(number: u8) -> RequestId {
        RequestId::v7(at(0), [number; 10])
    }

    #[test]
    fn a_fourth_request_in_five_minutes_is_held() {
        let mut flood = Flood::default();
        for number in 0..3 {
            assert_eq!(flood.admit(at(i64::from(number)), id(number)), Ok(()));
        }
        assert_eq!(flood.admit(at(WINDOW_MS - 1), id(3)), Err(Held::TooMany));
        assert_eq!(flood.admit(at(WINDOW_MS), id(3)), Ok(()));
        assert_eq!(flood.admit(at(WINDOW_MS), id(4)), Err(Held::TooMany));
    }

    #[test]
    fn what_the_member_approved_was_no_flood() {
        let mut flood = Flood::default();
        for number in 0..50 {
            assert_eq!(flood.admit(at(0), id(number)), Ok(()));
            assert_eq!(flood.decided(at(1), id(number), Decision::Approve), None);
        }
        assert!(flood.is_idle(at(1)));
    }

    #[test]
    fn three_denials_silence_a_connection_for_a_day_and_approvals_between_them_help_nobody() {
        let mut flood = Flood::default();
        assert_eq!(flood.decided(at(0), id(0), Decision::Deny), None);
        assert_eq!(flood.decided(at(1), id(1), Decision::Deny), None);
        assert_eq!(flood.decided(at(2), id(2), Decision::Approve), None);
        assert_eq!(flood.decided(at(3), id(3), Decision::Deny), Some(at(3 + MUTE_MS)));
        assert_eq!(flood.admit(at(4), id(4)), Err(Held::Muted(at(3 + MUTE_MS))));
        assert_eq!(flood.admit(at(2 + MUTE_MS), id(4)), Err(Held::Muted(at(3 + MUTE_MS))));
        assert_eq!(flood.admit(at(3 + MUTE_MS), id(4)), Ok(()));
    }

    #[test]
    fn denials_of_different_days_do_not_add_up() {
        let mut flood = Flood::default();
        for number in 0..9 {
            let now = at(i64::from(number) * MUTE_MS / 2);
            assert_eq!(flood.decided(now, id(number), Decision::Deny), None);
        }
    }

    #[test]
    fn the_member_ends_a_silence_and_a_clock_that_goes_back_does_not() {
        let mut flood = Flood::default();
        for number in 0..3 {
            flood.decided(at(0), id(number), Decision::Deny);
        }
        assert!(flood.admit(at(-MUTE_MS), id(4)).is_err() && flood.muted_until(at(1)).is_some());
        flood.unmute();
        assert_eq!(flood.admit(at(2), id(5)), Ok(()));
    }

    proptest! {
        #[test]
        fn never_more_than_three_unwanted_in_any_five_minutes(
            steps in proptest::collection::vec((0i64..200_000, any::<bool>()), 1..80),
        ) {
            let (mut flood, mut now, mut shown) = (Flood::default(), 0, Vec::new());
            for (number, (step, approved)) in steps.into_iter().enumerate() {
                now += step;
                let id = RequestId::v7(at(now), [u8::try_from(number).unwrap(); 10]);
                if flood.admit(at(now), id).is_ok() {
                    if approved { flood.decided(at(now), id, Decision::Approve); } else { shown.push(now); }
                }
                let recent = shown.iter().filter(|asked| now - **asked < WINDOW_MS).count();
                prop_assert!(recent <= MAX_ASKED, "{shown:?}");
            }
        }
    }
}
