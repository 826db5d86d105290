//! Journal records and snapshots as the store sees them: sealed by the vault's storage key, each bound to its vault
//! and place, so that the store can neither read nor swap them.

use crate::manager::CannotStart;
use rand_core::CryptoRng;
use vettid_core::journal::{Chain, Changes, Record, RecordKind};
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::kdf::{Lp, h256};
use vettid_wire::id::MemberId;

/// Key under which a snapshot record names its object.
const OBJECT: &str = "object";
/// Key under which a snapshot record names the objects of earlier snapshots that may be there, one a line.
const BEFORE: &str = "before";
/// Key under which a snapshot record keeps the hash of its object.
const HASH: &str = "hash";

/// A record or snapshot does not open: another key, another vault, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal does not open under this vault's storage key")]
pub struct Unopened;

/// The sealed form of one vault's journal.
#[derive(Debug)]
pub struct SealedJournal {
    guid: MemberId,
    key: StorageKey,
}

impl SealedJournal {
    /// The journal of this vault under this key.
    #[must_use]
    pub fn new(guid: MemberId, key: StorageKey) -> Self {
        Self { guid, key }
    }

    /// `number[8] ‖ sealed record`.
    #[must_use]
    pub fn seal_record(&self, record: &Record, bytes: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let number = record.number.to_be_bytes();
        let sealed = at_rest::seal(&self.key, &self.aad("record", &number), bytes, rng);
        [number.as_slice(), &sealed].concat()
    }

    /// The bytes of a record.
    pub fn open_record(&self, stored: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (number, sealed) = stored.split_first_chunk::<8>().ok_or(Unopened)?;
        let opened = at_rest::open(&self.key, &self.aad("record", number), sealed).map_err(|_| Unopened)?;
        Ok(opened.expose().to_vec())
    }

    /// Seals the whole state; gives the object's name, its bytes, and the changes of the record that names it and those
    /// before it.
    #[must_use]
    pub fn seal_snapshot(
        &self,
        chain: &Chain,
        state: Changes,
        before: &[String],
        rng: &mut dyn CryptoRng,
    ) -> (String, Vec<u8>, Changes) {
        let name = format!("{}-{}", self.guid, chain.number() + 1);
        let state = Chain::default().next(RecordKind::Commit, state).to_bytes();
        let sealed = at_rest::seal(&self.key, &self.aad("snapshot", name.as_bytes()), &state, rng);
        let hash = h256(&sealed).to_vec();
        let changes = [(OBJECT.to_owned(), Some(name.clone().into_bytes())), (HASH.to_owned(), Some(hash))];
        let mut changes = Changes::from(changes);
        if !before.is_empty() {
            changes.insert(BEFORE.to_owned(), Some(before.join("\n").into_bytes()));
        }
        (name, sealed, changes)
    }

    /// The object that a snapshot record names.
    #[must_use]
    pub fn snapshot_name(record: &Record) -> Option<String> {
        name_under(OBJECT, record)
    }

    /// The objects of earlier snapshots, as a snapshot record names them.
    #[must_use]
    pub fn names_before(record: &Record) -> Vec<String> {
        let names = name_under(BEFORE, record);
        names.iter().flat_map(|names| names.lines()).map(str::to_owned).collect()
    }

    /// Where a journal begins that is stored like this. It is the first record, but for one whose older records were not all
    /// removed yet: that begins at its last snapshot, and what is before it is not needed any more.
    pub fn beginning(&self, records: &[Vec<u8>]) -> Result<usize, CannotStart> {
        let open = |sealed: &Vec<u8>| Ok::<_, CannotStart>(Record::from_bytes(&self.open_record(sealed)?)?);
        let Some(first) = records.first().map(open).transpose()? else { return Ok(0) };
        if first.number == 1 || first.kind == RecordKind::Snapshot {
            return Ok(0);
        }
        for (index, sealed) in records.iter().enumerate().rev() {
            if open(sealed)?.kind == RecordKind::Snapshot {
                return Ok(index);
            }
        }
        // The hole is found by whoever follows the records.
        Ok(0)
    }

    /// The state that a snapshot record stands for.
    pub fn open_snapshot(&self, record: &Record, object: Option<&[u8]>) -> Result<Changes, Unopened> {
        let name = Self::snapshot_name(record).ok_or(Unopened)?;
        let hash = record.changes.get(HASH).cloned().flatten().ok_or(Unopened)?;
        let object = object.filter(|object| h256(object).as_slice() == hash).ok_or(Unopened)?;
        let opened = at_rest::open(&self.key, &self.aad("snapshot", name.as_bytes()), object).map_err(|_| Unopened)?;
        Ok(Record::from_bytes(opened.expose()).map_err(|_| Unopened)?.changes)
    }

    fn aad(&self, kind: &str, place: &[u8]) -> Vec<u8> {
        Lp::labelled("vettid-journal-v1").lp_str(kind).lp_str(&self.guid.to_string()).lp(place).finish()
    }
}

fn name_under(key: &str, record: &Record) -> Option<String> {
    let name = record.changes.get(key).filter(|_| record.kind == RecordKind::Snapshot)?;
    String::from_utf8(name.clone()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use vettid_crypto::secret::Secret32;

    /// Commits up to a snapshot, two after it, another snapshot and one commit.
    fn stored(journal: &SealedJournal) -> Vec<Vec<u8>> {
        let (mut chain, mut rng) = (Chain::default(), StdRng::seed_from_u64(1));
        let kinds =
            [0, 0, 0, 1, 0, 0, 1, 0].map(|kind| if kind == 1 { RecordKind::Snapshot } else { RecordKind::Commit });
        let seal = |kind| {
            let record = chain.next(kind, Changes::new());
            chain.follow(&record, &record.to_bytes()).unwrap();
            journal.seal_record(&record, &record.to_bytes(), &mut rng)
        };
        kinds.map(seal).to_vec()
    }

    #[test]
    fn a_journal_begins_at_its_last_snapshot_if_its_first_records_were_removed_in_part() {
        let journal =
            SealedJournal::new(MemberId::from_bytes([1; 16]), StorageKey::from_secret(Secret32::from_bytes([3; 32])));
        let stored = stored(&journal);
        let beginnings = (0..=stored.len()).map(|gone| journal.beginning(&stored[gone..]).unwrap());
        // From the first record on; then from the last snapshot on; from a snapshot that comes first; and nothing to begin with.
        assert_eq!(beginnings.collect::<Vec<_>>(), [0, 5, 4, 0, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn a_snapshot_names_those_before_it() {
        let journal =
            SealedJournal::new(MemberId::from_bytes([1; 16]), StorageKey::from_secret(Secret32::from_bytes([3; 32])));
        let (chain, mut rng) = (Chain::default(), StdRng::seed_from_u64(1));
        let (first, _, changes) = journal.seal_snapshot(&chain, Changes::new(), &[], &mut rng);
        assert_eq!(SealedJournal::names_before(&chain.next(RecordKind::Snapshot, changes)), [""; 0]);
        let before = [first, "another".to_owned()];
        let (_, _, changes) = journal.seal_snapshot(&chain, Changes::new(), &before, &mut rng);
        assert_eq!(SealedJournal::names_before(&chain.next(RecordKind::Commit, changes.clone())), [""; 0]);
        assert_eq!(SealedJournal::names_before(&chain.next(RecordKind::Snapshot, changes)), before);
    }
}
