//! One member, one issuer, a network that loses, repeats and reorders, and a thief with a clone of every blob. The rules
//! are the shipped ones; this file is only disk, network, crash and thief, and the ghosts that remember what must not be.

mod app;
mod issuer;

use std::collections::{BTreeMap, BTreeSet};
use vettid_core::credential::attempts::{Attempts, BootId, Clocks};
use vettid_core::credential::holder::record::{HolderRecord, SlotEntry, SlotName};
use vettid_core::credential::issuer::record::{Ask, Issue, IssuerRecord, OperationRecord};
use vettid_core::credential::pool::Pool;
use vettid_wire::credential::{LatId, LatReference, UseStatus};
use vettid_wire::digest::Digest;
use vettid_wire::id::{KeyId, OperationId};
use vettid_wire::time::Timestamp;

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Operations of the member.
    pub ops: u8,
    /// Versions that the issuer makes at most.
    pub versions: u64,
    /// Guesses of the thief.
    pub guesses: u8,
    /// Attempts in a row until the lock.
    pub limit: u32,
    /// Operations that the member gives up without an answer.
    pub give_ups: u8,
}

/// A broken shell, disk or issuer: one of the variants that the design forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// As shipped.
    None,
    /// The app has one slot.
    SingleSlot,
    /// The app writes over its newest slot.
    OverwriteNewest,
    /// The issuer forgets finished operations and their answers.
    NoDedup,
    /// The same, and it does not burn transaction keys either.
    NoDedupNoBurn,
    /// The issuer takes no pending version before its confirmation.
    NoImplicitPromote,
    /// The issuer compares first and counts in the second commit.
    CountAfter,
    /// The issuer rotates at once: the new version is the only one.
    ActiveOnly,
    /// The issuer takes any version that it ever made.
    AnyVersion,
    /// One operation id buys any number of guesses.
    ProofNotCompared,
    /// The app frees the older slot before the confirmation.
    FreesEarly,
    /// The app does not notice a torn slot.
    TornUnnoticed,
    /// The issuer remembers that an operation is over, but not its answer.
    AnswerNotStored,
}

/// One try of one operation: number and try of the member, or a guess of the thief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Op {
    Member(u8, u8),
    Thief(u8),
}

impl Op {
    fn id(self) -> OperationId {
        let code = match self {
            Self::Member(op, retry) => [1, op, retry],
            Self::Thief(guess) => [2, guess, 0],
        };
        let mut bytes = [0; 16];
        bytes[..3].copy_from_slice(&code);
        OperationId::from_bytes(bytes)
    }

    fn of(id: OperationId) -> Self {
        match id.to_bytes() {
            [1, op, retry, ..] => Self::Member(op, retry),
            [_, guess, ..] => Self::Thief(guess),
        }
    }

    fn key(self) -> KeyId {
        let id = self.id().to_bytes();
        format!("tk_{:02x}{:02x}{:02x}{:026x}", id[0], id[1], id[2], 0).parse().unwrap()
    }
}

/// A request, by the few things that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Use {
    op: Op,
    version: u64,
    /// 0 is the right password.
    guess: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Message {
    Use(Use),
    Done(SlotEntry, u64),
    Other(OperationId, u8, u64),
    Confirm(u64, OperationId),
    Confirmed(u64),
}

const STATUSES: [UseStatus; 6] = [
    UseStatus::WrongPassword,
    UseStatus::Wait,
    UseStatus::Locked,
    UseStatus::StaleCredential,
    UseStatus::StalePending,
    UseStatus::UnknownTransactionKey,
];

fn other(op_id: OperationId, status: UseStatus, total: u64) -> Message {
    let code = STATUSES.iter().position(|known| *known == status).unwrap();
    Message::Other(op_id, u8::try_from(code).unwrap(), total)
}

/// Everything, durable and not, and the ghosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    // The app's disk.
    pub holder: HolderRecord,
    request: Option<Use>,
    /// Operations whose outcome the app knows.
    pub finished: u8,
    retry: u8,
    given_up: u8,
    /// The app's memory: an answer that is not written yet.
    memory: Option<(SlotName, SlotEntry, u64)>,
    // The issuer's disk.
    pub issuer: IssuerRecord,
    operations: BTreeMap<OperationId, (OperationRecord, Option<Message>)>,
    /// The issuer's memory: an attempt between its two commits.
    comparing: Option<(Use, OperationRecord)>,
    network: BTreeSet<Message>,
    /// Everything under way was lost for good, once: the member must be able to finish nevertheless.
    network_lost: bool,
    // Ghosts.
    effects: BTreeMap<Op, u8>,
    guessed: BTreeSet<u8>,
    stale_effect: bool,
    next_guess: u8,
}

/// A rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// I1: no slot of the app is accepted.
    Lockout,
    /// I2: a version below the floor is accepted.
    Stale,
    /// I3: an operation had two effects.
    TwoEffects,
    /// I4: more guesses than the limit.
    Guesses,
    /// L: the member cannot finish any more, though nothing is locked.
    Stuck,
}

fn digest(kind: u8, number: u64, more: u8) -> Digest {
    let mut bytes = [more; 32];
    bytes[0] = kind;
    bytes[1..9].copy_from_slice(&number.to_be_bytes());
    Digest::from_bytes(bytes)
}

fn lat(version: u64) -> LatReference {
    LatReference { lat_id: LatId::from_random(u128::from(version).to_be_bytes()), version }
}

fn issue(version: u64) -> Issue {
    Issue { version, epoch: 1, blob_hash: digest(1, version, 0), lat: lat(version) }
}

fn clocks() -> Clocks {
    Clocks { now: Timestamp::from_unix_ms(1), monotonic_ms: 1, boot_id: BootId([0; 16]) }
}

impl Use {
    fn ask(self) -> Ask {
        let [_, op, retry, ..] = self.op.id().to_bytes();
        Ask {
            op_id: self.op.id(),
            request_hash: digest(2, self.version, op.wrapping_mul(16).wrapping_add(retry)),
            proof_hash: digest(3, u64::from(self.guess), 0),
            version: self.version,
            blob_hash: digest(1, self.version, 0),
            key_id: self.op.key(),
            lat: lat(self.version),
            restores: false,
        }
    }
}

/// Tries of one operation under new ids.
const RETRIES: u8 = 3;

impl World {
    pub(crate) fn start(bounds: &Bounds) -> Self {
        let mut pool = Pool::default();
        let members = (0..bounds.ops).flat_map(|op| (0..RETRIES).map(move |retry| Op::Member(op, retry)));
        for op in members.chain((0..bounds.guesses).map(Op::Thief)) {
            pool.add(op.key(), Timestamp::from_unix_ms(2));
        }
        let mut holder = HolderRecord::default();
        let op_id = OperationId::from_bytes([9; 16]);
        let entry = SlotEntry { epoch: 1, version: 1, derived_from: None, blob_hash: digest(1, 1, 0), op_id };
        holder.stored(SlotName::A, entry, 0);
        Self {
            holder,
            request: None,
            finished: 0,
            retry: 0,
            given_up: 0,
            memory: None,
            issuer: IssuerRecord::first(issue(1), bounds.limit, Attempts::default(), pool),
            operations: BTreeMap::new(),
            comparing: None,
            network: BTreeSet::new(),
            network_lost: false,
            effects: BTreeMap::new(),
            guessed: BTreeSet::new(),
            stale_effect: false,
            next_guess: 0,
        }
    }

    /// Whether the member has what was wanted.
    pub(crate) fn is_finished(&self, bounds: &Bounds) -> bool {
        self.finished >= bounds.ops
    }

    /// Whether the search, and not the rules, ends the life here: versions or tries run out, or a lock.
    pub(crate) fn is_cut_off(&self, bounds: &Bounds) -> bool {
        let ends = 2 * u64::from(bounds.ops);
        self.issuer.next_version + ends > bounds.versions
            || self.retry + 1 >= RETRIES
            || self.issuer.attempts.is_locked(bounds.limit)
    }

    pub(crate) fn broken(&self, bounds: &Bounds) -> Vec<Broken> {
        let genuine = |entry: &SlotEntry| {
            self.issuer.accepted(entry.version).is_some_and(|issue| issue.blob_hash == entry.blob_hash)
        };
        let below = (1..self.issuer.floor).any(|version| self.issuer.accepted(version).is_some());
        let mut by_operation = BTreeMap::<u8, u8>::new();
        for (op, count) in &self.effects {
            if let Op::Member(op, _) = op {
                *by_operation.entry(*op).or_default() += count;
            }
        }
        let twice = |count: &u8| *count > 1;
        // Who gives up does not know whether it ran; only its own id is then held to one effect.
        let twice_for_member = bounds.give_ups == 0 && by_operation.values().any(twice);
        let checks = [
            (Broken::Lockout, !self.holder.slots.iter().any(|(_, entry)| genuine(entry))),
            (Broken::Stale, below || self.stale_effect),
            (Broken::TwoEffects, self.effects.values().any(twice) || twice_for_member),
            (Broken::Guesses, self.guessed.len() > usize::try_from(bounds.limit).unwrap()),
        ];
        checks.into_iter().filter(|(_, broken)| *broken).map(|(rule, _)| rule).collect()
    }

    /// Every world that one step leads to.
    pub(crate) fn successors(&self, bounds: &Bounds, mutant: Mutant) -> Vec<Self> {
        let mut next = Vec::new();
        self.member_acts(bounds, &mut next);
        self.app_writes(mutant, &mut next);
        self.issuer_goes_on(bounds, mutant, &mut next);
        for message in &self.network {
            match message {
                Message::Use(used) => self.use_arrives(*used, bounds, mutant, &mut next),
                Message::Confirm(version, op_id) => self.confirm_arrives(*version, *op_id, &mut next),
                _ => self.answer_arrives(message, &mut next),
            }
        }
        self.thief_guesses(bounds, mutant, &mut next);
        if !self.network_lost && !self.network.is_empty() {
            next.push(self.with(|world| {
                world.network.clear();
                world.network_lost = true;
            }));
        }
        next.retain(|world| world != self);
        next
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        world
    }

    /// What a broken rule looks like.
    pub(crate) fn show(&self) -> String {
        let slots: Vec<_> = self.holder.slots.iter().map(|(name, entry)| (name, entry.version)).collect();
        let pending = self.issuer.pending.as_ref().map(|pending| (pending.issue.version, Op::of(pending.op_id)));
        format!(
            "slots {slots:?} intent {:?} memory {:?} | cur {} pend {pending:?} floor {} attempts {} ops {:?} | effects {:?} \
             guessed {:?} | network {:?}",
            self.request,
            self.memory.as_ref().map(|(slot, entry, _)| (slot, entry.version)),
            self.issuer.current.version,
            self.issuer.floor,
            self.issuer.attempts.consecutive,
            self.operations.iter().map(|(id, (record, _))| (Op::of(*id), record.state)).collect::<Vec<_>>(),
            self.effects,
            self.guessed,
            self.network.iter().filter(|m| matches!(m, Message::Use(_) | Message::Confirm(..))).collect::<Vec<_>>(),
        )
    }
}
