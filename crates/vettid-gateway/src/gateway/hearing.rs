//! Whether durable events are heard: the inbox is opened again and again when it fails, and a gateway that does so for long must not
//! say that it works. Pure.

use vettid_wire::time::Timestamp;

/// An inbox that was lost and is open again within this time, in milliseconds, is nobody's concern; one that stays open this long works.
const PATIENCE_MS: i64 = 5_000;

/// How it is with the inbox.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// When it failed first, unless it has worked since.
    failed_at: Option<Timestamp>,
    /// When it was opened again after that.
    opened_at: Option<Timestamp>,
}

impl Hearing {
    /// The inbox failed.
    pub(super) fn failed(&mut self, now: Timestamp) {
        // What fails as soon as it is opened has not worked.
        if !self.was_open_for_long(now) && self.failed_at.is_some() {
            self.opened_at = None;
        } else {
            *self = Self { failed_at: Some(now), opened_at: None };
        }
    }

    /// The inbox is open again.
    pub(super) fn opened(&mut self, now: Timestamp) {
        self.opened_at = Some(now);
    }

    /// An event came.
    pub(super) fn heard(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing has been heard for so long that somebody should look.
    pub(super) fn is_deaf(&self, now: Timestamp) -> bool {
        self.failed_at.is_some_and(|at| now.since_ms(at) >= PATIENCE_MS) && !self.was_open_for_long(now)
    }

    fn was_open_for_long(&self, now: Timestamp) -> bool {
        self.opened_at.is_some_and(|at| now.since_ms(at) >= PATIENCE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn a_short_loss_is_no_concern_and_a_long_one_is_until_the_inbox_works() {
        let mut hearing = Hearing::default();
        assert!(!hearing.is_deaf(at(0)));
        hearing.failed(at(0));
        assert!(!hearing.is_deaf(at(4_999)) && hearing.is_deaf(at(5_000)));
        hearing.opened(at(6_000));
        assert!(hearing.is_deaf(at(10_999)) && !hearing.is_deaf(at(11_000)));
        hearing.failed(at(20_000));
        assert!(!hearing.is_deaf(at(20_000)), "it worked, and this is a new loss");
        hearing.opened(at(21_000));
        assert!(!hearing.is_deaf(at(24_000)));
    }

    #[test]
    fn an_inbox_that_fails_as_soon_as_it_is_open_does_not_work() {
        let mut hearing = Hearing::default();
        for second in 0..10 {
            hearing.failed(at(second * 1_000));
            hearing.opened(at(second * 1_000 + 500));
        }
        assert!(hearing.is_deaf(at(10_000)));
        hearing.heard();
        assert!(!hearing.is_deaf(at(10_000)));
    }
}
