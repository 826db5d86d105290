//! A vault with its journal: commits are kept here, and a crash loads it from them again.

use rand::RngExt as _;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use vettid_core::allowance::Limits;
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::journal::Record;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::Secret32;
use vettid_nats::journal::MAX_RECORD_BYTES;
use vettid_vault::manager::{Event, Handled, Vault};
use vettid_vault::outbox::{Ended, Post};
use vettid_vault::pieces::{Done, Found, Wish};
use vettid_vault::sealed_journal::SealedJournal;
use vettid_wire::id::{FileId, MemberId};
use vettid_wire::time::Timestamp;

pub(crate) const ENDPOINT: &str = "tls://broker.test:4222";

/// When a vault dies while it handles a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    BeforeCommit,
    AfterCommit,
    /// Of an event that leads to a second commit.
    BeforeSecondCommit,
    AfterSecondCommit,
}

/// The stored state of a vault at some moment.
#[derive(Clone)]
pub(crate) struct Backup {
    records: Vec<Vec<u8>>,
    objects: BTreeMap<String, Vec<u8>>,
}

pub(crate) struct Node {
    pub(crate) guid: MemberId,
    pub(crate) vault: Vault,
    key: [u8; 32],
    endpoint: String,
    records: Vec<Vec<u8>>,
    objects: BTreeMap<String, Vec<u8>>,
    limits: Limits,
    /// Stored pieces of files, by name and place.
    pub(crate) pieces: BTreeMap<(FileId, u32), Vec<u8>>,
    /// How many pieces the store takes.
    pub(crate) most_pieces: usize,
    /// Connections that commits ended, for whoever keeps ways to peers.
    pub(crate) ended: Vec<Ended>,
}

impl Node {
    pub(crate) fn new(guid: MemberId, key: [u8; 32], endpoint: &str, now: Timestamp, rng: &mut StdRng) -> Self {
        let handlers = vettid_handlers::native().build().unwrap();
        let (mut vault, first) = Vault::found(guid, storage_key(key), handlers, endpoint.into(), now, rng).unwrap();
        vault.committed(&first).unwrap();
        Self {
            guid,
            vault,
            key,
            endpoint: endpoint.into(),
            records: vec![first.sealed],
            objects: BTreeMap::new(),
            limits: Limits::default(),
            pieces: BTreeMap::new(),
            most_pieces: usize::MAX,
            ended: vec![],
        }
    }

    /// The vault as it comes back from its journal.
    pub(crate) fn loaded(&self) -> Vault {
        let handlers = vettid_handlers::native().build().unwrap();
        let key = || storage_key(self.key);
        let name = Vault::snapshot_name(self.guid, key(), &self.records).unwrap();
        let snapshot = name.map(|name| self.objects[&name].as_slice());
        Vault::load(self.guid, key(), handlers, self.endpoint.clone(), &self.records, snapshot)
            .unwrap()
            .limited_to(self.limits)
    }

    /// The vault comes back with other limits.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.crash();
    }

    /// The state as it is stored now, for a later restore.
    pub(crate) fn backup(&self) -> Backup {
        Backup { records: self.records.clone(), objects: self.objects.clone() }
    }

    /// Somebody puts the state there without a word.
    pub(crate) fn continued_from(&mut self, backup: &Backup) {
        self.objects.clone_from(&backup.objects);
        self.continued(backup.records.clone());
    }

    /// The host puts the vault back to an earlier state.
    pub(crate) fn put_back(&mut self, now: Timestamp, rng: &mut StdRng, backup: &Backup) {
        self.continued_from(backup);
        let done = self.vault.put_back(clocks(now), rng, 0).unwrap();
        self.keep(&done.prepared);
    }

    /// The journal as it is stored.
    pub(crate) fn records(&self) -> &[Vec<u8>] {
        &self.records
    }

    /// Every value that a commit ever wrote, in clear.
    pub(crate) fn written(&self) -> Vec<Vec<u8>> {
        let journal = SealedJournal::new(self.guid, storage_key(self.key));
        let opened = self.records.iter().map(|sealed| journal.open_record(sealed).unwrap());
        opened.flat_map(|bytes| Record::from_bytes(&bytes).unwrap().changes.into_values().flatten()).collect()
    }

    /// The vault as somebody else continued its journal.
    pub(crate) fn continued(&mut self, records: Vec<Vec<u8>>) {
        self.records = records;
        self.crash();
    }

    /// Commits so far.
    pub(crate) fn commits(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn crash(&mut self) {
        self.vault = self.loaded();
    }

    /// Handles events, in as many commits as it takes; `None` after a crash before the first commit: every event has to come again.
    pub(crate) fn handle(
        &mut self,
        now: Timestamp,
        rng: &mut StdRng,
        events: &[Event],
        crash: Crash,
    ) -> Option<(Vec<Handled>, Vec<Post>)> {
        let (mut handled, mut posts) = self.one_commit(now, rng, events, crash)?;
        while handled.len() < events.len() {
            let (more, sent) = self.one_commit(now, rng, &events[handled.len()..], Crash::Never)?;
            assert!(!more.is_empty(), "a commit takes at least one event");
            handled.extend(more);
            posts.extend(sent);
        }
        Some((handled, posts))
    }

    /// One commit, and what it leads to.
    fn one_commit(
        &mut self,
        now: Timestamp,
        rng: &mut StdRng,
        events: &[Event],
        crash: Crash,
    ) -> Option<(Vec<Handled>, Vec<Post>)> {
        let batch = self.vault.handle(clocks(now), rng, events);
        if crash == Crash::BeforeCommit {
            self.crash();
            return None;
        }
        self.ended.extend(&batch.ended);
        self.store(batch.commit.as_ref());
        if crash == Crash::AfterCommit {
            self.crash();
            return Some((batch.handled, vec![]));
        }
        let (mut posts, mut afterwards) = (batch.posts, batch.afterwards);
        afterwards.extend(self.carry_out(batch.wishes));
        while !afterwards.is_empty() {
            let batch = self.vault.handle(clocks(now), rng, &afterwards);
            if crash == Crash::BeforeSecondCommit {
                self.crash();
                break;
            }
            self.ended.extend(&batch.ended);
            self.store(batch.commit.as_ref());
            if crash == Crash::AfterSecondCommit {
                self.crash();
                break;
            }
            posts.extend(batch.posts);
            let left = afterwards.split_off(batch.handled.len());
            afterwards = batch.afterwards;
            afterwards.extend(self.carry_out(batch.wishes));
            afterwards.extend(left);
        }
        Some((batch.handled, posts))
    }

    /// The store of pieces, as a host has it.
    fn carry_out(&mut self, wishes: Vec<Wish>) -> Vec<Event> {
        wishes.into_iter().filter_map(|wish| self.wish(wish)).map(Event::Pieces).collect()
    }

    fn wish(&mut self, wish: Wish) -> Option<Done> {
        Some(match wish {
            Wish::Keep { store, index, bytes, then } => {
                let has_room = self.pieces.len() < self.most_pieces || self.pieces.contains_key(&(store, index));
                if has_room {
                    self.pieces.insert((store, index), bytes);
                }
                Done::For(then, if has_room { Found::Kept } else { Found::NoRoom })
            }
            Wish::Read { store, index, then } => {
                Done::For(then, self.pieces.get(&(store, index)).cloned().map_or(Found::Missing, Found::Bytes))
            }
            Wish::List { store, then } => {
                let stored = self.pieces.keys().filter(|(name, _)| *name == store).map(|(_, index)| *index);
                Done::For(then, Found::Listed(stored.collect()))
            }
            Wish::Erase { store } => {
                self.pieces.retain(|(name, _), _| *name != store);
                return None;
            }
            Wish::Sweep => Done::Stores(self.pieces.keys().map(|(name, _)| *name).collect()),
        })
    }

    fn store(&mut self, prepared: Option<&vettid_vault::manager::Prepared>) {
        if let Some(prepared) = prepared {
            self.keep(prepared);
        }
    }

    /// A commit outside of a batch.
    pub(crate) fn keep(&mut self, prepared: &vettid_vault::manager::Prepared) {
        assert!(
            prepared.sealed.len() <= MAX_RECORD_BYTES,
            "the journal would not take {} bytes",
            prepared.sealed.len()
        );
        self.vault.committed(prepared).unwrap();
        self.records.push(prepared.sealed.clone());
    }

    /// Stores the whole state and removes what was before it: every other time all of it, else so much as a removal had done that
    /// did not come to its end.
    pub(crate) fn take_snapshot(&mut self, rng: &mut StdRng) {
        let (name, object, prepared) = self.vault.snapshot(rng);
        self.objects.insert(name, object);
        self.keep(&prepared);
        let older = self.records.len() - 1;
        let gone = if rng.random() { older } else { rng.random_range(0..=older) };
        self.records.drain(..gone);
        if gone == older {
            let before: Vec<_> = self.vault.states().iter().rev().skip(1).cloned().collect();
            self.objects.retain(|name, _| !before.contains(name));
            self.vault.forget_states(&before);
            assert_eq!(self.objects.len(), 1, "a stored state was forgotten");
        }
    }
}

/// The clocks of a machine that was never restarted.
pub(crate) fn clocks(now: Timestamp) -> Clocks {
    Clocks { now, monotonic_ms: now.unix_ms().unsigned_abs(), boot_id: BootId([7; 16]) }
}

fn storage_key(bytes: [u8; 32]) -> StorageKey {
    StorageKey::from_secret(Secret32::from_bytes(bytes))
}
