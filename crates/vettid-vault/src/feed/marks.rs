//! What the owner makes of entries: seen, archived, tagged, removed. The entries themselves never change.

use super::{PREFIX, entry};
use crate::projection::{Draft, UnreadableState, numbered};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use vettid_wire::feed::{
    ArchiveEntries, FeedChanged, MAX_ENTRIES, MAX_TAGS, MarkedEntry, ReadEntries, Tag, TagEntries,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Under this prefix stand the marks of entries that have any.
pub(super) const MARKS: &str = "feed_mark/";
/// Every entry up to this one was seen.
pub(super) const READ_UP_TO: &str = "feed_read_up_to";

type Changed = Result<Result<FeedChanged, RefusalCode>, UnreadableState>;

/// The marks of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marks {
    is_read: bool,
    archived_at: Option<Timestamp>,
    tags: BTreeSet<Tag>,
}

/// The entry of this number with its marks.
pub fn get(draft: &Draft<'_>, number: u64) -> Result<Option<MarkedEntry>, UnreadableState> {
    let Some(entry) = entry(draft, number)? else { return Ok(None) };
    let Marks { is_read, archived_at, tags } = marks(draft, number)?;
    let is_read = is_read || number <= read_up_to(draft)?;
    Ok(Some(MarkedEntry { entry, is_read, archived_at, tags }))
}

/// Every entry up to this one was seen.
pub(super) fn read_up_to(draft: &Draft<'_>) -> Result<u64, UnreadableState> {
    Ok(draft.get(READ_UP_TO)?.unwrap_or(0))
}

/// Puts tags on entries, or takes them off. If one entry would have too many, none changes.
pub fn tag(draft: &mut Draft<'_>, asked: &TagEntries) -> Changed {
    for &number in &asked.numbers {
        let tags = marks(draft, number)?.tags;
        if tags.union(&asked.add).filter(|tag| !asked.remove.contains(tag)).count() > MAX_TAGS {
            return Ok(Err(RefusalCode::InvalidRequest));
        }
    }
    change(draft, &asked.numbers, |marks| {
        marks.tags.extend(asked.add.iter().cloned());
        marks.tags.retain(|tag| !asked.remove.contains(tag));
    })
}

/// Moves entries into the archive, or back. What is archived already keeps its time.
pub fn archive(draft: &mut Draft<'_>, now: Timestamp, asked: &ArchiveEntries) -> Changed {
    change(draft, &asked.numbers, |marks| {
        marks.archived_at = asked.archive.then(|| marks.archived_at.unwrap_or(now));
    })
}

/// Marks entries as seen.
pub fn read(draft: &mut Draft<'_>, asked: &ReadEntries) -> Changed {
    match asked {
        ReadEntries::Numbers(numbers) => change(draft, numbers, |marks| marks.is_read = true),
        ReadEntries::UpTo(number) => {
            let (before, last) = (read_up_to(draft)?, (*number).min(draft.counted(super::COUNTER)?));
            if last <= before {
                return Ok(Ok(FeedChanged { changed: 0 }));
            }
            draft.put(READ_UP_TO.into(), &last)?;
            Ok(Ok(FeedChanged { changed: last - before }))
        }
    }
}

/// Removes entries with their marks.
pub fn remove(draft: &mut Draft<'_>, numbers: &BTreeSet<u64>) -> Changed {
    if is_too_many(numbers) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let mut changed = 0;
    for &number in numbers {
        changed += u64::from(draft.has(&numbered(PREFIX, number)));
        forget(draft, number);
    }
    Ok(Ok(FeedChanged { changed }))
}

/// Removes one entry.
pub(super) fn forget(draft: &mut Draft<'_>, number: u64) {
    draft.remove(&numbered(PREFIX, number));
    draft.remove(&numbered(MARKS, number));
}

/// Moves one entry into the archive.
pub(super) fn shelve(draft: &mut Draft<'_>, now: Timestamp, number: u64) -> Result<(), UnreadableState> {
    let before = marks(draft, number)?;
    draft.put(numbered(MARKS, number), &Marks { archived_at: Some(now), ..before })
}

/// Marks one entry as seen.
pub fn see(draft: &mut Draft<'_>, number: u64) -> Result<(), UnreadableState> {
    let before = marks(draft, number)?;
    draft.put(numbered(MARKS, number), &Marks { is_read: true, ..before })
}

fn marks(draft: &Draft<'_>, number: u64) -> Result<Marks, UnreadableState> {
    Ok(draft.get(&numbered(MARKS, number))?.unwrap_or_default())
}

fn is_too_many(numbers: &BTreeSet<u64>) -> bool {
    u32::try_from(numbers.len()).is_ok_and(|count| count > MAX_ENTRIES)
}

/// Changes the marks of entries; numbers of no entry are passed over.
fn change(draft: &mut Draft<'_>, numbers: &BTreeSet<u64>, act: impl Fn(&mut Marks)) -> Changed {
    if is_too_many(numbers) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let mut changed = 0;
    for &number in numbers.iter().filter(|number| **number > 0) {
        let before = marks(draft, number)?;
        let mut after = before.clone();
        act(&mut after);
        if after != before && draft.has(&numbered(PREFIX, number)) {
            draft.put(numbered(MARKS, number), &after)?;
            changed += 1;
        }
    }
    Ok(Ok(FeedChanged { changed }))
}
