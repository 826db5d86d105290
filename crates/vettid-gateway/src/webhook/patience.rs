//! How long a receiver that takes nothing is waited for: what follows on an attempt that failed. Pure; time, limits and
//! randomness are given.

use super::{Delivery, Webhook};
use crate::config::Limits;
use vettid_wire::time::Timestamp;

/// Longest pause between two attempts, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 6 * 3600 * 1000;

/// What follows on an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// It is tried again then.
    Again(Timestamp),
    /// It was tried for as long as anything is: it is set aside.
    Aside,
}

impl Delivery {
    /// What follows on an attempt that failed now.
    pub(crate) fn after_failure(&self, now: Timestamp, limits: &Limits, random: [u8; 2]) -> AfterFailure {
        if now.since_ms(self.tried_since) >= limits.webhook_give_up_ms {
            return AfterFailure::Aside;
        }
        AfterFailure::Again(now.plus_ms(pause_ms(limits, self.attempts, random)))
    }
}

impl Webhook {
    /// Whether it is paused together with an event that is set aside: it took nothing since that event was tried first.
    pub(crate) fn is_paused_with(&self, aside: &Delivery) -> bool {
        self.taken_at.is_none_or(|at| at < aside.tried_since)
    }
}

/// Twice as long each time, and at least half of that, so that many events do not come at the same moment.
fn pause_ms(limits: &Limits, attempts: u32, random: [u8; 2]) -> i64 {
    let full_ms = limits.webhook_again_ms.saturating_mul(1 << attempts.min(20)).min(LONGEST_PAUSE_MS);
    let part = u64::from(u16::from_be_bytes(random));
    let pause_ms = full_ms / 2 + full_ms / 2 * part / u64::from(u16::MAX);
    i64::try_from(pause_ms.max(1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::outbox::Outbox;
    use crate::webhook::{Event, EventKind, WebhookId};
    use std::sync::Arc;
    use vettid_crypto::secret::Secret32;

    const HOUR_MS: i64 = 3600 * 1000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    fn webhook(taken_at: Option<Timestamp>) -> Webhook {
        Webhook {
            webhook_id: WebhookId::from_bytes([1; 16]),
            url: "https://shop.example/hook".to_owned(),
            events: std::collections::BTreeSet::new(),
            with_answers: false,
            secret: Secret32::from_bytes([1; 32]),
            former_secret: None,
            secret_at: at(0),
            created_at: at(0),
            taken_at,
            paused_at: None,
        }
    }

    fn delivery(sequence: u64, now: Timestamp) -> Delivery {
        let event =
            Event { kind: EventKind::WebhookTest, connection_id: None, body: serde_json::json!({}), answer: None };
        Delivery::of(&event, WebhookId::from_bytes([2; 16]), &webhook(None), sequence, now)
    }

    #[test]
    fn pauses_double_up_to_six_hours_and_differ() {
        let limits = Limits::default();
        assert_eq!(pause_ms(&limits, 0, [0, 0]), 2_500);
        assert_eq!(pause_ms(&limits, 0, [255, 255]), 5_000);
        assert_eq!(pause_ms(&limits, 3, [255, 255]), 40_000);
        assert_eq!(pause_ms(&limits, u32::MAX, [255, 255]), 6 * 3600 * 1000);
        let sum_ms: i64 = (0..20).map(|attempts| pause_ms(&limits, attempts, [0, 0])).sum();
        assert!(sum_ms < limits.webhook_give_up_ms, "there are more than twenty attempts");
    }

    /// Plays the queue by the clock against a receiver that takes nothing; when it is set aside, and after how many attempts.
    fn until_aside(random: [u8; 2]) -> (Timestamp, u32) {
        let limits = Limits::default();
        let mut outbox = Outbox::new(10);
        outbox.add(Arc::new(delivery(1, at(0))));
        loop {
            let now = outbox.next_at().unwrap();
            let due = outbox.due(now, 10);
            let [tried] = due.as_slice() else { panic!("one waits: {due:?}") };
            match tried.after_failure(now, &limits, random) {
                AfterFailure::Aside => {
                    let aside = Delivery { set_aside_at: Some(now), ..(**tried).clone() };
                    outbox.aside(Arc::new(aside));
                    assert!(outbox.next_at().is_none());
                    assert_eq!(outbox.counts(tried.webhook_id), (0, 1));
                    return (now, tried.attempts + 1);
                }
                AfterFailure::Again(next_at) => {
                    assert!(next_at > now && next_at.since_ms(now) <= 6 * HOUR_MS);
                    outbox.again(Arc::new(Delivery { attempts: tried.attempts + 1, next_at, ..(**tried).clone() }));
                }
            }
        }
    }

    #[test]
    fn what_nobody_takes_is_tried_for_three_days_and_then_set_aside() {
        for random in [[0, 0], [128, 0], [255, 255]] {
            let (aside, attempts) = until_aside(random);
            let tried_ms = aside.since_ms(at(0));
            assert!((3 * DAY_MS..3 * DAY_MS + 6 * HOUR_MS).contains(&tried_ms), "{tried_ms}");
            assert!((20..60).contains(&attempts), "{attempts}");
        }
        let limits = Limits::default();
        let last = delivery(1, at(0)).after_failure(at(3 * DAY_MS - 1), &limits, [0, 0]);
        assert_eq!(last, AfterFailure::Again(at(3 * DAY_MS - 1 + 2_500)));
        assert_eq!(delivery(1, at(0)).after_failure(at(3 * DAY_MS), &limits, [0, 0]), AfterFailure::Aside);
    }

    #[test]
    fn a_webhook_is_paused_after_three_days_without_anything_taken_and_not_before() {
        let aside = delivery(1, at(DAY_MS));
        assert!(webhook(None).is_paused_with(&aside), "it never took anything");
        assert!(webhook(Some(at(DAY_MS - 1))).is_paused_with(&aside), "nothing since this was tried first");
        assert!(!webhook(Some(at(DAY_MS))).is_paused_with(&aside));
        assert!(!webhook(Some(at(2 * DAY_MS))).is_paused_with(&aside), "it takes other events");
        // What happens while it is paused is set aside at once, and nothing is due.
        let paused = Webhook { paused_at: Some(at(4 * DAY_MS)), ..webhook(None) };
        let event =
            Event { kind: EventKind::WebhookTest, connection_id: None, body: serde_json::json!({}), answer: None };
        let later = Delivery::of(&event, WebhookId::from_bytes([3; 16]), &paused, 2, at(5 * DAY_MS));
        let mut outbox = Outbox::new(10);
        outbox.add(Arc::new(later));
        assert!(outbox.due(at(9 * DAY_MS), 10).is_empty() && outbox.next_at().is_none());
        assert_eq!(outbox.counts(paused.webhook_id), (0, 1));
    }
}
