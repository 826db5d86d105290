//! The one thread that writes the journal. Commits that wait while the disk works are joined into the next record.
//! After a failed write nothing is written any more: what the disk holds is then unknown.

use super::journal::{self, JournalError, JournalFile, Values};
use super::{After, StateError};
use crate::files;
use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use vettid_core::journal::Changes;

/// Commits that may wait.
const QUEUE: usize = 1024;
/// Commits that are joined into one record.
const BATCH: usize = 256;

struct Commit {
    changes: Changes,
    /// What it removes must be gone from the file when it is done.
    purges: bool,
    after: Vec<After>,
    done: oneshot::Sender<bool>,
}

/// What follows a commit, and who waits for it.
type Waiting = (Vec<After>, oneshot::Sender<bool>);

/// Commits that become one record.
struct Batch {
    changes: Changes,
    purges: bool,
    waiting: Vec<Waiting>,
}

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Commit>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(file: JournalFile, values: Values) -> Result<Self, JournalError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("gateway-state".to_owned())
            .spawn(move || run(file, values, receiver))
            .map_err(files::at(Path::new("thread")))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn commit(&self, changes: Changes, after: Vec<After>, purges: bool) -> Result<(), StateError> {
        let queue = self.queue.lock().ok().and_then(|queue| queue.clone()).ok_or(StateError::Broken)?;
        let (done, written) = oneshot::channel();
        queue.send(Commit { changes, purges, after, done }).await.map_err(|_| StateError::Broken)?;
        match written.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(StateError::Broken),
        }
    }

    /// Ends the thread after the commits that wait.
    pub(super) async fn close(&self) {
        let queue = self.queue.lock().ok().and_then(|mut queue| queue.take());
        drop(queue);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn run(mut file: JournalFile, mut values: Values, mut queue: mpsc::Receiver<Commit>) {
    let mut live_bytes = size(&values);
    while let Some(first) = queue.blocking_recv() {
        let Batch { changes, purges, waiting } = batch(first, &mut queue);
        let written = file.append(changes.clone());
        if let Err(error) = &written {
            tracing::error!(%error, "the state could not be written");
        }
        if written.is_err() {
            return tell(waiting, false);
        }
        journal::apply(&mut values, changes);
        if purges {
            let is_gone = rewritten(&mut file, &values);
            tell(waiting, is_gone);
            if !is_gone {
                return;
            }
            live_bytes = size(&values);
            continue;
        }
        tell(waiting, true);
        if file.wants_rewrite(live_bytes) {
            live_bytes = size(&values);
            if file.wants_rewrite(live_bytes) && !rewritten(&mut file, &values) {
                return;
            }
        }
    }
}

fn tell(waiting: Vec<Waiting>, is_done: bool) {
    for (after, done) in waiting {
        if is_done {
            after.into_iter().for_each(|after| after());
        }
        let _ = done.send(is_done);
    }
}

fn rewritten(file: &mut JournalFile, values: &Values) -> bool {
    let outcome = file.rewrite(values);
    if let Err(error) = &outcome {
        tracing::error!(%error, "the state could not be rewritten");
    }
    outcome.is_ok()
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

fn size(values: &Values) -> u64 {
    values.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
}
