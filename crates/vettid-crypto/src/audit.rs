//! The audit hash chain, its signed checkpoints and the check of an export (spec 2.17).
//!
//! Appends and verifies; never forgives a hole. Details lie outside the chain and may be erased without breaking it.

pub mod checkpoint;
pub mod export;
pub mod merkle;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;
use vettid_wire::audit::{Detail, Entry, ExportedEntry, Outcome};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use crate::kdf::{self, Lp};
use merkle::Tree;

/// Entries after which a checkpoint is due at the latest.
pub const CHECKPOINT_EVERY_ENTRIES: u64 = 256;
const SALT_BYTES: usize = 16;

/// The chain of one vault, without its entries: enough to append to it and to check what claims to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredChain", into = "StoredChain")]
pub struct Chain {
    head: Digest,
    tree: Tree,
}

/// What an entry says, before it takes its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub ts: Timestamp,
    /// Who: `app`, `vault`, `connection:{id}`, `service:{id}`, `control`.
    pub actor: String,
    /// What, as an event name.
    pub event_type: String,
    /// On what, as an opaque id.
    pub reference: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// All that may have to be erased one day.
    pub detail: Value,
}

/// The entry does not follow: something before it was deleted, swapped, edited or cut off, or it was itself changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at entry {sequence}")]
pub struct BrokenChain {
    /// Number that the chain expected.
    pub sequence: u64,
}

impl Chain {
    /// The empty chain of a vault.
    #[must_use]
    pub fn new(guid: MemberId, vault: &Fingerprint) -> Self {
        Self { head: genesis(guid, vault), tree: Tree::new() }
    }

    /// Number of entries; the number of the next one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Hash of the last entry, or the genesis.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }

    /// RFC 6962 root over the entry hashes.
    #[must_use]
    pub fn root(&self) -> Digest {
        Digest::from_bytes(self.tree.root())
    }

    /// Appends an act; gives the entry with its detail. The entry goes into the journal commit of the act, the detail beside it.
    ///
    /// # Errors
    /// [`JsonError`] if the act is outside the profile or too large for a line of an export; the chain is unchanged.
    pub fn append(&mut self, act: Act, rng: &mut dyn CryptoRng) -> Result<ExportedEntry, JsonError> {
        let detail = salted(act.detail, rng);
        let entry = Entry {
            seq: self.size(),
            ts: act.ts,
            actor: act.actor,
            event_type: act.event_type,
            reference: act.reference,
            outcome: act.outcome,
            detail_hash: detail_hash(&detail)?,
            prev: self.head,
        };
        let line = ExportedEntry { entry, detail: Some(detail) };
        export::check_entry(&line)?;
        self.take(entry_hash(&line.entry)?);
        Ok(line)
    }

    /// Takes over an entry that somebody else appended, if it follows.
    ///
    /// # Errors
    /// [`BrokenChain`]; the chain is unchanged.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), BrokenChain> {
        let broken = BrokenChain { sequence: self.size() };
        let follows = entry.seq == self.size() && bool::from(entry.prev.as_bytes().ct_eq(self.head.as_bytes()));
        if !follows {
            return Err(broken);
        }
        self.take(entry_hash(entry).map_err(|_| broken)?);
        Ok(())
    }

    fn take(&mut self, hash: Digest) {
        self.head = hash;
        self.tree.push(hash.as_bytes());
    }
}

/// Stored form of a chain.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChain {
    size: u64,
    head: Digest,
    peaks: Vec<Digest>,
}

impl From<Chain> for StoredChain {
    fn from(chain: Chain) -> Self {
        let peaks = chain.tree.peaks().iter().copied().map(Digest::from_bytes).collect();
        Self { size: chain.size(), head: chain.head, peaks }
    }
}

impl TryFrom<StoredChain> for Chain {
    type Error = BrokenChain;
    fn try_from(stored: StoredChain) -> Result<Self, BrokenChain> {
        let peaks = stored.peaks.iter().map(|peak| *peak.as_bytes()).collect();
        let tree = Tree::from_parts(stored.size, peaks).ok_or(BrokenChain { sequence: stored.size })?;
        Ok(Self { head: stored.head, tree })
    }
}

/// `prev` of the first entry: binds a chain to its vault.
#[must_use]
pub fn genesis(guid: MemberId, vault: &Fingerprint) -> Digest {
    let bytes = Lp::labelled("vettid-audit-v1 genesis").lp_str(&guid.to_string()).raw(vault.as_bytes()).finish();
    Digest::from_bytes(kdf::h256(&bytes))
}

/// Hash of an entry: what the next one refers to and what the tree holds.
///
/// # Errors
/// [`JsonError`] for a number outside the profile.
pub fn entry_hash(entry: &Entry) -> Result<Digest, JsonError> {
    let bytes = Lp::labelled("vettid-audit-v1").lp(&json::canonical(entry)?).finish();
    Ok(Digest::from_bytes(kdf::h256(&bytes)))
}

/// Commitment to a detail.
///
/// # Errors
/// [`JsonError`] for a value outside the profile.
pub fn detail_hash(detail: &Detail) -> Result<Digest, JsonError> {
    Ok(Digest::from_bytes(kdf::h256_parts(&[detail.salt.as_bytes(), &json::canonical(&detail.value)?])))
}

/// Whether this is the detail of the entry. The salt has one length, or salt and detail could trade bytes.
#[must_use]
pub fn detail_belongs(entry: &Entry, detail: &Detail) -> bool {
    detail.salt.as_bytes().len() == SALT_BYTES && detail_hash(detail).is_ok_and(|hash| hash == entry.detail_hash)
}

fn salted(value: Value, rng: &mut dyn CryptoRng) -> Detail {
    let mut salt = [0; SALT_BYTES];
    rng.fill_bytes(&mut salt);
    Detail { salt: Base64::new(salt), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;
    use serde_json::json;
    use vettid_wire::audit::ExportLine;

    fn new_chain() -> Chain {
        Chain::new(MemberId::from_bytes([1; 16]), &Fingerprint::from_bytes([2; 32]))
    }

    fn act(n: u64) -> Act {
        Act {
            ts: Timestamp::from_unix_ms(1_800_000_000_000 + i64::try_from(n).unwrap()),
            actor: "app".to_owned(),
            event_type: "credential.use".to_owned(),
            reference: n.is_multiple_of(2).then(|| format!("ref-{n}")),
            outcome: Outcome::Success,
            detail: json!({ "n": n }),
        }
    }

    fn filled(length: u64) -> (Chain, Vec<(Entry, Detail)>) {
        let (mut chain, mut rng) = (new_chain(), Scripted::counting());
        let append = |n| {
            let ExportedEntry { entry, detail } = chain.append(act(n), &mut rng).unwrap();
            (entry, detail.unwrap())
        };
        let entries = (0..length).map(append).collect();
        (chain, entries)
    }

    fn replay(entries: &[Entry]) -> Result<Chain, BrokenChain> {
        let mut chain = new_chain();
        entries.iter().try_for_each(|entry| chain.follow(entry))?;
        Ok(chain)
    }

    #[test]
    fn a_chain_belongs_to_one_vault() {
        let (_, entries) = filled(1);
        let (guid, vault) = (MemberId::from_bytes([1; 16]), Fingerprint::from_bytes([2; 32]));
        for mut other in
            [Chain::new(MemberId::from_bytes([3; 16]), &vault), Chain::new(guid, &Fingerprint::from_bytes([3; 32]))]
        {
            assert_eq!(other.follow(&entries[0].0), Err(BrokenChain { sequence: 0 }));
        }
    }

    #[test]
    fn a_detail_can_be_checked_and_erased() {
        let (chain, entries) = filled(3);
        for (entry, detail) in &entries {
            assert!(detail_belongs(entry, detail));
            let edited = Detail { value: json!({ "n": 99 }), ..detail.clone() };
            assert!(!detail_belongs(entry, &edited));
            let other_salt = Detail { salt: Base64::new([0; 16]), ..detail.clone() };
            assert!(!detail_belongs(entry, &other_salt));
        }
        let without_details: Vec<_> = entries.into_iter().map(|(entry, _)| entry).collect();
        assert_eq!(replay(&without_details).unwrap(), chain);
    }

    #[test]
    fn salt_and_detail_cannot_trade_bytes() {
        let (entry, _) = filled(1).1.remove(0);
        let detail = Detail { salt: Base64::new([7; 16]), value: json!(12) };
        let entry = Entry { detail_hash: detail_hash(&detail).unwrap(), ..entry };
        let shifted = Detail { salt: Base64::new([&[7; 16][..], b"1"].concat()), value: json!(2) };
        assert_eq!(detail_hash(&shifted).unwrap(), entry.detail_hash);
        assert!(detail_belongs(&entry, &detail) && !detail_belongs(&entry, &shifted));
    }

    #[test]
    fn a_number_that_does_not_count_on_is_noticed() {
        let (mut chain, entries) = entries_of(3);
        let next = Entry { seq: 4, prev: chain.head(), ..entries[2].clone() };
        assert_eq!(chain.follow(&next), Err(BrokenChain { sequence: 3 }));
        assert_eq!(chain.follow(&Entry { seq: 3, ..next }), Ok(()));
    }

    #[test]
    fn what_could_not_be_exported_is_not_appended() {
        let mut chain = new_chain();
        for detail in [json!(1.5), json!("x".repeat(64 * 1024)), json!([[[[[[[[[[[[[[[1]]]]]]]]]]]]]]])] {
            assert!(chain.append(Act { detail, ..act(0) }, &mut Scripted::counting()).is_err());
            assert_eq!(chain, new_chain());
        }
    }

    /// To the byte: what is appended is what can be written as a line.
    #[test]
    fn the_longest_line_of_an_export_is_appended_and_one_byte_more_is_not() {
        let (mut rng, text) = (Scripted::counting(), |length| json!("x".repeat(length)));
        let shortest = new_chain().append(Act { detail: text(0), ..act(0) }, &mut rng).unwrap();
        let bytes = export::write_line(&ExportLine::Entry(shortest)).unwrap().len() - 1;
        let room = json::MAX_BYTES - bytes;
        let longest = new_chain().append(Act { detail: text(room), ..act(0) }, &mut rng).unwrap();
        assert_eq!(export::write_line(&ExportLine::Entry(longest)).unwrap().len() - 1, json::MAX_BYTES);
        assert!(new_chain().append(Act { detail: text(room + 1), ..act(0) }, &mut rng).is_err());
    }

    #[test]
    fn a_stored_chain_goes_on() {
        let (chain, _) = filled(11);
        let stored = serde_json::to_string(&chain).unwrap();
        assert_eq!(serde_json::from_str::<Chain>(&stored).unwrap(), chain);
        assert!(serde_json::from_str::<Chain>(&stored.replace("\"size\":11", "\"size\":12")).is_err());
    }

    fn entries_of(length: u64) -> (Chain, Vec<Entry>) {
        let (chain, entries) = filled(length);
        (chain, entries.into_iter().map(|(entry, _)| entry).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_deleted_entry_is_noticed(length in 2_u64..40, place: prop::sample::Index) {
            let (chain, mut entries) = entries_of(length);
            let place = place.index(entries.len());
            entries.remove(place);
            // Cut at the end, the rest still chains, but to another root: that is what checkpoints are for.
            match replay(&entries) {
                Err(broken) => prop_assert_eq!(broken.sequence, u64::try_from(place).unwrap()),
                Ok(shorter) => prop_assert!(shorter.root() != chain.root() && shorter.size() < chain.size()),
            }
        }

        #[test]
        fn swapped_entries_are_noticed(length in 2_u64..40, one: prop::sample::Index, other: prop::sample::Index) {
            let (_, mut entries) = entries_of(length);
            let (one, other) = (one.index(entries.len()), other.index(entries.len()));
            prop_assume!(one != other);
            entries.swap(one, other);
            prop_assert_eq!(replay(&entries).unwrap_err().sequence, u64::try_from(one.min(other)).unwrap());
        }

        #[test]
        fn a_repeated_entry_is_noticed(length in 1_u64..40, place: prop::sample::Index) {
            let (_, mut entries) = entries_of(length);
            let place = place.index(entries.len());
            entries.insert(place, entries[place].clone());
            prop_assert!(replay(&entries).is_err());
        }

        #[test]
        fn an_edited_entry_is_noticed(length in 1_u64..40, place: prop::sample::Index, field in 0_usize..8) {
            let (chain, mut entries) = entries_of(length);
            let entry = place.get_mut(&mut entries);
            match field {
                0 => entry.seq ^= 1,
                1 => entry.ts = entry.ts.plus_ms(1),
                2 => entry.actor.push('x'),
                3 => entry.event_type.push('x'),
                4 => entry.reference = Some("other".to_owned()),
                5 => entry.outcome = Outcome::Refused,
                6 => entry.detail_hash = Digest::from_bytes([0; 32]),
                _ => entry.prev = Digest::from_bytes([0; 32]),
            }
            // Only an edit of the last entry still chains, and it gives another root.
            prop_assert!(replay(&entries).is_err() || replay(&entries).unwrap().root() != chain.root());
        }
    }
}
