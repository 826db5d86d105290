//! One running vault: takes its events in batches, commits, then acknowledges and sends. The journal is ahead of the
//! world at every moment; if a commit is not certain, the vault stops and is loaded again.

mod rounds;

use super::clock;
use super::failures::{Failed, Failures};
use super::loader::APART;
use super::lock::lane::Lane;
use super::pieces::Store;
use super::presence::Presence;
use super::removal::{Removed, remove};
use super::turns::Turn;
use super::ways::{Sender, Ways};
use crate::failure::Failure;
use crate::lock;
use crate::manager::{Commanded, Event, Handled, Prepared, Vault};
use crate::outbox::Post;
use bytes::Bytes;
use futures_util::FutureExt as _;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use rounds::Rounds;
use serde_json::Value;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use vettid_core::journal::BrokenJournal;
use vettid_nats::inbox::InboxMessage;
use vettid_nats::journal::{Journal, JournalError};
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::pieces::Pieces;
use vettid_wire::enrolment::{EnrolVault, EnrolmentCode, SigningKeysRotated, VaultDeployed};
use vettid_wire::recovery::{RecoverVault, RecoveryDecided};
use vettid_wire::subject::Subject;

/// Most events that are taken at once.
const BATCH: usize = 64;
/// Most bytes of events that are taken at once, but for the last one. What they lead to may take several commits.
const BATCH_BYTES: usize = 128 * 1024;
/// Events that may wait for one vault.
pub const QUEUE: usize = 1024;
/// A vault that could not handle an event gets it again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// An event that the quarantine has no room for comes again after so many milliseconds.
const NO_ROOM_PAUSE_MS: i64 = 600_000;
/// Commits after which the state is stored as a whole and older records are removed.
const SNAPSHOT_AFTER: u64 = 2_000;

/// What a vault is asked to do.
#[derive(Debug)]
pub enum Work {
    /// A durable event, which is acknowledged after the commit, and the turn of its service, which ends then.
    Durable(Box<InboxMessage>, Option<Turn>),
    /// An event for whoever listens, and the turn of its service.
    BestEffort(Subject, Bytes, Option<Turn>),
    /// The receiver's broker took an item of the outbox.
    Sent(u64),
    /// The receiver's broker did not take it; it is tried again with the next tick.
    NotSent(u64),
    /// Services cut this user off, or not yet.
    CutOff(String, bool),
    /// Services made the broker know these signing keys, or not yet.
    SigningKeysRotated(Option<SigningKeysRotated>),
    /// Nobody heard a push to the app that was sent after so many of its visits.
    Unheard(u64),
    /// Something happened to the lock.
    Lock(lock::News),
    /// Services ask for an enrolment code.
    Enrol(EnrolVault, oneshot::Sender<Option<EnrolmentCode>>),
    /// Services ask for the code of a recovery.
    Recover(RecoverVault, oneshot::Sender<Option<EnrolmentCode>>),
    /// Services hand on what the old device said about a recovery.
    DecideRecovery(Value, oneshot::Sender<Option<RecoveryDecided>>),
    /// Services ask for the public keys.
    Public(oneshot::Sender<Option<VaultDeployed>>),
}

/// Why a running vault stopped.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The journal did not take a commit, or it is unknown whether it did.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The committed record does not follow.
    #[error(transparent)]
    Chain(#[from] BrokenJournal),
    /// A snapshot could not be stored.
    #[error(transparent)]
    Snapshot(#[from] ObjectError),
    /// It is locked; only its member brings it back.
    #[error("the vault was locked")]
    Locked,
    /// The program panicked: what it held of the vault counts no more, and the journal decides.
    #[error("the program fell over a fault of its own")]
    Fell,
}

/// How a vault ended, and what went wrong with its events until then.
pub(super) type Ended = (Result<(), Stopped>, Failures);

/// A running vault.
pub struct Actor {
    vault: Vault,
    sequence: u64,
    journal: Journal,
    objects: Objects,
    ways: Ways,
    files: Store,
    work: mpsc::Receiver<Work>,
    acknowledgements: JoinSet<()>,
    cutting: HashSet<String>,
    is_announcing: bool,
    /// What went wrong with its events, also before it was loaded again.
    failures: Failures,
    /// Events that are being handled.
    in_hand: Vec<Option<InboxMessage>>,
    /// Sequences of some records of the journal, in order and [`APART`] records apart.
    places: Vec<u64>,
    /// Removes what is before the last snapshot.
    removal: JoinSet<Removed>,
    /// The unlock lane.
    lane: Option<Lane>,
    /// When the owner commanded something last.
    owner_at: Instant,
    /// Its owner wants it locked; what was begun is finished first.
    is_to_be_locked: bool,
    /// Whether the app hears what is pushed to it.
    presence: Presence,
    /// Something was committed since the ways were compared with the state.
    is_changed: bool,
}

/// An event and what is owed to its sender.
struct Taken {
    event: Event,
    message: Option<InboxMessage>,
}

impl Taken {
    /// An event of the vault's own.
    fn own(event: Event) -> Self {
        Self { event, message: None }
    }

    fn len(&self) -> usize {
        match &self.event {
            Event::Message { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

impl Actor {
    /// A vault whose last record has this sequence, and some of whose records have those.
    pub(super) fn new(
        vault: Vault,
        (sequence, places): (u64, Vec<u64>),
        journal: Journal,
        (objects, pieces): (Objects, Pieces),
        sender: Sender,
        work: mpsc::Receiver<Work>,
    ) -> Self {
        let presence = Presence::default();
        let ways = Ways::new(vault.guid(), sender, presence.visits());
        let files = Store::new(vault.guid(), pieces);
        Self {
            vault,
            sequence,
            journal,
            objects,
            ways,
            files,
            work,
            acknowledgements: JoinSet::new(),
            cutting: HashSet::new(),
            is_announcing: false,
            failures: Failures::default(),
            in_hand: Vec::new(),
            places,
            removal: JoinSet::new(),
            lane: None,
            owner_at: Instant::now(),
            is_to_be_locked: false,
            presence,
            is_changed: true,
        }
    }

    /// The vault's lock is served by this lane.
    pub(super) fn behind(mut self, lane: Option<Lane>) -> Self {
        let made_at = lane.as_ref().map(Lane::made_at).unwrap_or_default();
        self.vault.lock().lane_made_at = made_at.lane;
        self.vault.lock().storage_made_at = made_at.storage;
        self.vault.lock().lane_key = lane.as_ref().map(Lane::lane_key);
        self.vault.lock().sealer = lane.as_ref().map(Lane::sealer);
        self.lane = lane;
        self
    }

    /// With what is known of the failures of its events.
    pub(super) fn after(self, failures: Failures) -> Self {
        Self { failures, ..self }
    }

    /// Runs until nobody gives it work any more; what was begun is finished. A panic ends this vault alone: what is in its memory is
    /// used no more but for the events in hand.
    pub(super) async fn run(mut self) -> Ended {
        let ended = AssertUnwindSafe(self.serve()).catch_unwind().await.unwrap_or(Err(Stopped::Fell));
        match ended {
            Ok(()) | Err(Stopped::Locked) => {
                while self.acknowledgements.join_next().await.is_some() {}
                self.files.finish().await;
            }
            Err(Stopped::Fell) => self.fell().await,
            Err(_) => {}
        }
        (ended, self.failures)
    }

    /// What was in hand comes again, each by itself, and what was waiting comes again, too.
    async fn fell(&mut self) {
        let mut owed: Vec<_> = std::mem::take(&mut self.in_hand).into_iter().flatten().collect();
        self.failures.fell(Instant::now(), owed.iter().map(|message| message.sequence));
        self.work.close();
        while let Ok(work) = self.work.try_recv() {
            if let Work::Durable(message, _) = work {
                owed.push(*message);
            }
        }
        for message in owed {
            if let Err(error) = message.later(AGAIN_AFTER).await {
                tracing::warn!(%error, "an event of a vault that fell comes again later than it could");
            }
        }
    }

    async fn serve(&mut self) -> Result<(), Stopped> {
        let mut rounds = Rounds::begin(Instant::now(), self.vault.guid());
        let mut due = pin!(sleep_until(rounds.at()));
        loop {
            tokio::select! {
                work = self.work.recv() => match work {
                    Some(work) => self.take_up(work).await?,
                    None => break,
                },
                () = &mut due => {
                    let is_quiet = self.look_around().await?;
                    rounds.done(Instant::now(), is_quiet);
                    due.as_mut().reset(rounds.at());
                    continue;
                }
                done = self.files.next() => {
                    self.handle(vec![Taken::own(Event::Pieces(done))]).await?;
                }
                Some(_) = self.acknowledgements.join_next() => continue,
                Some(removed) = self.removal.join_next() => {
                    self.forget(removed);
                    continue;
                }
            }
            rounds.something_happened(Instant::now());
            if rounds.at() < due.deadline() {
                due.as_mut().reset(rounds.at());
            }
        }
        Ok(())
    }

    /// Takes this work and whatever else is there, up to one batch.
    async fn take_up(&mut self, first: Work) -> Result<(), Stopped> {
        let (mut taken, mut turns) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(work) = next {
            match work {
                Work::Durable(message, turn) if self.failures.is_suspect(message.sequence) => {
                    self.handle(std::mem::take(&mut taken)).await?;
                    self.handle_suspect(*message).await?;
                    drop(turn);
                }
                Work::Durable(message, turn) => {
                    let event = Event::Message { subject: message.subject.clone(), bytes: message.payload.to_vec() };
                    turns.extend(turn);
                    taken.push(Taken { event, message: Some(*message) });
                }
                Work::BestEffort(subject, bytes, turn) => {
                    if matches!(subject, Subject::ForVault(..)) {
                        self.presence.was_here();
                    }
                    turns.extend(turn);
                    taken.push(Taken { event: Event::Message { subject, bytes: bytes.to_vec() }, message: None });
                }
                Work::Sent(number) => {
                    self.ways.ended(number);
                    taken.push(Taken::own(Event::Sent(vec![number])));
                }
                Work::NotSent(number) => self.ways.ended(number),
                Work::Unheard(visits) => self.presence.unheard(Instant::now(), visits),
                Work::Lock(news) => taken.push(Taken::own(Event::Lock(news))),
                Work::CutOff(nkey, done) => self.cut_off(nkey, done, &mut taken),
                Work::SigningKeysRotated(done) => {
                    self.is_announcing = false;
                    let done = done.map(Event::SigningKeysRotated);
                    taken.extend(done.map(Taken::own));
                }
                Work::Enrol(asked, answer) => self.enrol(&asked, answer).await?,
                Work::Recover(asked, answer) => {
                    let made = self.vault.recovery_code(clock::clocks(), &mut UnwrapErr(SysRng), &asked);
                    self.answer(made, answer).await?;
                }
                Work::DecideRecovery(received, answer) => {
                    let decided = self.vault.decide_recovery(clock::clocks(), &mut UnwrapErr(SysRng), &received);
                    self.answer(decided, answer).await?;
                    self.ask_services();
                }
                Work::Public(answer) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.vault.public().ok());
                }
            }
            let bytes: usize = taken.iter().map(Taken::len).sum();
            next = if taken.len() < BATCH && bytes < BATCH_BYTES { self.work.try_recv().ok() } else { None };
        }
        let handled = self.handle(taken).await;
        drop(turns);
        handled
    }

    /// An event with which the program fell: nothing else is in hand this time. One that made it fall again and again is not tried any
    /// more.
    async fn handle_suspect(&mut self, message: InboxMessage) -> Result<(), Stopped> {
        if self.failures.is_spent(message.sequence) {
            let afterwards = self.quarantine(message).await?;
            return self.handle(afterwards.into_iter().map(Taken::own).collect()).await;
        }
        let event = Event::Message { subject: message.subject.clone(), bytes: message.payload.to_vec() };
        self.handle(vec![Taken { event, message: Some(message) }]).await
    }

    fn cut_off(&mut self, nkey: String, done: bool, taken: &mut Vec<Taken>) {
        self.cutting.remove(&nkey);
        if done {
            taken.push(Taken::own(Event::CutOff(nkey)));
        }
    }

    /// Handles a batch, and then what it leads to after its commit.
    async fn handle(&mut self, mut taken: Vec<Taken>) -> Result<(), Stopped> {
        while !taken.is_empty() {
            let (mut afterwards, left) = self.handle_one(taken).await?;
            afterwards.retain(|event| !matches!(event, Event::Told(_)) || self.presence.may_hear(Instant::now()));
            taken = afterwards.into_iter().map(Taken::own).chain(left).collect();
        }
        if self.is_to_be_locked {
            return Err(Stopped::Locked);
        }
        self.ask_services();
        self.snapshot_if_due().await
    }

    /// One batch: commit, then acknowledge and send. Gives what the commit leads to, and what it had no room for.
    async fn handle_one(&mut self, taken: Vec<Taken>) -> Result<(Vec<Event>, Vec<Taken>), Stopped> {
        let (mut events, messages): (Vec<_>, Vec<_>) = taken.into_iter().map(|t| (t.event, t.message)).unzip();
        self.in_hand = messages;
        self.vault.lock().is_set = self.lane.as_ref().is_some_and(Lane::has_lock);
        let batch = self.vault.handle(clock::clocks(), &mut UnwrapErr(SysRng), &events);
        let mut messages = std::mem::take(&mut self.in_hand);
        let left = events.split_off(batch.handled.len()).into_iter().zip(messages.split_off(batch.handled.len()));
        let left = left.map(|(event, message)| Taken { event, message }).collect();
        // Held back from before the commit on, so that nothing leaves after the tombstone.
        batch.ended.iter().for_each(|ended| self.ways.end(ended));
        let (mut posts, mut afterwards) = (batch.posts, batch.afterwards);
        if let Some(prepared) = &batch.commit {
            self.write(prepared).await?;
            tracing::debug!(durable = ?batch.durable, "committed");
            self.grant_wishes();
            // What the journal has may leave; only a new way needs what memory is about to learn.
            posts = self.ways.send_on_open(posts).await;
            self.follow(prepared)?;
        } else {
            self.grant_wishes();
        }
        for (message, handled) in messages.into_iter().zip(&batch.handled) {
            match message {
                Some(message) if *handled == Handled::Again => afterwards.extend(self.failed(message).await?),
                Some(message) => {
                    self.failures.forget(message.sequence);
                    self.acknowledge(message, *handled);
                }
                None => {}
            }
        }
        self.send(posts);
        batch.wishes.into_iter().for_each(|wish| self.files.begin(wish));
        Ok((afterwards, left))
    }

    /// What the commit wishes of the lock; a permit is with the lane before the app hears of it.
    fn grant_wishes(&mut self) {
        let desk = self.vault.lock();
        if std::mem::take(&mut desk.owner_was_here) {
            self.owner_at = Instant::now();
        }
        for wish in std::mem::take(&mut desk.wishes) {
            match (wish, &self.lane) {
                (lock::Wish::Permit(permit), Some(lane)) => lane.permit(permit),
                (lock::Wish::Permit(_), None) => {}
                (lock::Wish::Lock, _) => self.is_to_be_locked = true,
            }
        }
    }

    async fn commit(&mut self, prepared: &Prepared) -> Result<(), Stopped> {
        self.write(prepared).await?;
        self.follow(prepared)
    }

    /// The record is in the journal when this returns.
    async fn write(&mut self, prepared: &Prepared) -> Result<(), Stopped> {
        let bytes = Bytes::copy_from_slice(&prepared.sealed);
        self.sequence = self.journal.commit(self.vault.guid(), self.sequence, bytes).await?;
        Ok(())
    }

    /// Memory follows the journal.
    fn follow(&mut self, prepared: &Prepared) -> Result<(), Stopped> {
        self.vault.committed(prepared)?;
        if self.vault.since_snapshot().is_multiple_of(APART) {
            self.places.push(self.sequence);
        }
        self.is_changed = true;
        Ok(())
    }

    fn send(&mut self, posts: Vec<Post>) {
        for post in posts {
            self.ways.send(&self.vault, post);
        }
    }

    /// After the commit: done, or again later.
    fn acknowledge(&mut self, message: InboxMessage, handled: Handled) {
        self.acknowledgements.spawn(async move {
            let told = match handled {
                Handled::Done => message.done_soon().await,
                Handled::Again => message.later(AGAIN_AFTER).await,
                Handled::Later(wait_ms) => message.later(Duration::from_millis(wait_ms.unsigned_abs())).await,
            };
            if let Err(error) = told {
                tracing::warn!(%error, "an event was not acknowledged and will come again");
            }
        });
    }

    /// An event could not be handled. What was only held back does not count, so deliveries are no measure.
    async fn failed(&mut self, message: InboxMessage) -> Result<Vec<Event>, Stopped> {
        match self.failures.failed(message.sequence) {
            Failed::TooOften => self.quarantine(message).await,
            Failed::Again => {
                self.acknowledge(message, Handled::Again);
                Ok(vec![])
            }
        }
    }

    /// An event that cannot be handled time after time is kept apart, sealed as it came, and not delivered any more. Where
    /// there is no room for it, it stays at the broker.
    async fn quarantine(&mut self, message: InboxMessage) -> Result<Vec<Event>, Stopped> {
        let before = self.quarantined();
        let event = Event::Quarantine { subject: message.subject.clone(), bytes: message.payload.to_vec() };
        let batch = self.vault.handle(clock::clocks(), &mut UnwrapErr(SysRng), &[event]);
        if let Some(prepared) = &batch.commit {
            self.commit(prepared).await?;
        }
        self.send(batch.posts);
        if self.quarantined() > before {
            self.failures.forget(message.sequence);
            self.acknowledgements.spawn(async move {
                if let Err(error) = message.give_up().await {
                    tracing::warn!(%error, "an event in quarantine will come again");
                }
            });
        } else {
            tracing::error!("an event can be neither handled nor put into quarantine");
            self.acknowledge(message, Handled::Later(NO_ROOM_PAUSE_MS));
        }
        Ok(batch.afterwards)
    }

    fn quarantined(&self) -> u64 {
        self.vault.quarantined().map_or(0, |size| size.messages)
    }

    /// Whatever services have to do for this vault and are not asked for already.
    fn ask_services(&mut self) {
        self.ask_to_cut_off();
        match self.vault.announced() {
            Ok(Some(keys)) if !self.is_announcing => {
                self.is_announcing = true;
                self.ways.announce(&self.vault, keys);
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the signing keys cannot be read"),
        }
    }

    fn ask_to_cut_off(&mut self) {
        let users = match self.vault.to_cut_off() {
            Ok(users) => users,
            Err(error) => return tracing::error!(%error, "the users to cut off cannot be read"),
        };
        for user in users {
            if self.cutting.insert(user.user_nkey.clone()) {
                self.ways.cut_off(&self.vault, user);
            }
        }
    }

    async fn enrol(
        &mut self,
        asked: &EnrolVault,
        answer: oneshot::Sender<Option<EnrolmentCode>>,
    ) -> Result<(), Stopped> {
        let made = self.vault.enrolment_code(clock::clocks(), &mut UnwrapErr(SysRng), asked);
        self.answer(made, answer).await
    }

    /// Commits what a command of services did, then answers it.
    async fn answer<T>(
        &mut self,
        done: Result<Commanded<T>, Failure>,
        answer: oneshot::Sender<Option<T>>,
    ) -> Result<(), Stopped> {
        let done = match done {
            Ok(Commanded { done, prepared, posts }) => {
                self.commit(&prepared).await?;
                self.send(posts);
                Some(done)
            }
            Err(error) => {
                tracing::error!(%error, "a command of services was not carried out");
                None
            }
        };
        // Whoever asked may have gone; a code then expires unused.
        let _ = answer.send(done);
        Ok(())
    }

    /// Stores the whole state and names it in the journal. Only then older records begin to be removed, while the vault goes on.
    async fn snapshot_if_due(&mut self) -> Result<(), Stopped> {
        if self.vault.since_snapshot() < SNAPSHOT_AFTER || !self.removal.is_empty() {
            return Ok(());
        }
        let (name, object, prepared) = self.vault.snapshot(&mut UnwrapErr(SysRng));
        self.objects.put(&name, &Bytes::from(object)).await?;
        self.commit(&prepared).await?;
        // The snapshot itself is the last of them.
        let places = self.places.clone();
        let before = self.vault.states().iter().filter(|state| **state != name).cloned().collect();
        self.removal.spawn(remove(self.journal.clone(), self.objects.clone(), self.vault.guid(), places, before));
        Ok(())
    }

    /// What was removed is not removed again; whatever stayed is tried again after the next snapshot.
    fn forget(&mut self, removed: Result<Removed, JoinError>) {
        match removed {
            Ok(Removed { below, states }) => {
                self.places.retain(|place| *place > below);
                self.vault.forget_states(&states);
            }
            Err(error) => tracing::error!(%error, "the removal of old journal records did not come to its end"),
        }
    }
}
