//! Connections on which too much arrives that does not open are paused for a while. This guards the processor, so it lives in
//! memory: what does not open must never cause a write.

use std::collections::HashMap;
use vettid_core::allowance::{PAUSE_MS, UNDECRYPTABLE};
use vettid_core::rate::Bucket;
use vettid_wire::id::{ConnectionId, ServiceId};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Most senders that are watched at once.
const MOST: usize = 4_096;

/// Messages of one sender that are held back in one pause.
const HELD_MOST: u32 = 64;

/// Who may publish on a subject: the broker sees to that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The user of this connection.
    Connection(ConnectionId),
    /// The user of this service.
    Service(ServiceId),
}

impl Sender {
    /// The connection or service that a subject belongs to.
    #[must_use]
    pub fn on(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::ForOwner(_, id, _) | Subject::Call(_, id, _) => Some(Self::Connection(*id)),
            Subject::FromService(_, id, _) => Some(Self::Service(id.clone())),
            _ => None,
        }
    }
}

/// What a pause means for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The sender is not paused.
    None,
    /// It is to come again after so many milliseconds.
    Wait(i64),
    /// Enough waits already: it is dropped unopened.
    Drop,
}

#[derive(Debug)]
struct Watched {
    bucket: Bucket,
    /// Messages that were held back in this pause.
    held: u32,
    last: Timestamp,
    paused_until: Option<Timestamp>,
}

/// The senders of what did not open.
#[derive(Debug, Default)]
pub struct Pauses(HashMap<Sender, Watched>);

impl Pauses {
    /// Whether a sender is paused. The first messages of a pause are held back, because good ones may be among them; a flood
    /// must not fill the room for events that wait.
    pub fn ask(&mut self, sender: &Sender, now: Timestamp) -> Pause {
        let Some(watched) = self.0.get_mut(sender) else { return Pause::None };
        let left_ms = watched.paused_until.map_or(0, |until| until.since_ms(now));
        // A clock that was set back must not make a pause longer.
        if !(1..=PAUSE_MS).contains(&left_ms) {
            return Pause::None;
        }
        if watched.held >= HELD_MOST {
            return Pause::Drop;
        }
        watched.held += 1;
        Pause::Wait(left_ms)
    }

    /// Something of this sender did not open. One more than the limit begins a pause.
    pub fn undecryptable(&mut self, sender: Sender, now: Timestamp) {
        if self.0.len() >= MOST && !self.0.contains_key(&sender) {
            self.forget_oldest();
        }
        let watched = self.0.entry(sender).or_insert_with(|| Watched {
            bucket: Bucket::full(UNDECRYPTABLE, now),
            held: 0,
            last: now,
            paused_until: None,
        });
        watched.last = now;
        if !watched.bucket.take(UNDECRYPTABLE, now) {
            tracing::warn!("too much arrives on a connection that does not open; it is paused");
            (watched.paused_until, watched.held) = (Some(now.plus_ms(PAUSE_MS)), 0);
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, watched)| watched.last).map(|(sender, _)| sender.clone());
        if let Some(oldest) = oldest {
            self.0.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000 + ms)
    }

    fn sender(n: u8) -> Sender {
        Sender::Connection(ConnectionId::from_bytes([n; 16]))
    }

    #[test]
    fn the_hundred_and_first_begins_a_pause_of_ten_seconds_for_this_sender_alone() {
        let mut pauses = Pauses::default();
        for _ in 0..100 {
            pauses.undecryptable(sender(1), at(0));
        }
        assert_eq!(pauses.ask(&sender(1), at(0)), Pause::None);
        pauses.undecryptable(sender(1), at(0));
        assert_eq!(pauses.ask(&sender(1), at(0)), Pause::Wait(10_000));
        assert_eq!(pauses.ask(&sender(1), at(9_999)), Pause::Wait(1));
        assert_eq!(pauses.ask(&sender(1), at(10_000)), Pause::None);
        assert_eq!(pauses.ask(&sender(1), at(-60_000)), Pause::None);
        assert_eq!(pauses.ask(&sender(2), at(0)), Pause::None);
        let held = (0..100).filter(|_| pauses.ask(&sender(1), at(1)) == Pause::Wait(9_999)).count();
        assert_eq!(held, 62, "two of the sixty-four came before");
        assert_eq!(pauses.ask(&sender(1), at(1)), Pause::Drop);
    }

    #[test]
    fn no_more_senders_are_watched_than_the_bound() {
        let mut pauses = Pauses::default();
        for n in 0..MOST + 10 {
            let service = Sender::Service(format!("s{n}").parse().unwrap());
            pauses.undecryptable(service, at(i64::try_from(n).unwrap()));
        }
        assert_eq!(pauses.0.len(), MOST);
        assert!(!pauses.0.contains_key(&Sender::Service("s0".parse().unwrap())));
    }
}
