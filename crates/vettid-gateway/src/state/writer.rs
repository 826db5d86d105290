//! The one task that writes the state. Commits that wait while the database works are joined into the next one. After a
//! failed write nothing is written before it was read what the database holds; where that is not what was left there, or cannot be
//! known, nothing is written any more.

use super::book::Book;
use super::{After, StateError};
use crate::tasks::{Fault, caught};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vettid_store::state::{Contents, Pending, RowChanges, StateStore, StoreError};

/// Commits that may wait.
const QUEUE: usize = 1024;
/// Commits that are joined into one.
const BATCH: usize = 256;
/// A database that does not answer a commit for this long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// One that answers nothing for this long counts as away, until it answers.
const SLOW: Duration = Duration::from_secs(5);
/// Between two tries to reach a database that is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A try ends after this long.
const AGAIN_PATIENCE: Duration = Duration::from_secs(30);
/// After this much quiet the database is asked whether this process may still write.
const QUIET: Duration = Duration::from_secs(5);

struct Commit {
    changes: RowChanges,
    /// What it removes must be gone from the files when it is done.
    purges: bool,
    after: Vec<After>,
    done: oneshot::Sender<bool>,
}

/// What follows a commit, and who waits for it.
type Waiting = (Vec<After>, oneshot::Sender<bool>);

/// Commits that become one.
struct Batch {
    changes: RowChanges,
    purges: bool,
    waiting: Vec<Waiting>,
}

/// The database in the hands of this process.
pub(super) struct Desk {
    pub(super) store: Box<dyn StateStore>,
    pub(super) book: Book,
    /// Of the last commit that was acknowledged.
    pub(super) head: Option<Vec<u8>>,
    /// Given back after the database.
    pub(super) lock: File,
}

/// How the database is, for everybody who asks.
#[derive(Debug)]
struct Standing {
    is_away: AtomicBool,
    /// Why nothing is written any more.
    lost: watch::Sender<Option<Arc<str>>>,
    /// A database that is away is waited for until then.
    ending: CancellationToken,
}

/// The handle of the task.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Commit>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    standing: Arc<Standing>,
}

impl Writer {
    pub(super) fn start(desk: Desk) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (lost, _) = watch::channel(None);
        let standing = Arc::new(Standing { is_away: AtomicBool::new(false), lost, ending: CancellationToken::new() });
        let watched = Arc::clone(&standing);
        let task = tokio::spawn(async move {
            if caught(run(desk, receiver, Arc::clone(&watched))).await == Err(Fault) {
                watched.end(&StateError::Fallen);
            }
        });
        Self { queue: Mutex::new(Some(sender)), task: Mutex::new(Some(task)), standing }
    }

    /// Whether commits are still taken.
    pub(super) fn is_open(&self) -> bool {
        self.queue.lock().is_ok_and(|queue| queue.as_ref().is_some_and(|queue| !queue.is_closed()))
    }

    /// Whether the database is waited for.
    pub(super) fn is_away(&self) -> bool {
        self.standing.is_away.load(Ordering::Acquire)
    }

    /// Waits until nothing is written any more; says why.
    pub(super) async fn lost(&self) -> Arc<str> {
        let mut lost = self.standing.lost.subscribe();
        let why = lost.wait_for(Option::is_some).await.map(|why| why.clone());
        why.ok().flatten().unwrap_or_else(|| StateError::Broken.to_string().into())
    }

    /// A database that is away is not waited for any longer.
    pub(super) fn wait_no_more(&self) {
        self.standing.ending.cancel();
    }

    pub(super) async fn commit(&self, changes: RowChanges, after: Vec<After>, purges: bool) -> Result<(), StateError> {
        let queue = self.queue.lock().ok().and_then(|queue| queue.clone()).ok_or(StateError::Broken)?;
        let (done, written) = oneshot::channel();
        queue.send(Commit { changes, purges, after, done }).await.map_err(|_| StateError::Broken)?;
        match written.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(StateError::Broken),
        }
    }

    /// Ends the task after the commits that wait.
    pub(super) async fn close(&self) {
        self.wait_no_more();
        let queue = self.queue.lock().ok().and_then(|mut queue| queue.take());
        drop(queue);
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

async fn run(mut desk: Desk, mut queue: mpsc::Receiver<Commit>, standing: Arc<Standing>) {
    loop {
        let first = match tokio::time::timeout(QUIET, queue.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(_) => match desk.still_writes(&standing).await {
                Ok(()) => continue,
                Err(error) => return standing.end(&error),
            },
        };
        let Batch { changes, purges, waiting } = batch(first, &mut queue);
        let written = desk.write(&changes, purges, &standing).await;
        if let Err(error) = &written {
            standing.end(error);
        }
        tell(waiting, written.is_ok());
        if written.is_err() {
            return;
        }
    }
    desk.close().await;
}

impl Standing {
    /// Says why nothing is written any more.
    fn end(&self, error: &StateError) {
        let why = text(error);
        tracing::error!(error = %why, "the gateway writes nothing any more");
        self.is_away.store(false, Ordering::Release);
        self.lost.send_replace(Some(why.into()));
    }
}

impl Desk {
    /// Makes a commit, once, however often the database is lost meanwhile.
    async fn write(&mut self, changes: &RowChanges, purges: bool, standing: &Standing) -> Result<(), StateError> {
        let head = self.book.follow(changes)?;
        let mut outcome = self.commit(&head, changes, standing).await;
        while let Err(error) = outcome {
            let found = self.come_back(error, standing).await?;
            // What was under way is kept or not; which of the two is known now, and nothing else may have happened.
            outcome = match found.head {
                kept if kept.as_ref() == Some(&head) => Ok(()),
                before if before == self.head => self.commit(&head, changes, standing).await,
                _ => return Err(StateError::Rewound),
            };
        }
        self.head = Some(head);
        while purges && let Err(error) = self.store.purge().await {
            self.find_as_left(error, standing).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, head: &[u8], changes: &RowChanges, standing: &Standing) -> Result<(), StoreError> {
        patiently(self.store.commit(head, changes), standing).await
    }

    async fn still_writes(&mut self, standing: &Standing) -> Result<(), StateError> {
        match patiently(self.store.check(), standing).await {
            Ok(()) => Ok(()),
            Err(error) => self.find_as_left(error, standing).await,
        }
    }

    /// Waits for the database, which holds what was stored last.
    async fn find_as_left(&mut self, error: StoreError, standing: &Standing) -> Result<(), StateError> {
        let found = self.come_back(error, standing).await?;
        if found.head == self.head { Ok(()) } else { Err(StateError::Rewound) }
    }

    /// Waits until the database is there again, in the hands of nobody else, and sound; gives what it holds.
    async fn come_back(&mut self, error: StoreError, standing: &Standing) -> Result<Contents, StateError> {
        if !error.is_passing() {
            return Err(error.into());
        }
        standing.is_away.store(true, Ordering::Release);
        tracing::error!(error = %text(&error), "the database was lost: nothing is stored or answered until it is back");
        let found = self.wait(error, standing).await?;
        self.book.vouches_for(&found)?;
        standing.is_away.store(false, Ordering::Release);
        tracing::info!("the database is back as it was left");
        Ok(found)
    }

    async fn wait(&mut self, lost: StoreError, standing: &Standing) -> Result<Contents, StateError> {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = standing.ending.cancelled() => return Err(lost.into()),
                () = tokio::time::sleep(pause) => {}
            }
            let again = tokio::time::timeout(AGAIN_PATIENCE, self.store.come_back()).await;
            match again.unwrap_or_else(|_| Err(StoreError::silent())) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => return Err(lost.into()),
                Err(StoreError::Backend(error)) => tracing::warn!(%error, "the database is not back yet"),
                Err(StoreError::InUse) => tracing::debug!("the session that was lost has not ended yet"),
                Err(error) => return Err(error.into()),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn close(self) {
        if let Err(error) = self.store.close().await {
            tracing::warn!(error = %text(&error), "the database of the state was not closed in good order");
        }
        drop(self.lock);
    }
}

/// Waits for the database; one that takes long is as good as away.
async fn patiently(work: Pending<'_, ()>, standing: &Standing) -> Result<(), StoreError> {
    let work = tokio::time::timeout(PATIENCE, work);
    tokio::pin!(work);
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        () = tokio::time::sleep(SLOW) => {
            standing.is_away.store(true, Ordering::Release);
            work.await
        }
    };
    if matches!(outcome, Ok(Ok(()))) {
        standing.is_away.store(false, Ordering::Release);
    }
    outcome.unwrap_or_else(|_| Err(StoreError::silent()))
}

/// An error and what is behind it.
fn text(error: &dyn std::error::Error) -> String {
    let behind = std::iter::successors(Some(error), |error| error.source());
    behind.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn tell(waiting: Vec<Waiting>, is_done: bool) {
    for (after, done) in waiting {
        if is_done {
            after.into_iter().for_each(|after| after());
        }
        let _ = done.send(is_done);
    }
}

fn batch(first: Commit, queue: &mut mpsc::Receiver<Commit>) -> Batch {
    let mut batch = Batch { changes: first.changes, purges: first.purges, waiting: vec![(first.after, first.done)] };
    while batch.waiting.len() < BATCH
        && let Ok(next) = queue.try_recv()
    {
        batch.changes.extend(next.changes);
        batch.purges |= next.purges;
        batch.waiting.push((next.after, next.done));
    }
    batch
}
