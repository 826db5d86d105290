//! The vault manager: takes events one after another, and turns each batch of them into one commit and what is to be
//! sent after it. It never touches a network or a clock; the host gives it time and events, and commits for it.

use crate::channels::Channels;
use crate::credential::desk::Desk;
use crate::credential::durable::Durable;
use crate::failure::Failure;
use crate::file::desk::FileDesk;
use crate::fleeting::Fleeting;
use crate::identity::{self, VaultIdentity};
use crate::lock::{self, LockDesk};
use crate::outbox::{self, Ended, Post};
use crate::pause::Pauses;
use crate::pieces::{Done, Wish};
use crate::projection::{Draft, Projection, UnreadableState};
use crate::rule::RuleDesk;
use crate::sealed_journal::{SealedJournal, Unopened};
use crate::step::Step;
use crate::{audit, bootstrap, call, connection, feed, quarantine, receive, recovery, restore, revocation};
use rand_core::CryptoRng;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use vettid_core::allowance::Limits;
use vettid_core::credential::attempts::Clocks;
use vettid_core::feed::Index;
use vettid_core::journal::{BrokenJournal, Chain, Changes, Record, RecordKind};
use vettid_crypto::at_rest::StorageKey;
use vettid_handler::handlers::Handlers;
use vettid_wire::enrolment::{EnrolVault, EnrolmentCode, RotateSigningKeys, SigningKeysRotated, VaultDeployed};
use vettid_wire::feed::FeedEntry;
use vettid_wire::id::{Fingerprint, MemberId, OperationId};
use vettid_wire::recovery::{RecoverVault, RecoveryDecided};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Something that a vault takes up.
#[derive(Debug)]
pub enum Event {
    /// A message from the broker, on its logical subject.
    Message {
        /// Where it arrived.
        subject: Subject,
        /// As it came.
        bytes: Vec<u8>,
    },
    /// Time went by: what expired is ended.
    Tick,
    /// The broker of the receiver took these items of the outbox.
    Sent(Vec<u64>),
    /// Services cut this user off.
    CutOff(String),
    /// Services made the broker know keys that are to sign credentials.
    SigningKeysRotated(SigningKeysRotated),
    /// The attempt of this operation with the credential is stored: its password is evaluated.
    Compare(OperationId),
    /// Something happened to the lock of the vault.
    Lock(lock::News),
    /// Something was done with stored pieces of files.
    Pieces(Done),
    /// New entries of the feed are committed: the app is told of them.
    Told(Vec<FeedEntry>),
    /// A message that could not be handled again and again: it is kept apart.
    Quarantine {
        /// Where it arrived.
        subject: Subject,
        /// As it came.
        bytes: Vec<u8>,
    },
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It is part of the commit, or needs none.
    Done,
    /// The vault could not handle it; it is to be delivered again.
    Again,
    /// Its sender sends more than it may; it is to be delivered again after so many milliseconds, and that is no failure.
    Later(i64),
}

/// A batch of events, handled and not yet committed.
#[derive(Debug)]
pub struct Batch {
    /// What became of each event, in order. Those beyond are not looked at yet: the commit is full, and they are for the next one.
    pub handled: Vec<Handled>,
    /// What has to be committed before anything is sent or acknowledged; `None` if nothing changed.
    pub commit: Option<Prepared>,
    /// What the commit makes durable of the credential.
    pub durable: Vec<Durable>,
    /// What is sent after the commit.
    pub posts: Vec<Post>,
    /// What is handled next, after the commit.
    pub afterwards: Vec<Event>,
    /// What is to be done with stored pieces of files, after the commit.
    pub wishes: Vec<Wish>,
    /// Connections that the commit ends: from before it on, what waits on the way to them is held back.
    pub ended: Vec<Ended>,
}

/// A commit that the journal does not have yet.
pub struct Prepared {
    record: Record,
    bytes: Vec<u8>,
    /// What the journal stores.
    pub sealed: Vec<u8>,
}

/// The record holds keys and member data: only its number is shown.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({})", self.record.number)
    }
}

/// Why a vault cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// A record does not open under the storage key.
    #[error(transparent)]
    Unopened(#[from] Unopened),
    /// The journal has a hole or was changed.
    #[error(transparent)]
    Broken(#[from] BrokenJournal),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] UnreadableState),
    /// The journal holds no identity.
    #[error("the journal holds no vault identity")]
    NoIdentity,
    /// The journal belongs to another member.
    #[error("the journal belongs to another vault")]
    OtherVault,
    /// The first commit cannot be made.
    #[error(transparent)]
    First(#[from] Failure),
}

/// One vault.
#[derive(Debug)]
pub struct Vault {
    projection: Projection,
    chain: Chain,
    journal: SealedJournal,
    identity: VaultIdentity,
    channels: Channels,
    feed: Index,
    handlers: Handlers,
    limits: Limits,
    pauses: Pauses,
    desk: Desk,
    fleeting: Fleeting,
    lock: LockDesk,
    files: FileDesk,
    rules: RuleDesk,
    endpoint: String,
    dropped: u64,
    since_snapshot: u64,
    states: Vec<String>,
}

/// What the journal gives.
struct Parts {
    projection: Projection,
    chain: Chain,
    journal: SealedJournal,
    identity: VaultIdentity,
    feed: Index,
    since_snapshot: u64,
    states: Vec<String>,
}

impl Vault {
    /// A new vault with fresh keys, and the commit that begins its journal.
    pub fn found(
        guid: MemberId,
        storage_key: StorageKey,
        handlers: Handlers,
        endpoint: String,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Prepared), CannotStart> {
        let identity = VaultIdentity::new(guid, now, rng).map_err(Failure::from)?;
        let journal = SealedJournal::new(guid, storage_key);
        let projection = Projection::default();
        let mut draft = Draft::new(&projection);
        draft.put(identity::KEY.into(), &identity)?;
        audit::begin(&mut draft, guid, &identity.fingerprint())?;
        draft.keep_step();
        let changes = draft.into_changes();
        let chain = Chain::default();
        let prepared = prepare(&journal, &chain, RecordKind::Commit, changes, rng);
        let (feed, states) = (Index::default(), Vec::new());
        let parts = Parts { projection, chain, journal, identity, feed, since_snapshot: 0, states };
        Ok((Self::of(parts, handlers, endpoint), prepared))
    }

    /// A vault from its journal, oldest record first. `snapshot` gives the stored object that
    /// [`snapshot_name`](Self::snapshot_name) names, if it names one.
    pub fn load(
        guid: MemberId,
        storage_key: StorageKey,
        handlers: Handlers,
        endpoint: String,
        records: &[Vec<u8>],
        snapshot: Option<&[u8]>,
    ) -> Result<Self, CannotStart> {
        let journal = SealedJournal::new(guid, storage_key);
        let (mut projection, mut chain) = (Projection::default(), Chain::default());
        let (mut since_snapshot, mut states) = (0, Vec::new());
        let beginning = journal.beginning(records)?;
        for (index, sealed) in records.iter().enumerate().skip(beginning) {
            let bytes = journal.open_record(sealed)?;
            let record = Record::from_bytes(&bytes)?;
            chain.follow(&record, &bytes)?;
            since_snapshot += 1;
            if index == beginning && index > 0 {
                // Of what was before a beginning in the middle, stored states may be left.
                states.extend(SealedJournal::names_before(&record));
            }
            states.extend(SealedJournal::snapshot_name(&record));
            match record.kind {
                RecordKind::Commit => projection.apply(&record.changes),
                RecordKind::Snapshot if index == beginning => {
                    projection.replace(journal.open_snapshot(&record, snapshot)?);
                    since_snapshot = 0;
                }
                RecordKind::Snapshot => since_snapshot = 0,
            }
        }
        let identity: VaultIdentity = Draft::new(&projection).get(identity::KEY)?.ok_or(CannotStart::NoIdentity)?;
        if identity.guid != guid {
            return Err(CannotStart::OtherVault);
        }
        let feed = feed::load(&projection)?;
        let parts = Parts { projection, chain, journal, identity, feed, since_snapshot, states };
        Ok(Self::of(parts, handlers, endpoint))
    }

    fn of(parts: Parts, handlers: Handlers, endpoint: String) -> Self {
        let Parts { projection, chain, journal, identity, feed, since_snapshot, states } = parts;
        Self {
            projection,
            chain,
            journal,
            identity,
            channels: Channels::default(),
            feed,
            handlers,
            limits: Limits::default(),
            pauses: Pauses::default(),
            desk: Desk::default(),
            fleeting: Fleeting::default(),
            lock: LockDesk::default(),
            files: FileDesk::default(),
            rules: RuleDesk::default(),
            endpoint,
            dropped: 0,
            since_snapshot,
            states,
        }
    }

    /// The same vault with other limits than those of the standard.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The stored object that it takes to load a vault from these records, if it takes one.
    pub fn snapshot_name(
        guid: MemberId,
        storage_key: StorageKey,
        records: &[Vec<u8>],
    ) -> Result<Option<String>, CannotStart> {
        let journal = SealedJournal::new(guid, storage_key);
        let Some(first) = records.get(journal.beginning(records)?) else { return Ok(None) };
        let record = Record::from_bytes(&journal.open_record(first)?)?;
        Ok(SealedJournal::snapshot_name(&record))
    }

    /// Handles events in order, until the commit is full; at least the first one.
    pub fn handle(&mut self, clocks: Clocks, rng: &mut dyn CryptoRng, events: &[Event]) -> Batch {
        let mut step = self.step(clocks, rng);
        let mut handled = Vec::with_capacity(events.len());
        for event in events {
            if !step.has_room() {
                break;
            }
            handled.push(one(&mut step, event));
        }
        let (posts, afterwards) = (std::mem::take(&mut step.posts), std::mem::take(&mut step.afterwards));
        let (durable, wishes) = (std::mem::take(&mut step.durable), std::mem::take(&mut step.wishes));
        let ended = std::mem::take(&mut step.ended);
        let changes = step.draft.into_changes();
        let dropped = step.dropped;
        self.dropped = dropped;
        let commit =
            (!changes.is_empty()).then(|| prepare(&self.journal, &self.chain, RecordKind::Commit, changes, rng));
        Batch { handled, commit, durable, posts, afterwards, wishes, ended }
    }

    /// Makes an enrolment code.
    pub fn enrolment_code(
        &mut self,
        clocks: Clocks,
        rng: &mut dyn CryptoRng,
        asked: &EnrolVault,
    ) -> Result<Commanded<EnrolmentCode>, Failure> {
        self.commanded(clocks, rng, |step| bootstrap::enrolment_code(step, asked))
    }

    /// Makes an enrolment code for a device that brought the recovery phrase.
    pub fn recovery_code(
        &mut self,
        clocks: Clocks,
        rng: &mut dyn CryptoRng,
        asked: &RecoverVault,
    ) -> Result<Commanded<EnrolmentCode>, Failure> {
        self.commanded(clocks, rng, |step| recovery::begin(step, asked))
    }

    /// Takes up what the old device said about a recovery.
    pub fn decide_recovery(
        &mut self,
        clocks: Clocks,
        rng: &mut dyn CryptoRng,
        received: &Value,
    ) -> Result<Commanded<RecoveryDecided>, Failure> {
        self.commanded(clocks, rng, |step| recovery::decide(step, received))
    }

    /// The host put this vault back to an earlier state, the one that it was just loaded from: the commit that says so. From it
    /// on the vault waits for its owner's word. `known` is the highest incarnation that the host knows of, or 0.
    pub fn put_back(&mut self, clocks: Clocks, rng: &mut dyn CryptoRng, known: u64) -> Result<Commanded<()>, Failure> {
        self.commanded(clocks, rng, |step| restore::put_back(step, known))
    }

    /// The state of `earlier` in the place of that of this vault, as the next record of this vault's journal: a stored object (name
    /// and bytes), and the record that names it. The object is stored first, and what is before the record goes after it.
    pub fn replaced_by(&self, earlier: &Self, rng: &mut dyn CryptoRng) -> (String, Vec<u8>, Prepared) {
        let (state, before) = (earlier.projection.all(), &self.states);
        let (name, object, changes) = self.journal.seal_snapshot(&self.chain, state, before, rng);
        (name, object, prepare(&self.journal, &self.chain, RecordKind::Snapshot, changes, rng))
    }

    /// One command of services, in a commit of its own.
    fn commanded<T>(
        &mut self,
        clocks: Clocks,
        rng: &mut dyn CryptoRng,
        command: impl FnOnce(&mut Step<'_>) -> Result<T, Failure>,
    ) -> Result<Commanded<T>, Failure> {
        let mut step = self.step(clocks, rng);
        let before = step.savepoint();
        let done = command(&mut step).and_then(|done| {
            let told = std::mem::take(&mut step.told);
            receive::tell_app(&mut step, &told).map(|()| done)
        });
        let done = match done {
            Ok(done) => done,
            Err(failure) => {
                step.roll_back(before);
                return Err(failure);
            }
        };
        step.keep();
        let posts = std::mem::take(&mut step.posts);
        let changes = step.draft.into_changes();
        let prepared = prepare(&self.journal, &self.chain, RecordKind::Commit, changes, rng);
        Ok(Commanded { done, prepared, posts })
    }

    fn step<'s>(&'s mut self, clocks: Clocks, rng: &'s mut dyn CryptoRng) -> Step<'s> {
        Step {
            now: clocks.now,
            clocks,
            rng,
            draft: Draft::new(&self.projection),
            identity: &self.identity,
            channels: &mut self.channels,
            limits: self.limits,
            pauses: &mut self.pauses,
            desk: &mut self.desk,
            fleeting: &mut self.fleeting,
            lock: &mut self.lock,
            files: &mut self.files,
            rules: &mut self.rules,
            feed: &self.feed,
            handlers: &self.handlers,
            endpoint: &self.endpoint,
            posts: Vec::new(),
            afterwards: Vec::new(),
            wishes: Vec::new(),
            ended: Vec::new(),
            durable: Vec::new(),
            told: Vec::new(),
            journal_number: self.chain.number(),
            journal_hash: *self.chain.hash(),
            dropped: self.dropped,
        }
    }

    /// What host and vault tell each other about the lock.
    pub fn lock(&mut self) -> &mut LockDesk {
        &mut self.lock
    }

    /// After how many minutes without a command of the owner the vault is to be locked.
    pub fn idle_minutes(&self) -> Result<Option<u32>, UnreadableState> {
        lock::idle_minutes(&Draft::new(&self.projection))
    }

    /// Whether a call is on, or was a moment ago.
    pub fn is_in_call(&self) -> Result<bool, UnreadableState> {
        call::is_on(&Draft::new(&self.projection))
    }

    /// The journal has the commit: it is the state now.
    pub fn committed(&mut self, prepared: &Prepared) -> Result<(), BrokenJournal> {
        self.chain.follow(&prepared.record, &prepared.bytes)?;
        self.since_snapshot += 1;
        if prepared.record.kind == RecordKind::Commit {
            self.projection.apply(&prepared.record.changes);
            feed::follow(&mut self.feed, &self.projection, &prepared.record.changes);
            self.follow_identity(&prepared.record.changes);
        } else {
            self.since_snapshot = 0;
            self.states.extend(SealedJournal::snapshot_name(&prepared.record));
        }
        Ok(())
    }

    /// Takes up keys of the vault that the commit changed.
    fn follow_identity(&mut self, changes: &Changes) {
        if !changes.contains_key(identity::KEY) {
            return;
        }
        match Draft::new(&self.projection).get(identity::KEY) {
            Ok(Some(identity)) => self.identity = identity,
            // What this vault wrote itself is readable; the keys of before go on until it is loaded again.
            Ok(None) | Err(_) => tracing::error!("the vault's identity cannot be read back"),
        }
    }

    /// The committed state.
    #[must_use]
    pub fn state(&self) -> &Projection {
        &self.projection
    }

    /// Events that were dropped without an answer since the vault was loaded.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Commits since the last snapshot.
    #[must_use]
    pub fn since_snapshot(&self) -> u64 {
        self.since_snapshot
    }

    /// The whole state as a stored object (name and bytes), and the record that names it. The object is stored first.
    pub fn snapshot(&self, rng: &mut dyn CryptoRng) -> (String, Vec<u8>, Prepared) {
        let (state, before) = (self.projection.all(), &self.states);
        let (name, object, changes) = self.journal.seal_snapshot(&self.chain, state, before, rng);
        (name, object, prepare(&self.journal, &self.chain, RecordKind::Snapshot, changes, rng))
    }

    /// The stored states that snapshots of the journal name, oldest first. The journal may begin at the last; the others are to go with
    /// the records before it.
    #[must_use]
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// These stored states are gone.
    pub fn forget_states(&mut self, gone: &[String]) {
        self.states.retain(|name| !gone.contains(name));
    }

    /// Items of the outbox that still have to arrive.
    pub fn waiting(&self) -> Result<Vec<Post>, UnreadableState> {
        let draft = Draft::new(&self.projection);
        if restore::is_pending(&draft) { Ok(vec![]) } else { outbox::waiting(&draft) }
    }

    /// How much is in quarantine.
    pub fn quarantined(&self) -> Result<quarantine::Size, UnreadableState> {
        quarantine::size(&Draft::new(&self.projection))
    }

    /// Users that services still have to cut off.
    pub fn to_cut_off(&self) -> Result<Vec<connection::CutOff>, UnreadableState> {
        revocation::to_cut_off(&Draft::new(&self.projection))
    }

    /// Keys that services have to be told before they sign.
    pub fn announced(&self) -> Result<Option<RotateSigningKeys>, Failure> {
        Ok(self.identity.announced()?)
    }

    /// The connection of this id, for the ways out.
    pub fn connection(
        &self,
        id: vettid_wire::id::ConnectionId,
    ) -> Result<Option<Arc<connection::Connection>>, UnreadableState> {
        connection::shared(&Draft::new(&self.projection), id)
    }

    /// The vault's public keys.
    pub fn public(&self) -> Result<VaultDeployed, Failure> {
        Ok(self.identity.public()?)
    }

    /// The member.
    #[must_use]
    pub fn guid(&self) -> MemberId {
        self.identity.guid
    }

    /// What other parties know this vault by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The vault's own keys.
    #[must_use]
    pub fn identity(&self) -> &VaultIdentity {
        &self.identity
    }
}

/// What a command of services did: commit it, answer, and send the posts.
#[derive(Debug)]
pub struct Commanded<T> {
    /// The answer.
    pub done: T,
    /// To be committed first.
    pub prepared: Prepared,
    /// What leaves after the commit.
    pub posts: Vec<Post>,
}

/// Handles one event in its own step.
fn one(step: &mut Step<'_>, event: &Event) -> Handled {
    let (before, told) = (step.savepoint(), step.told.len());
    let done = receive::one(step, event);
    match done {
        Ok(()) => {
            step.keep();
            // Nobody waits for it, so what somebody does wait for leaves first.
            let told = step.told.split_off(told);
            step.afterwards.extend((!told.is_empty()).then_some(Event::Told(told)));
            Handled::Done
        }
        Err(Failure::Wait(wait_ms)) => {
            step.roll_back(before);
            Handled::Later(wait_ms)
        }
        Err(failure) => {
            tracing::error!(error = %failure, "an event could not be handled");
            step.roll_back(before);
            Handled::Again
        }
    }
}

fn prepare(
    journal: &SealedJournal,
    chain: &Chain,
    kind: RecordKind,
    changes: Changes,
    rng: &mut dyn CryptoRng,
) -> Prepared {
    let record = chain.next(kind, changes);
    let bytes = record.to_bytes();
    let sealed = journal.seal_record(&record, &bytes, rng);
    Prepared { record, bytes, sealed }
}
