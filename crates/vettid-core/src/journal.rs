//! The journal record: one commit of one vault (spec §3 R1). All changes of a step stand in one record, each
//! record names the hash of the one before. State is the projection of the records. Pure: no store is touched here.

use std::collections::BTreeMap;
use vettid_crypto::kdf::{Lp, h256};

/// A key of the projection, such as `connection/018f…`.
pub type Key = String;

/// The changes of one commit, by key: a new value, or `None` for removal.
pub type Changes = BTreeMap<Key, Option<Vec<u8>>>;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the commit, from 1 without holes.
    pub number: u64,
    /// Hash of the record before; zeros before the first.
    pub previous: [u8; 32],
    /// Whether the changes replace the whole state.
    pub kind: RecordKind,
    /// What changes.
    pub changes: Changes,
}

/// What a record does to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Changes some keys.
    Commit,
    /// Names the stored object that holds the whole state up to here; key `object`.
    Snapshot,
}

/// Why a record cannot be used. The vault must not start on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenJournal {
    /// The bytes are not a record.
    #[error("a journal record is malformed")]
    Malformed,
    /// A record is missing or out of order.
    #[error("the journal has a hole: record {expected} is missing")]
    Hole {
        /// The number that should have come.
        expected: u64,
    },
    /// The record does not follow the one before it.
    #[error("journal record {0} does not follow the record before it")]
    Chain(u64),
}

const MAGIC: &str = "vettid-journal-v1";

impl Record {
    /// The bytes to seal and store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let size = self.changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len) + 9);
        let start = Lp::labelled_with_capacity(MAGIC, 64 + size.sum::<usize>());
        let kind = u8::from(self.kind == RecordKind::Snapshot);
        let mut bytes = start.u64(self.number).raw(&self.previous).u8(kind);
        for (key, value) in &self.changes {
            bytes = match value {
                Some(value) => bytes.lp_str(key).u8(1).lp(value),
                None => bytes.lp_str(key).u8(0),
            };
        }
        bytes.finish()
    }

    /// Reads a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BrokenJournal> {
        read(bytes).ok_or(BrokenJournal::Malformed)
    }

    /// What the next record names as its predecessor.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> [u8; 32] {
        h256(bytes)
    }
}

fn read(bytes: &[u8]) -> Option<Record> {
    let mut rest = bytes.strip_prefix(MAGIC.as_bytes())?.strip_prefix(&[0])?;
    let number = u64::from_be_bytes(*take_array(&mut rest)?);
    let previous = *take_array::<32>(&mut rest)?;
    let kind = match take_array::<1>(&mut rest)? {
        [0] => RecordKind::Commit,
        [1] => RecordKind::Snapshot,
        _ => return None,
    };
    let mut changes = Changes::new();
    while !rest.is_empty() {
        let key = String::from_utf8(take_field(&mut rest)?.to_vec()).ok()?;
        let value = match take_array::<1>(&mut rest)? {
            [0] => None,
            [1] => Some(take_field(&mut rest)?.to_vec()),
            _ => return None,
        };
        if changes.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return None;
        }
        changes.insert(key, value);
    }
    Some(Record { number, previous, kind, changes })
}

fn take_array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(head)
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(*take_array(rest)?)).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// Follows a journal record by record and refuses holes and broken links.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    number: u64,
    hash: [u8; 32],
}

impl Chain {
    /// The number of the last record.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The hash of the last record.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// A record with these changes that follows the last one.
    #[must_use]
    pub fn next(&self, kind: RecordKind, changes: Changes) -> Record {
        Record { number: self.number + 1, previous: self.hash, kind, changes }
    }

    /// Takes the next record. A snapshot may also come first, when older records were removed.
    pub fn follow(&mut self, record: &Record, bytes: &[u8]) -> Result<(), BrokenJournal> {
        let starts_at_snapshot = self.number == 0 && record.kind == RecordKind::Snapshot;
        if !starts_at_snapshot {
            if record.number != self.number + 1 {
                return Err(BrokenJournal::Hole { expected: self.number + 1 });
            }
            if record.previous != self.hash {
                return Err(BrokenJournal::Chain(record.number));
            }
        }
        self.number = record.number;
        self.hash = Record::hash(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(changes: Changes) -> Record {
        Chain::default().next(RecordKind::Commit, changes)
    }

    #[test]
    fn a_hole_and_a_broken_link_are_found() {
        let mut chain = Chain::default();
        let first = chain.next(RecordKind::Commit, Changes::from([("a".into(), Some(vec![1]))]));
        chain.follow(&first, &first.to_bytes()).unwrap();
        let second = chain.next(RecordKind::Commit, Changes::new());
        let mut skipped = Chain::default();
        assert_eq!(skipped.follow(&second, &second.to_bytes()), Err(BrokenJournal::Hole { expected: 1 }));
        let mut forged = second.clone();
        forged.previous = [9; 32];
        assert_eq!(chain.follow(&forged, &forged.to_bytes()), Err(BrokenJournal::Chain(2)));
        assert_eq!(chain.follow(&second, &second.to_bytes()), Ok(()));
    }

    #[test]
    fn only_a_snapshot_may_start_in_the_middle() {
        let late = Record { number: 7, previous: [3; 32], kind: RecordKind::Snapshot, changes: Changes::new() };
        assert_eq!(Chain::default().follow(&late, &late.to_bytes()), Ok(()));
        let commit = Record { kind: RecordKind::Commit, ..late };
        assert!(Chain::default().follow(&commit, &commit.to_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn read_as_written(changes in proptest::collection::btree_map("[a-z/]{1,12}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
            let record = record(changes);
            prop_assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = b"vettid-journal-v1\0".to_vec();
            framed.extend(bytes);
            let _ = Record::from_bytes(&framed);
        }

        #[test]
        fn a_cut_record_is_not_another_record(cut in 1usize..60) {
            let whole = record(Changes::from([("key".into(), Some(vec![5; 40])), ("other".into(), None)])).to_bytes();
            let cut = whole.len().saturating_sub(cut);
            let read = Record::from_bytes(whole.get(..cut).unwrap());
            prop_assert!(read.is_err() || read.unwrap().changes.len() < 2);
        }
    }
}
