//! Journal records and snapshots as the store sees them: sealed by the vault's storage key, each bound to its vault
//! and place, so that the store can neither read nor swap them.

use rand_core::CryptoRng;
use vettid_core::journal::{Chain, Changes, Record, RecordKind};
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::kdf::{Lp, h256};
use vettid_wire::id::MemberId;

/// Key under which a snapshot record names its object.
const OBJECT: &str = "object";
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

    /// Seals the whole state; gives the object's name, its bytes, and the changes of the record that names it.
    #[must_use]
    pub fn seal_snapshot(&self, chain: &Chain, state: Changes, rng: &mut dyn CryptoRng) -> (String, Vec<u8>, Changes) {
        let name = format!("{}-{}", self.guid, chain.number() + 1);
        let state = Chain::default().next(RecordKind::Commit, state).to_bytes();
        let sealed = at_rest::seal(&self.key, &self.aad("snapshot", name.as_bytes()), &state, rng);
        let hash = h256(&sealed).to_vec();
        let changes = [(OBJECT.to_owned(), Some(name.clone().into_bytes())), (HASH.to_owned(), Some(hash))];
        (name, sealed, Changes::from(changes))
    }

    /// The object that a snapshot record names.
    #[must_use]
    pub fn snapshot_name(record: &Record) -> Option<String> {
        let name = record.changes.get(OBJECT).filter(|_| record.kind == RecordKind::Snapshot)?;
        String::from_utf8(name.clone()?).ok()
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
