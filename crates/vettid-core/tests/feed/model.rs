//! The feed as a plain list that is read from one end to the other for each question.

use std::collections::BTreeMap;
use vettid_wire::feed::{FeedPolicy, Filter, MarkedEntry, Severity, Shelf};
use vettid_wire::time::Timestamp;

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<u64, MarkedEntry>,
    pub(crate) read_up_to: u64,
}

/// As it is compared: the letters that the tests use, without accents and capitals.
fn plain(text: &str) -> String {
    text.to_lowercase().replace('é', "e")
}

fn of_kind(marked: &MarkedEntry, kind: &str) -> bool {
    let name = marked.entry.event_type.as_str();
    name == kind || name.starts_with(&format!("{kind}."))
}

impl Model {
    fn is_read(&self, marked: &MarkedEntry) -> bool {
        marked.is_read || marked.entry.number <= self.read_up_to
    }

    fn contains(marked: &MarkedEntry, word: &str) -> bool {
        let tags = marked.tags.iter().map(|tag| tag.as_str());
        let texts = [marked.entry.summary.as_str(), marked.entry.event_type.as_str()].into_iter().chain(tags);
        texts
            .flat_map(|text| plain(text).split([' ', ',', '.', '_']).map(str::to_owned).collect::<Vec<_>>())
            .any(|known| known.contains(word))
    }

    fn passes(&self, filter: &Filter, marked: &MarkedEntry) -> bool {
        let entry = &marked.entry;
        if filter.shelf == Shelf::Current && marked.archived_at.is_some() {
            return false;
        }
        if filter.shelf == Shelf::Archive && marked.archived_at.is_none() {
            return false;
        }
        if filter.only_unread && self.is_read(marked) {
            return false;
        }
        let text = plain(filter.text.as_deref().unwrap_or(""));
        text.split_whitespace().all(|word| Self::contains(marked, word))
            && filter.kind.as_ref().is_none_or(|kind| of_kind(marked, kind))
            && filter.connection_id.is_none_or(|id| entry.connection_id == Some(id))
            && filter.since.is_none_or(|since| entry.at >= since)
            && filter.until.is_none_or(|until| entry.at < until)
            && filter.severity.is_none_or(|least| entry.severity >= least)
            && filter.tags.is_subset(&marked.tags)
    }

    /// Newest first.
    pub(crate) fn matching(&self, filter: &Filter) -> Vec<u64> {
        let passing = self.entries.values().filter(|marked| self.passes(filter, marked));
        passing.map(|marked| marked.entry.number).rev().collect()
    }

    /// What a policy takes out of the archive, or out of what is current; oldest first.
    pub(crate) fn old(&self, policy: &FeedPolicy, now: Timestamp, archived: bool) -> Vec<u64> {
        let days = if archived { policy.remove_archived_after_days } else { policy.archive_after_days };
        let Some(days) = days else { return vec![] };
        let waits = |marked: &MarkedEntry| marked.entry.severity >= Severity::Warning && !self.is_read(marked);
        let since = |marked: &MarkedEntry| marked.archived_at.unwrap_or(marked.entry.at);
        let is_old = |marked: &&MarkedEntry| now.since_ms(since(marked)) >= i64::from(days) * 24 * 3_600_000;
        let on_shelf = self.entries.values().filter(|marked| marked.archived_at.is_some() == archived);
        on_shelf.filter(|marked| !waits(marked)).filter(is_old).map(|marked| marked.entry.number).collect()
    }
}
