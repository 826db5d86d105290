//! The unlock lanes of a host: for each vault a task that serves challenges and attempts, also while the vault is locked. A
//! vault that is asked too much drops what it cannot take; it never holds up another one.

use super::keeper::{Keeper, Taken};
use super::record::MadeAt;
use crate::host::clock::clocks;
use crate::host::storage_key::{StorageKeyError, StorageKeys};
use bytes::Bytes;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::unlock::{Permit, ReplyKey};
use vettid_nats::connection::Connection;
use vettid_wire::base64::Base64;
use vettid_wire::event::{EventRow, UnlockAttempt as AttemptRow, UnlockChallenge};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::lock::{
    AskChallenge, LockState, SealerKind, UnlockAnswer, UnlockAttempt, UnlockOutcome, UnlockResult,
};
use vettid_wire::subject::Subject;

/// Questions and attempts that may wait in one lane.
const QUEUE: usize = 32;
/// How long a right key waits for its vault to be loaded, before the app is told to look again.
const LOADED_WITHIN: Duration = Duration::from_secs(30);

/// What a lane tells its host.
pub(in crate::host) enum News {
    /// A right key: the vault may run.
    Unlock {
        /// Whose vault.
        member: MemberId,
        /// Its storage key.
        key: StorageKey,
        /// Wrong keys before.
        wrong: u32,
        /// Told as soon as the vault runs.
        runs: oneshot::Sender<()>,
    },
    /// The lock of a running vault was set, changed or removed.
    Changed {
        /// Whose vault.
        member: MemberId,
        /// Its storage key, if the sealer alone does not give it.
        key: Option<StorageKey>,
        /// Wrong keys before.
        wrong: u32,
    },
}

/// What comes into a lane.
enum Knock {
    Ask(AskChallenge),
    Attempt(UnlockAttempt),
    Permit(Permit),
    Locked,
}

/// The way into one lane.
#[derive(Clone)]
pub(in crate::host) struct Lane {
    sealer: SealerKind,
    knock: mpsc::Sender<Knock>,
    lane_key: TypedKey,
    made_at: MadeAt,
    has_lock: Arc<AtomicBool>,
}

impl Lane {
    /// The key by which the app knows the lane.
    pub(in crate::host) fn lane_key(&self) -> TypedKey {
        self.lane_key.clone()
    }

    /// When the host's keys for this vault were made.
    pub(in crate::host) fn made_at(&self) -> MadeAt {
        self.made_at
    }

    /// What seals the host's part of the lock.
    pub(in crate::host) fn sealer(&self) -> SealerKind {
        self.sealer
    }

    /// Whether a lock is set.
    pub(in crate::host) fn has_lock(&self) -> bool {
        self.has_lock.load(Ordering::Relaxed)
    }

    /// The running vault lets its lock be changed once. A lane that has too much to do loses it, and the app asks again.
    pub(in crate::host) fn permit(&self, permit: Permit) {
        if self.knock.try_send(Knock::Permit(permit)).is_err() {
            tracing::info!("a lane has too much to do; a permit was dropped");
        }
    }
}

/// The lanes of a host.
pub(in crate::host) struct Lanes {
    keys: Arc<StorageKeys>,
    publisher: Connection,
    lanes: HashMap<MemberId, Lane>,
    locked: BTreeSet<MemberId>,
    tasks: JoinSet<()>,
    news: mpsc::Sender<News>,
    heard: mpsc::Receiver<News>,
}

impl Lanes {
    /// No lane yet.
    pub(in crate::host) fn new(keys: Arc<StorageKeys>, publisher: Connection) -> Self {
        let (news, heard) = mpsc::channel(QUEUE);
        Self { keys, publisher, lanes: HashMap::new(), locked: BTreeSet::new(), tasks: JoinSet::new(), news, heard }
    }

    /// Opens the lanes of these vaults; those whose lock record cannot be read are named with the reason.
    pub(in crate::host) fn open_all(&mut self, members: Vec<MemberId>) -> BTreeMap<MemberId, String> {
        let mut broken = BTreeMap::new();
        for member in members {
            if let Err(error) = self.open(member) {
                tracing::error!(%member, %error, "the lock of a vault cannot be served, so it stays down");
                broken.insert(member, error.to_string());
            }
        }
        broken
    }

    /// Opens the lane of a vault, unless it is open. A vault with a lock is locked until its member comes.
    pub(in crate::host) fn open(&mut self, member: MemberId) -> Result<(), StorageKeyError> {
        if self.lanes.contains_key(&member) {
            return Ok(());
        }
        let keeper = Keeper::open(member, self.keys.clone(), &clocks(), &mut UnwrapErr(SysRng))?;
        if keeper.has_lock() {
            self.locked.insert(member);
        }
        let (knock, knocks) = mpsc::channel(QUEUE);
        let has_lock = Arc::new(AtomicBool::new(keeper.has_lock()));
        let sealer = self.keys.sealer_kind();
        let (lane_key, made_at) = (keeper.lane_key(), keeper.made_at());
        self.lanes.insert(member, Lane { sealer, knock, lane_key, made_at, has_lock: has_lock.clone() });
        let server = Server { member, keeper, publisher: self.publisher.clone(), news: self.news.clone(), has_lock };
        self.tasks.spawn(server.run(knocks));
        Ok(())
    }

    /// The lane of a vault.
    pub(in crate::host) fn of(&self, member: MemberId) -> Option<Lane> {
        self.lanes.get(&member).cloned()
    }

    /// The vaults that wait for their members.
    pub(in crate::host) fn locked(&self) -> &BTreeSet<MemberId> {
        &self.locked
    }

    /// This vault is locked from now on.
    pub(in crate::host) async fn lock(&mut self, member: MemberId) {
        self.locked.insert(member);
        if let Some(lane) = self.lanes.get(&member) {
            // A lane ends with its host only.
            let _ = lane.knock.send(Knock::Locked).await;
        }
    }

    /// This vault waits no longer.
    pub(in crate::host) fn unlocked(&mut self, member: MemberId) {
        self.locked.remove(&member);
    }

    /// Takes what belongs to a lane; `false` for everything else.
    pub(in crate::host) fn take(&self, subject: &Subject, bytes: &[u8]) -> bool {
        let Subject::ForVault(member, event_type) = subject else {
            return false;
        };
        let knock = match event_type.as_str() {
            name if name == UnlockChallenge::ROW.name => json::read(bytes).ok().map(Knock::Ask),
            name if name == AttemptRow::ROW.name => json::read(bytes).ok().map(Knock::Attempt),
            _ => return false,
        };
        // Whoever misses an answer asks again.
        if let (Some(lane), Some(knock)) = (self.lanes.get(member), knock)
            && lane.knock.try_send(knock).is_err()
        {
            tracing::info!("a lane has too much to do; a message was dropped");
        }
        true
    }

    /// The next thing that a lane tells. May be cancelled without loss.
    pub(in crate::host) async fn next(&mut self) -> Option<News> {
        self.heard.recv().await
    }

    /// Ends every lane.
    pub(in crate::host) async fn stop(mut self) {
        self.lanes.clear();
        self.heard.close();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Serves one lane.
struct Server {
    member: MemberId,
    keeper: Keeper,
    publisher: Connection,
    news: mpsc::Sender<News>,
    has_lock: Arc<AtomicBool>,
}

impl Server {
    async fn run(mut self, mut knocks: mpsc::Receiver<Knock>) {
        while let Some(knock) = knocks.recv().await {
            match knock {
                Knock::Ask(asked) => self.challenge(&asked).await,
                Knock::Attempt(sent) => self.attempt(&sent).await,
                Knock::Permit(permit) => self.keeper.permit(permit, &clocks()),
                Knock::Locked => self.keeper.is(LockState::Locked),
            }
        }
    }

    async fn challenge(&mut self, asked: &AskChallenge) {
        let Some(challenge) = self.keeper.challenge(asked, &clocks(), &mut UnwrapErr(SysRng)) else {
            return;
        };
        if let Ok(bytes) = json::canonical(&challenge) {
            let subject = Subject::ForApp(self.member, UnlockChallenge::ROW.event_type(), asked.event_id);
            self.publish(&subject, bytes).await;
        }
    }

    async fn attempt(&mut self, sent: &UnlockAttempt) {
        let taken = match self.keeper.attempt(sent, &clocks(), &mut UnwrapErr(SysRng)) {
            Ok(Some(taken)) => taken,
            Ok(None) => return,
            Err(error) => return tracing::error!(member = %self.member, %error, "an attempt at a lock was not taken"),
        };
        tracing::info!(member = %self.member, result = ?taken.result, "an attempt at a lock");
        let Taken { reply, result, key, wrong } = taken;
        let result = match (result, key) {
            (UnlockResult::Unlocked, Some(key)) => self.unlocked(key, wrong).await,
            (UnlockResult::Changed, Some(key)) => self.changed(key, wrong).await,
            (result, _) => result,
        };
        self.answer(sent.event_id, &reply, result).await;
    }

    /// A right key: the host loads the vault, and the app is told once it runs.
    async fn unlocked(&mut self, key: StorageKey, wrong: u32) -> UnlockResult {
        let (runs, told) = oneshot::channel();
        let sent = self.news.send(News::Unlock { member: self.member, key, wrong, runs }).await;
        let is_running = sent.is_ok() && matches!(timeout(LOADED_WITHIN, told).await, Ok(Ok(())));
        if is_running {
            self.keeper.is(LockState::Open);
            UnlockResult::Unlocked
        } else {
            UnlockResult::Unavailable
        }
    }

    async fn changed(&mut self, key: StorageKey, wrong: u32) -> UnlockResult {
        let has_lock = self.keeper.has_lock();
        self.has_lock.store(has_lock, Ordering::Relaxed);
        let key = has_lock.then_some(key);
        // The host ends before its lanes do; then the lock stands all the same.
        let _ = self.news.send(News::Changed { member: self.member, key, wrong }).await;
        UnlockResult::Changed
    }

    async fn answer(&self, event_id: EventId, reply: &ReplyKey, result: UnlockResult) {
        let outcome = UnlockOutcome { result, status: self.keeper.status(&clocks()) };
        let Ok(outcome) = json::canonical(&outcome) else {
            return;
        };
        let sealed = Base64::new(reply.seal(&outcome, &mut UnwrapErr(SysRng)));
        if let Ok(bytes) = json::canonical(&UnlockAnswer { event_id, sealed }) {
            let subject = Subject::ForApp(self.member, AttemptRow::ROW.event_type(), event_id);
            self.publish(&subject, bytes).await;
        }
    }

    async fn publish(&self, subject: &Subject, bytes: Vec<u8>) {
        if let Err(error) = self.publisher.publish(subject, Bytes::from(bytes)).await {
            tracing::warn!(%error, "an answer of an unlock lane was not sent");
        }
    }
}
