//! How much may come in on one session or connection (docs/decisions/0094). The allowance is stored with the channel that
//! it belongs to, in the commit of what it counts. A restart must never give more than was left.

use crate::rate::Bucket;
use serde::{Deserialize, Serialize};
use vettid_wire::contract::Rate;
use vettid_wire::time::Timestamp;

/// What a channel lets in. The default of each lane is that of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many messages; as many more are refused in words.
    pub messages: Rate,
    /// So many bytes as they come on the wire, if they are counted.
    pub bytes: Option<Rate>,
    /// So many messages may be taken between two commits that store the channel.
    pub uncommitted: u64,
}

impl Limit {
    /// A connection: 60 messages a minute and 10 MiB an hour. Each message is committed.
    pub const CONNECTION: Self = Self {
        messages: Rate { count: 60, per_seconds: 60 },
        bytes: Some(Rate { count: 10 << 20, per_seconds: 3600 }),
        uncommitted: 0,
    };
    /// A session: 600 commands a minute. Commands that only read are answered without a commit, but each answer takes a
    /// sequence, and a channel is stored before it goes beyond the reserved ones.
    pub const SESSION: Self =
        Self { messages: Rate { count: 600, per_seconds: 60 }, bytes: None, uncommitted: crate::channel::RESERVE };
}

/// The limits of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of each connection, with a member or a service.
    pub connection: Limit,
    /// Of each session of the app.
    pub session: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connection: Limit::CONNECTION, session: Limit::SESSION }
    }
}

/// What does not open on one connection: 100 a minute, then a pause of ten seconds.
pub const UNDECRYPTABLE: Rate = Rate { count: 100, per_seconds: 60 };
/// Length of that pause, in milliseconds.
pub const PAUSE_MS: i64 = 10_000;

/// Messages are held back at most so long, in milliseconds; what would have to wait longer is refused.
pub const LONGEST_HOLD_MS: i64 = 120_000;

/// Whether there is room for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It is counted.
    Taken,
    /// It is to come again after so many milliseconds.
    Later(i64),
    /// It is to be refused in words.
    Refused,
    /// Enough was refused in words: it is to be dropped.
    Dropped,
}

/// What is left of a channel's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    refusals: Option<Bucket>,
    /// Until then all room is promised to messages that are held back.
    #[serde(skip)]
    promised: Option<Timestamp>,
    /// Whether this process made or settled it. One that was read may lack what was taken without a commit.
    #[serde(skip)]
    settled: bool,
}

impl Allowance {
    /// Nothing was taken yet.
    #[must_use]
    pub fn new() -> Self {
        Self { settled: true, ..Self::default() }
    }

    /// Takes room for a message of this size. A message that loses nothing by waiting may have waited before it came here:
    /// it is counted when it was sealed, or else now, and is held back if there is no room at either time. Both times only
    /// ever go on, so a sender that lies about the first gains no message over the limit.
    #[must_use]
    pub fn admit(&mut self, now: Timestamp, limit: &Limit, bytes: u64, sealed_at: Option<Timestamp>) -> Room {
        let waited = sealed_at.filter(|sealed_at| *sealed_at < now);
        if waited.is_some_and(|sealed_at| self.take(sealed_at, limit, bytes)) || self.take(now, limit, bytes) {
            return Room::Taken;
        }
        if sealed_at.is_some()
            && let Some(wait_ms) = self.promise(now, limit)
        {
            return Room::Later(wait_ms);
        }
        let refusals = self.refusals.get_or_insert_with(|| Bucket::full(limit.messages, now));
        if refusals.take(limit.messages, now) { Room::Refused } else { Room::Dropped }
    }

    fn take(&mut self, now: Timestamp, limit: &Limit, bytes: u64) -> bool {
        let settled = std::mem::replace(&mut self.settled, true);
        let messages = self.messages.get_or_insert_with(|| Bucket::full(limit.messages, now));
        let mut has_room = messages.has(limit.messages, 1, now);
        if !settled {
            messages.spend(limit.messages, limit.uncommitted);
            has_room = messages.has(limit.messages, 1, now);
        }
        if let Some(rate) = limit.bytes {
            let bucket = self.bytes.get_or_insert_with(|| Bucket::full(rate, now));
            has_room = has_room && bucket.has(rate, bytes, now);
            if has_room {
                bucket.spend(rate, bytes);
            }
        }
        if has_room {
            messages.spend(limit.messages, 1);
        }
        has_room
    }

    /// The next free place, if it is not too far away.
    fn promise(&mut self, now: Timestamp, limit: &Limit) -> Option<i64> {
        let each_ms = i64::from(limit.messages.per_seconds) * 1000 / i64::from(limit.messages.count.max(1));
        let place = self.promised.filter(|promised| *promised > now).unwrap_or(now).plus_ms(each_ms.max(1));
        let wait_ms = place.since_ms(now);
        if wait_ms > LONGEST_HOLD_MS {
            return None;
        }
        self.promised = Some(place);
        Some(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000 + ms)
    }

    /// As a process that was killed finds it again.
    fn read_again(allowance: &Allowance) -> Allowance {
        serde_json::from_slice(&serde_json::to_vec(allowance).unwrap()).unwrap()
    }

    fn taken(allowance: &mut Allowance, now: Timestamp, limit: &Limit, bytes: u64, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(allowance.admit(now, limit, bytes, None) == Room::Taken)).sum()
    }

    #[test]
    fn sixty_messages_and_not_one_more() {
        let (mut allowance, limit) = (Allowance::new(), Limit::CONNECTION);
        assert_eq!(taken(&mut allowance, at(0), &limit, 1, 60), 60);
        let mut again = read_again(&allowance);
        assert_eq!(again.admit(at(999), &limit, 1, None), Room::Refused);
        assert_eq!(again.admit(at(1000), &limit, 1, None), Room::Taken);
        assert_eq!(again.admit(at(1000), &limit, 1, None), Room::Refused);
    }

    #[test]
    fn ten_mebibytes_and_not_one_byte_more() {
        let (mut allowance, limit) = (Allowance::new(), Limit::CONNECTION);
        assert_eq!(taken(&mut allowance, at(0), &limit, 1 << 20, 10), 10);
        let mut again = read_again(&allowance);
        assert_eq!(again.admit(at(0), &limit, 1, None), Room::Refused);
        assert_eq!(taken(&mut again, at(0), &limit, 0, 60), 50, "a refused message takes no place of another");
        assert_eq!(taken(&mut again, at(3_600_000), &limit, 1 << 20, 11), 10);
    }

    #[test]
    fn six_hundred_commands_and_not_one_more() {
        let (mut allowance, limit) = (Allowance::new(), Limit::SESSION);
        assert_eq!(taken(&mut allowance, at(0), &limit, 9 << 20, 601), 600);
    }

    #[test]
    fn what_may_wait_gets_places_one_after_another_up_to_a_bound() {
        let (mut allowance, limit) = (Allowance::new(), Limit::CONNECTION);
        assert_eq!(taken(&mut allowance, at(0), &limit, 1, 60), 60);
        for n in 1..=120 {
            assert_eq!(allowance.admit(at(0), &limit, 1, Some(at(0))), Room::Later(n * 1000));
        }
        for _ in 0..60 {
            assert_eq!(allowance.admit(at(0), &limit, 1, Some(at(0))), Room::Refused);
        }
        assert_eq!(allowance.admit(at(0), &limit, 1, Some(at(0))), Room::Dropped);
        assert_eq!(
            allowance.admit(at(1000), &limit, 1, Some(at(1000))),
            Room::Taken,
            "who comes at its place finds room"
        );
        assert_eq!(allowance.admit(at(1000), &limit, 1, Some(at(1000))), Room::Later(120_000));
    }

    /// Somebody was away while others wrote now and then: nothing of it is over the limit.
    #[test]
    fn what_waited_is_counted_when_it_was_sealed() {
        let (mut allowance, limit) = (Allowance::new(), Limit::CONNECTION);
        let now = at(1_000 * 30_000);
        for n in 0..1_000 {
            assert_eq!(allowance.admit(now, &limit, 1, Some(at(n * 30_000))), Room::Taken, "{n}");
        }
        for _ in 0..59 + 30 {
            assert_eq!(allowance.admit(now, &limit, 1, Some(at(0))), Room::Taken, "what is left, and half a minute");
        }
        assert_eq!(allowance.admit(now, &limit, 1, Some(at(0))), Room::Later(1_000));
        assert_eq!(allowance.admit(at(1_000 * 30_000 + 1_000), &limit, 1, Some(at(0))), Room::Taken);
    }

    proptest! {
        /// Whatever a sender says about when it sealed: over the whole time it gets no more than the limit.
        #[test]
        fn lies_about_the_time_gain_nothing(lies in proptest::collection::vec((0i64..5_000, 0i64..600_000), 1..400)) {
            let (mut allowance, limit, mut now, mut granted) = (Allowance::new(), Limit::CONNECTION, 600_000i64, 0i64);
            for (pause, age) in lies {
                now += pause;
                granted += i64::from(allowance.admit(at(now), &limit, 1, Some(at(now - age))) == Room::Taken);
                // The first message counts from when it was sealed, so the time may begin that much earlier.
                prop_assert!(granted <= 60 + now / 1_000);
            }
        }

        /// Whatever was taken without a commit: a restart gives no more than the limit from the beginning on.
        #[test]
        fn a_restart_gives_nothing_back(
            runs in proptest::collection::vec((0u64..=64, 0i64..30_000, any::<bool>()), 1..60),
        ) {
            let limit = Limit { messages: Rate { count: 100, per_seconds: 60 }, ..Limit::SESSION };
            let (mut allowance, mut now, mut granted) = (Allowance::new(), 0i64, 0i64);
            let mut stored = allowance;
            let mut is_fresh = false;
            for (commands, pause, killed) in runs {
                // At most so many commands come between two stored forms, and the first one of a process stores.
                for _ in 0..commands {
                    granted += i64::from(allowance.admit(at(now), &limit, 1, None) == Room::Taken);
                    stored = if is_fresh { allowance } else { stored };
                    is_fresh = false;
                }
                if killed {
                    (allowance, is_fresh) = (read_again(&stored), true);
                } else if commands > 0 {
                    stored = allowance;
                }
                now += pause;
                prop_assert!(granted <= 100 + now * 100 / 60_000);
            }
        }
    }
}
