//! Whether the owner's app hears what the vault pushes to it. The broker tells of a push that nobody heard; from then on the vault pushes
//! no entries of the feed until the app sends something. Must never take an app for away that listens and has asked for the feed since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// An app that was away for this long is tried once more, in case it listens and its vault does not know.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What is known of the app of one vault: nothing at first, and then it is told.
#[derive(Debug, Default)]
pub(super) struct Presence {
    visits: Visits,
    unheard_since: Option<Instant>,
}

/// Counts what the app sent. A push is sent with the count of its moment, so that what is told late of an earlier one counts no more.
#[derive(Debug, Clone, Default)]
pub(super) struct Visits(Arc<AtomicU64>);

impl Visits {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Presence {
    /// For whoever sends the pushes.
    pub(super) fn visits(&self) -> Visits {
        self.visits.clone()
    }

    /// The app sent something. It listens before it asks for the feed, so whatever comes from now on is heard, or else told again.
    pub(super) fn was_here(&mut self) {
        self.visits.0.fetch_add(1, Ordering::Relaxed);
        self.unheard_since = None;
    }

    /// Nobody heard a push that was sent after so many visits.
    pub(super) fn unheard(&mut self, now: Instant, visits: u64) {
        if visits == self.visits.count() {
            self.unheard_since.get_or_insert(now);
        }
    }

    /// Whether a push may be heard.
    pub(super) fn may_hear(&mut self, now: Instant) -> bool {
        if self.unheard_since.is_some_and(|since| now.saturating_duration_since(since) >= TRIED_AGAIN_AFTER) {
            self.unheard_since = None;
        }
        self.unheard_since.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_away_from_the_first_push_that_nobody_heard_until_it_sends_something() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        assert!(presence.may_hear(now), "nothing is known of it");
        presence.unheard(now, presence.visits().count());
        assert!(!presence.may_hear(now));
        presence.was_here();
        assert!(presence.may_hear(now));
    }

    #[test]
    fn what_is_told_late_of_a_push_before_a_visit_counts_no_more() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        let before = presence.visits().count();
        presence.was_here();
        presence.unheard(now, before);
        assert!(presence.may_hear(now));
    }

    #[test]
    fn an_app_that_was_away_for_long_is_tried_once_more() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        presence.unheard(now, 0);
        // A second one that was sent before the first was told of does not make it longer.
        presence.unheard(now + TRIED_AGAIN_AFTER / 2, 0);
        assert!(!presence.may_hear(now + TRIED_AGAIN_AFTER - Duration::from_millis(1)));
        assert!(presence.may_hear(now + TRIED_AGAIN_AFTER));
        presence.unheard(now + TRIED_AGAIN_AFTER, 0);
        assert!(!presence.may_hear(now + TRIED_AGAIN_AFTER));
    }
}
