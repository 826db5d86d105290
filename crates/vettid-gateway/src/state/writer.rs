//! The one task that writes the state. Commits that wait while the database works are joined into the next one. After a
//! failed write nothing is written any more: what the database holds is then unknown.

use super::book::Book;
use super::{After, StateError};
use std::fs::File;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use vettid_store::state::{RowChanges, StateStore};

/// Commits that may wait.
const QUEUE: usize = 1024;
/// Commits that are joined into one.
const BATCH: usize = 256;
/// A database that does not answer a commit for this long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
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
    /// Given back after the database.
    pub(super) lock: File,
}

/// The handle of the task.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Commit>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(desk: Desk) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(desk, receiver));
        Self { queue: Mutex::new(Some(sender)), task: Mutex::new(Some(task)) }
    }

    /// Whether commits are still taken.
    pub(super) fn is_open(&self) -> bool {
        self.queue.lock().is_ok_and(|queue| queue.as_ref().is_some_and(|queue| !queue.is_closed()))
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
        let queue = self.queue.lock().ok().and_then(|mut queue| queue.take());
        drop(queue);
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

async fn run(mut desk: Desk, mut queue: mpsc::Receiver<Commit>) {
    loop {
        let first = match tokio::time::timeout(QUIET, queue.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(_) if desk.still_writes().await => continue,
            Err(_) => return,
        };
        let Batch { changes, purges, waiting } = batch(first, &mut queue);
        let is_done = desk.write(&changes, purges).await;
        tell(waiting, is_done);
        if !is_done {
            return;
        }
    }
    desk.close().await;
}

impl Desk {
    async fn write(&mut self, changes: &RowChanges, purges: bool) -> bool {
        match self.try_write(changes, purges).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = %text(&error), "the state could not be written: the gateway writes nothing any more");
                false
            }
        }
    }

    async fn try_write(&mut self, changes: &RowChanges, purges: bool) -> Result<(), StateError> {
        let head = self.book.follow(changes)?;
        tokio::time::timeout(PATIENCE, self.store.commit(&head, changes)).await.map_err(|_| StateError::Broken)??;
        if purges {
            self.store.purge().await?;
        }
        Ok(())
    }

    async fn still_writes(&mut self) -> bool {
        let checked = tokio::time::timeout(PATIENCE, self.store.check()).await;
        if let Ok(Err(error)) = &checked {
            tracing::error!(error = %text(error), "the state was lost: the gateway writes nothing any more");
        }
        matches!(checked, Ok(Ok(())))
    }

    async fn close(self) {
        if let Err(error) = self.store.close().await {
            tracing::warn!(error = %text(&error), "the database of the state was not closed in good order");
        }
        drop(self.lock);
    }
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
