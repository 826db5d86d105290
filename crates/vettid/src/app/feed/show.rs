//! How entries look. What came of an event stands in its sentence.

use super::super::badge;
use crate::output::{Page, Show, minute};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use vettid_client::directory::Badge;
use vettid_wire::feed::{
    FeedChanged, FeedEntry, FeedPolicy, FoundEntries, MarkedEntry, Outcome, Severity, Tag, UnreadCounts,
};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// An entry with its marks, as one object.
#[derive(Debug, Serialize)]
pub(super) struct EntryView {
    #[serde(flatten)]
    entry: FeedEntry,
    is_read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<Timestamp>,
    tags: BTreeSet<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<Badge>,
}

impl EntryView {
    /// An entry, with how well the service is known that it is about.
    pub(super) fn new(marked: MarkedEntry, badges: &BTreeMap<ConnectionId, Badge>) -> Self {
        let MarkedEntry { entry, is_read, archived_at, tags } = marked;
        let badge = entry.connection_id.and_then(|id| badges.get(&id).cloned());
        Self { entry, is_read, archived_at, tags, badge }
    }
}

/// A page of entries.
#[derive(Debug, Serialize)]
pub(super) struct FoundView {
    entries: Vec<EntryView>,
    found: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
}

impl FoundView {
    /// A page, with how well the services are known that it is about.
    pub(super) fn new(found: FoundEntries, badges: &BTreeMap<ConnectionId, Badge>) -> Self {
        let entries = found.entries.into_iter().map(|marked| EntryView::new(marked, badges)).collect();
        Self { entries, found: found.found, next_before: found.next_before }
    }
}

impl Show for FoundView {
    fn show(&self, page: &mut Page) {
        if self.entries.is_empty() {
            page.line("No entries.");
        }
        self.entries.iter().for_each(|entry| page.line(entry.line()));
        if let Some(before) = self.next_before {
            page.gap();
            page.line(format!("{} entries in all.", self.found));
            page.next("For older entries, the same command with", &format!("--before {before}"));
        }
    }
}

impl EntryView {
    fn line(&self) -> String {
        let tags: String = self.tags.iter().map(|tag| format!(" #{tag}")).collect();
        let new = if self.is_read { "" } else { "  (new)" };
        let badge = self.badge.as_ref().map_or_else(String::new, |badge| format!("  [{}]", badge::mark(badge)));
        format!("{:>6} {}{badge}{tags}{new}", self.entry.number, line(&self.entry))
    }
}

impl Show for EntryView {
    fn show(&self, page: &mut Page) {
        self.entry.show(page);
        page.field("number", self.entry.number.to_string());
        page.field("kind", self.entry.event_type.to_string());
        if let Some(id) = self.entry.connection_id {
            page.field("connection", id.to_string());
        }
        if let Some(badge) = &self.badge {
            page.field("service", badge::words(badge));
        }
        page.field("seen", if self.is_read { "yes" } else { "no" });
        if let Some(at) = self.archived_at {
            page.field("archived", minute(at));
        }
        if !self.tags.is_empty() {
            page.field("tags", self.tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "));
        }
    }
}

/// An entry that was just made.
impl Show for FeedEntry {
    fn show(&self, page: &mut Page) {
        page.line(line(self));
        match (self.outcome, self.request_id, self.connection_id) {
            (Outcome::Pending, Some(request), _) => {
                page.line(format!("    to answer: vettid app request approve {request}   or   deny"));
            }
            (Outcome::Pending, None, Some(connection)) => {
                page.line(format!("    to look: vettid app connection review {connection}"));
            }
            _ => {}
        }
    }
}

impl Show for FeedChanged {
    fn show(&self, page: &mut Page) {
        page.line(match self.changed {
            0 => "Nothing changed.".to_owned(),
            1 => "1 entry changed.".to_owned(),
            changed => format!("{changed} entries changed."),
        });
    }
}

impl Show for UnreadCounts {
    fn show(&self, page: &mut Page) {
        page.line(match (self.unread, self.urgent) {
            (0, _) => "You have seen everything.".to_owned(),
            (unread, 0) => format!("{unread} not seen yet."),
            (unread, urgent) => format!("{unread} not seen yet, {urgent} of them warnings or alarms."),
        });
        self.connections.iter().for_each(|of| page.field(&of.unread.to_string(), of.connection_id.to_string()));
    }
}

/// What happens to old entries.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct PolicyView(pub(super) FeedPolicy);

impl Show for PolicyView {
    fn show(&self, page: &mut Page) {
        let days = |days: u32| if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        page.line(match self.0.archive_after_days {
            Some(after) => format!("Entries go into the archive after {}.", days(after)),
            None => "Entries stay where they are until you archive them.".to_owned(),
        });
        page.line(match self.0.remove_archived_after_days {
            Some(after) => format!("The archive keeps them for {}.", days(after)),
            None => "The archive keeps them until you remove them.".to_owned(),
        });
    }
}

/// When and what.
fn line(entry: &FeedEntry) -> String {
    let mark = match entry.severity {
        Severity::Info => " ",
        Severity::Notice => "*",
        Severity::Warning => "!",
        Severity::Alarm => "‼",
    };
    format!("{mark} {}  {}", minute(entry.at), entry.summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_and_what() {
        let entry = FeedEntry {
            number: 1,
            at: "2026-11-21T06:15:00.000Z".parse().unwrap(),
            event_type: "messaging.text".parse().unwrap(),
            connection_id: None,
            request_id: None,
            severity: Severity::Notice,
            outcome: Outcome::Done,
            summary: "New message from Bob".to_owned(),
        };
        assert_eq!(line(&entry), "* 2026-11-21 06:15 UTC  New message from Bob");
        let tags = ["tax".parse().unwrap()].into();
        let marked = EntryView { entry, is_read: false, archived_at: None, tags, badge: None };
        assert_eq!(marked.line(), "     1 * 2026-11-21 06:15 UTC  New message from Bob #tax  (new)");
    }
}
