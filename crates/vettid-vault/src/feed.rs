//! The member's feed: entries are added in the commit of the act that they tell of. What the owner makes of an entry stands
//! beside it; neither touches the audit chain.

mod catalogue;
mod marks;
mod retention;
mod telling;

pub use catalogue::{follow, load, search, unread};
pub use marks::{archive, get, read, remove, see, tag};
pub use retention::{policy, tidy};
pub use telling::of_owner;

use crate::projection::{Draft, UnreadableState, numbered};
use vettid_wire::event::EventType;
use vettid_wire::feed::{FeedEntry, FeedList, ListFeed, MAX_ENTRIES, Outcome, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::time::Timestamp;

const COUNTER: &str = "feed";
const PREFIX: &str = "feed/";

/// What an entry says, before it has its number.
#[derive(Debug, Clone)]
pub struct Note {
    /// The event that led to it.
    pub event_type: EventType,
    /// With whom.
    pub connection_id: Option<ConnectionId>,
    /// The request that waits for the owner.
    pub request_id: Option<RequestId>,
    /// How urgent it is.
    pub severity: Severity,
    /// What came of it.
    pub outcome: Outcome,
    /// One sentence for the owner.
    pub summary: String,
}

/// Adds an entry.
pub fn add(draft: &mut Draft<'_>, now: Timestamp, note: Note) -> Result<FeedEntry, UnreadableState> {
    let number = draft.count(COUNTER)?;
    let entry = FeedEntry {
        number,
        at: now,
        event_type: note.event_type,
        connection_id: note.connection_id,
        request_id: note.request_id,
        severity: note.severity,
        outcome: note.outcome,
        summary: note.summary,
    };
    draft.put(numbered(PREFIX, number), &entry)?;
    Ok(entry)
}

/// Entries, newest first, wherever they stand.
pub fn list(draft: &Draft<'_>, query: &ListFeed) -> Result<FeedList, UnreadableState> {
    let newest = draft.counted(COUNTER)?;
    let first = query.before.map_or(newest, |before| before.saturating_sub(1).min(newest));
    let limit = usize::try_from(query.limit.min(MAX_ENTRIES)).unwrap_or(0);
    let kept = (1..=first).rev().filter_map(|number| entry(draft, number).transpose());
    Ok(FeedList { entries: kept.take(limit).collect::<Result<_, _>>()? })
}

/// The entry of this number, if it was not removed.
fn entry(draft: &Draft<'_>, number: u64) -> Result<Option<FeedEntry>, UnreadableState> {
    draft.get(&numbered(PREFIX, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;

    fn note(summary: &str) -> Note {
        Note {
            event_type: "data.request".parse().unwrap(),
            connection_id: None,
            request_id: None,
            severity: Severity::Info,
            outcome: Outcome::Done,
            summary: summary.into(),
        }
    }

    #[test]
    fn newest_first_and_paged() {
        let state = Projection::default();
        let mut draft = Draft::new(&state);
        for n in 1..=5 {
            add(&mut draft, Timestamp::default(), note(&n.to_string())).unwrap();
        }
        let page = |before, limit| {
            let list = list(&draft, &ListFeed { before, limit }).unwrap();
            list.entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 2), [5, 4]);
        assert_eq!(page(Some(4), 9), [3, 2, 1]);
        assert_eq!(page(Some(1), 9), [0u64; 0]);
        assert_eq!(page(Some(99), 1), [5]);
    }

    #[test]
    fn a_removed_entry_takes_no_place_of_a_page() {
        let state = Projection::default();
        let mut draft = Draft::new(&state);
        for n in 1..=5 {
            add(&mut draft, Timestamp::default(), note(&n.to_string())).unwrap();
        }
        assert_eq!(remove(&mut draft, &[4, 5, 9].into()).unwrap().unwrap().changed, 2);
        let list = list(&draft, &ListFeed { before: None, limit: 2 }).unwrap();
        assert_eq!(list.entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [3, 2]);
    }
}
