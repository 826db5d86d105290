//! The index: one row for each entry, with its words as numbers. A search looks the words up once and then passes over the
//! rows, so its time grows with the number of entries and never with the length of their texts.

use super::text::words;
use super::words::{Id, Set, Words};
use std::collections::BTreeSet;
use std::fmt;
use vettid_wire::feed::{Filter, MarkedEntry, Severity, Shelf};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// Everything that a search asks of one entry.
#[derive(Clone, Copy)]
struct Row {
    number: u64,
    at: Timestamp,
    connection_id: Option<ConnectionId>,
    archived_at: Option<Timestamp>,
    /// Its words, then its tags, stand here in the list of all.
    from: u32,
    words: u16,
    tags: u16,
    kind: Id,
    severity: Severity,
    is_read: bool,
    is_gone: bool,
}

/// The index over the entries of one vault.
#[derive(Default)]
pub struct Index {
    /// By number.
    rows: Vec<Row>,
    /// Words and tags of all rows.
    ids: Vec<Id>,
    gone: usize,
    unused: usize,
    words: Words,
    tags: Words,
    kinds: Words,
}

/// What the entries say is not shown.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} entries)", self.len())
    }
}

/// What of an entry does not need its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) connection_id: Option<ConnectionId>,
    pub(super) archived_at: Option<Timestamp>,
    pub(super) severity: Severity,
    pub(super) is_read: bool,
}

impl Index {
    /// Puts an entry in, in place of what stood under its number.
    pub fn put(&mut self, marked: &MarkedEntry) {
        let entry = &marked.entry;
        self.remove(entry.number);
        let kind = self.kinds.take(entry.event_type.as_str());
        let found = self.words_of(marked);
        let (from, words) = (u32::try_from(self.ids.len()).unwrap_or(u32::MAX), found.len());
        self.ids.extend(found);
        self.ids.extend(marked.tags.iter().map(|tag| self.tags.take(tag.as_str())));
        let row = Row {
            number: entry.number,
            at: entry.at,
            connection_id: entry.connection_id,
            archived_at: marked.archived_at,
            from,
            words: u16::try_from(words).unwrap_or(u16::MAX),
            tags: u16::try_from(marked.tags.len()).unwrap_or(u16::MAX),
            kind,
            severity: entry.severity,
            is_read: marked.is_read,
            is_gone: false,
        };
        match self.rows.binary_search_by_key(&entry.number, |row| row.number) {
            Ok(place) => {
                self.gone -= 1;
                self.rows.splice(place..=place, [row]);
            }
            Err(place) => self.rows.insert(place, row),
        }
    }

    /// The different words of an entry; a text has fewer than 65,536 of them.
    fn words_of(&mut self, marked: &MarkedEntry) -> BTreeSet<Id> {
        let mut found: BTreeSet<Id> = BTreeSet::new();
        let mut texts = vec![marked.entry.summary.as_str(), marked.entry.event_type.as_str()];
        texts.extend(marked.tags.iter().map(|tag| tag.as_str()));
        for text in texts {
            words(text, |word| {
                let id = self.words.take(word);
                if !found.insert(id) {
                    self.words.give_back(&[id]);
                }
            });
        }
        found
    }

    /// Takes an entry out.
    pub fn remove(&mut self, number: u64) {
        let place = self.rows.binary_search_by_key(&number, |row| row.number).ok();
        let Some(row) = place.and_then(|place| self.rows.get_mut(place)).filter(|row| !row.is_gone) else { return };
        row.is_gone = true;
        let row = *row;
        self.words.give_back(words_in(&self.ids, &row));
        self.tags.give_back(tags_in(&self.ids, &row));
        self.kinds.give_back(&[row.kind]);
        self.gone += 1;
        self.unused += usize::from(row.words) + usize::from(row.tags);
        if self.gone > self.len() / 2 + 64 || self.unused > self.ids.len() / 2 + 1024 {
            self.close_up();
        }
    }

    /// Forgets the rows of what was taken out.
    fn close_up(&mut self) {
        let before = std::mem::take(&mut self.ids);
        self.rows.retain(|row| !row.is_gone);
        for row in &mut self.rows {
            let from = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
            self.ids.extend(words_in(&before, row));
            self.ids.extend(tags_in(&before, row));
            row.from = from;
        }
        (self.gone, self.unused) = (0, 0);
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - self.gone
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the entries that pass, newest first; `is_shown` is asked before.
    pub(super) fn passing<'i>(
        &'i self,
        filter: &'i Filter,
        read_up_to: u64,
        is_shown: impl Fn(u64) -> bool + 'i,
    ) -> impl Iterator<Item = u64> + 'i {
        let wanted = Wanted::of(self, filter, read_up_to);
        let passes =
            move |row: &&Row| is_shown(row.number) && wanted.as_ref().is_some_and(|wanted| wanted.has(&self.ids, row));
        self.rows.iter().rev().filter(|row| !row.is_gone).filter(passes).map(|row| row.number)
    }

    /// Every entry, oldest first, in short.
    pub(super) fn briefs(&self, read_up_to: u64) -> impl Iterator<Item = Brief> {
        self.rows.iter().filter(|row| !row.is_gone).map(move |row| Brief {
            number: row.number,
            at: row.at,
            connection_id: row.connection_id,
            archived_at: row.archived_at,
            severity: row.severity,
            is_read: row.is_read || row.number <= read_up_to,
        })
    }
}

fn words_in<'i>(ids: &'i [Id], row: &Row) -> &'i [Id] {
    let from = row.from as usize;
    ids.get(from..from + usize::from(row.words)).unwrap_or_default()
}

fn tags_in<'i>(ids: &'i [Id], row: &Row) -> &'i [Id] {
    let from = row.from as usize + usize::from(row.words);
    ids.get(from..from + usize::from(row.tags)).unwrap_or_default()
}

/// A filter with its texts looked up.
struct Wanted<'f> {
    filter: &'f Filter,
    read_up_to: u64,
    /// For each word of the text, the words that it is part of.
    words: Vec<Set>,
    kinds: Option<Set>,
    tags: Vec<Id>,
}

impl<'f> Wanted<'f> {
    /// `None` if no entry can pass.
    fn of(index: &Index, filter: &'f Filter, read_up_to: u64) -> Option<Self> {
        let mut sets = vec![];
        words(filter.text.as_deref().unwrap_or_default(), |word| {
            sets.push(index.words.containing(word));
        });
        let kinds = filter.kind.as_deref().map(|kind| index.kinds.passing(|known| is_of_kind(known, kind)));
        let tags = filter.tags.iter().map(|tag| index.tags.get(tag.as_str())).collect::<Option<_>>()?;
        Some(Self { filter, read_up_to, words: sets, kinds, tags })
    }

    fn has(&self, ids: &[Id], row: &Row) -> bool {
        let filter = self.filter;
        let on_shelf = match filter.shelf {
            Shelf::Current => row.archived_at.is_none(),
            Shelf::Archive => row.archived_at.is_some(),
            Shelf::All => true,
        };
        on_shelf
            && !(filter.only_unread && (row.is_read || row.number <= self.read_up_to))
            && filter.severity.is_none_or(|least| row.severity >= least)
            && filter.since.is_none_or(|since| row.at >= since)
            && filter.until.is_none_or(|until| row.at < until)
            && (filter.connection_id.is_none() || filter.connection_id == row.connection_id)
            && self.kinds.as_ref().is_none_or(|kinds| kinds.has(row.kind))
            && (self.tags.is_empty() || self.tags.iter().all(|tag| tags_in(ids, row).contains(tag)))
            && self.words.iter().all(|word| word.has_any(words_in(ids, row)))
    }
}

/// Whether an event type is this one, or begins with it up to a dot.
fn is_of_kind(event_type: &str, kind: &str) -> bool {
    event_type.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
