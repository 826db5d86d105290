//! The index of the feed over the committed state, and searches in it. It follows the commits, and goes with the vault's
//! memory when the vault is locked.

use super::PREFIX;
use super::marks::{MARKS, get, read_up_to};
use crate::projection::{Draft, Projection, UnreadableState};
use std::collections::BTreeSet;
use vettid_core::feed::{Index, View};
use vettid_core::journal::Changes;
use vettid_wire::feed::{FoundEntries, MAX_ENTRIES, MAX_TEXT_BYTES, MarkedEntry, SearchFeed, UnreadCounts};
use vettid_wire::refusal::RefusalCode;

/// The index of everything in the state.
pub fn load(state: &Projection) -> Result<Index, UnreadableState> {
    let draft = Draft::new(state);
    let mut index = Index::default();
    for number in draft.keys(PREFIX, usize::MAX).iter().filter_map(|key| number_of(key)) {
        if let Some(marked) = get(&draft, number)? {
            index.put(&marked);
        }
    }
    Ok(index)
}

/// The state has changed: so has the index. An entry that cannot be read is not found any more.
pub fn follow(index: &mut Index, state: &Projection, changes: &Changes) {
    let draft = Draft::new(state);
    for number in changes.keys().filter_map(|key| number_of(key)).collect::<BTreeSet<_>>() {
        match get(&draft, number) {
            Ok(Some(marked)) => index.put(&marked),
            Ok(None) => index.remove(number),
            Err(failure) => {
                tracing::error!(error = %failure, "an entry of the feed cannot be read");
                index.remove(number);
            }
        }
    }
}

/// The entries that pass, newest first.
pub fn search(
    index: &Index,
    draft: &Draft<'_>,
    asked: &SearchFeed,
) -> Result<Result<FoundEntries, RefusalCode>, UnreadableState> {
    if asked.filter.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let limit = usize::try_from(asked.limit.min(MAX_ENTRIES)).unwrap_or(0);
    let found = view(index, draft)?.search(&asked.filter, asked.before, limit);
    let entries = found.numbers.iter().filter_map(|number| get(draft, *number).transpose());
    let entries = entries.collect::<Result<Vec<MarkedEntry>, _>>()?;
    let next_before = found.numbers.last().copied().filter(|_| found.has_more);
    Ok(Ok(FoundEntries { entries, found: found.found, next_before }))
}

/// How much the owner has not seen.
pub fn unread(index: &Index, draft: &Draft<'_>) -> Result<UnreadCounts, UnreadableState> {
    Ok(view(index, draft)?.unread(usize::try_from(MAX_ENTRIES).unwrap_or(0)))
}

/// The index, and over it what the commit in the making changes.
pub(super) fn view<'i>(index: &'i Index, draft: &Draft<'_>) -> Result<View<'i>, UnreadableState> {
    let mut view = View::new(index, read_up_to(draft)?);
    let changed = [PREFIX, MARKS].into_iter().flat_map(|prefix| draft.changed(prefix));
    for number in changed.filter_map(number_of).collect::<BTreeSet<_>>() {
        view.change(number, get(draft, number)?.as_ref());
    }
    Ok(view)
}

/// The entry that a key is about.
fn number_of(key: &str) -> Option<u64> {
    key.strip_prefix(PREFIX).or_else(|| key.strip_prefix(MARKS))?.parse().ok()
}
