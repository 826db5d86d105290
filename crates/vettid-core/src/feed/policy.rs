//! What a policy does to old entries. It says which; the shell does it. An unread warning or alarm stays where it is.

use super::View;
use super::index::Brief;
use vettid_wire::feed::{FeedPolicy, Severity};
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Entries whose time has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// They go into the archive.
    pub archive: Vec<u64>,
    /// They are removed.
    pub remove: Vec<u64>,
    /// Whether there are more than were asked for.
    pub has_more: bool,
}

/// The entries whose time has come, at most `at_most` of them.
#[must_use]
pub fn due(view: &View<'_>, policy: &FeedPolicy, now: Timestamp, at_most: usize) -> Due {
    let mut due = Due::default();
    let is_over = |since: Timestamp, days: Option<u32>| days.is_some_and(|days| is_past(now, since, days));
    for brief in view.briefs().filter(|brief| !waits(brief)) {
        let list = match brief.archived_at {
            Some(archived_at) if is_over(archived_at, policy.remove_archived_after_days) => &mut due.remove,
            None if is_over(brief.at, policy.archive_after_days) => &mut due.archive,
            _ => continue,
        };
        list.push(brief.number);
        if due.archive.len() + due.remove.len() > at_most {
            cut(&mut due, brief.number);
            break;
        }
    }
    due
}

fn waits(brief: &Brief) -> bool {
    brief.severity >= Severity::Warning && !brief.is_read
}

/// The last one was one too many.
fn cut(due: &mut Due, number: u64) {
    due.archive.retain(|other| *other != number);
    due.remove.retain(|other| *other != number);
    due.has_more = true;
}

fn is_past(now: Timestamp, since: Timestamp, days: u32) -> bool {
    now.since_ms(since) >= i64::from(days) * DAY_MS
}
