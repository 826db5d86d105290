//! The feed as one step sees it: the index, and what the step has changed and not committed yet. It changes no index.

use super::index::{Brief, Index};
use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::feed::{Filter, MarkedEntry, Severity, UnreadCounts, UnreadOfConnection};
use vettid_wire::id::ConnectionId;

/// An index with changes over it.
#[derive(Debug)]
pub struct View<'i> {
    index: &'i Index,
    changed: Index,
    hidden: BTreeSet<u64>,
    read_up_to: u64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The entries of the page, newest first.
    pub numbers: Vec<u64>,
    /// How many there are on all pages.
    pub found: u64,
    /// Whether older ones follow.
    pub has_more: bool,
}

impl<'i> View<'i> {
    /// The index as it is; every entry up to `read_up_to` was seen.
    #[must_use]
    pub fn new(index: &'i Index, read_up_to: u64) -> Self {
        Self { index, changed: Index::default(), hidden: BTreeSet::new(), read_up_to }
    }

    /// An entry is different now, or gone.
    pub fn change(&mut self, number: u64, now: Option<&MarkedEntry>) {
        self.hidden.insert(number);
        self.changed.remove(number);
        if let Some(marked) = now {
            self.changed.put(marked);
        }
    }

    /// The entries that pass the filter, newest first; `before` and `limit` choose the page.
    #[must_use]
    pub fn search(&self, filter: &Filter, before: Option<u64>, limit: usize) -> Found {
        let shown = |number| !self.hidden.contains(&number);
        let mut numbers: Vec<u64> = self.index.passing(filter, self.read_up_to, shown).collect();
        if !self.changed.is_empty() {
            numbers.extend(self.changed.passing(filter, self.read_up_to, |_| true));
            numbers.sort_unstable_by(|a, b| b.cmp(a));
        }
        let found = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        numbers.retain(|number| before.is_none_or(|before| *number < before));
        let has_more = numbers.len() > limit;
        numbers.truncate(limit);
        Found { numbers, found, has_more }
    }

    /// How many current entries were not seen; at most `limit` connections are named, those with most of them first.
    #[must_use]
    pub fn unread(&self, limit: usize) -> UnreadCounts {
        let (mut unread, mut urgent) = (0, 0);
        let mut by_connection: BTreeMap<ConnectionId, u64> = BTreeMap::new();
        for brief in self.briefs().filter(|brief| brief.archived_at.is_none() && !brief.is_read) {
            unread += 1;
            urgent += u64::from(brief.severity >= Severity::Warning);
            if let Some(id) = brief.connection_id {
                *by_connection.entry(id).or_default() += 1;
            }
        }
        let counted = by_connection.into_iter();
        let mut connections: Vec<_> =
            counted.map(|(connection_id, unread)| UnreadOfConnection { connection_id, unread }).collect();
        connections.sort_by_key(|of| (std::cmp::Reverse(of.unread), of.connection_id));
        connections.truncate(limit);
        UnreadCounts { unread, urgent, connections }
    }

    /// Every entry, in short; what the step changed comes last.
    pub(super) fn briefs(&self) -> impl Iterator<Item = Brief> {
        let committed = self.index.briefs(self.read_up_to).filter(|brief| !self.hidden.contains(&brief.number));
        committed.chain(self.changed.briefs(self.read_up_to))
    }
}
