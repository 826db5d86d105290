//! The tasks of a gateway. A fault of the program ends the task that meets it: one that serves a single thing that is owed to
//! somebody begins anew after a pause; without those that are kept a gateway would be deaf or idle and not say so, so they end
//! the gateway.

use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Before a task that fell begins anew; twice as long after each further fall.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Why a running gateway can only go on after its next start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    /// Nothing can be stored.
    #[error("the gateway lost its state: {0}")]
    State(Arc<str>),
    /// A task that it cannot do without.
    #[error("the program fell over a fault of its own, and {0} ended")]
    Task(&'static str),
}

/// A fault of the program ended something. The process says where in the source it was, and nothing of what was at hand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault;

/// What comes of a future, or that it met a fault of the program. What it changed in memory may be half changed then.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| Fault)
}

/// All tasks of a gateway. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    fallen: Arc<watch::Sender<Option<&'static str>>>,
    stop: CancellationToken,
}

impl Tasks {
    /// No task yet; none is begun anew after `stop`.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), fallen: Arc::new(watch::channel(None).0), stop }
    }

    /// Begins a task that serves a single thing.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Begins a task that serves a single thing which must not be lost: it begins anew after a fault of the program, until the stop.
    /// What `task` makes has to find out by itself how far the one before it came.
    pub(crate) fn insist<F>(&self, what: &'static str, task: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while caught(task()).await.is_err() {
                tracing::error!(?pause, "the program fell over a fault of its own: {what} begins anew after a pause");
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Begins a task that the gateway cannot do without.
    pub(crate) fn keep(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (task, fallen) = (self.spawn(task), Arc::clone(&self.fallen));
        self.spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                fallen.send_replace(Some(what));
            }
        });
    }

    /// Waits until one of those that are kept met a fault of the program; says which.
    pub(crate) async fn fallen(&self) -> &'static str {
        let mut fallen = self.fallen.subscribe();
        match fallen.wait_for(Option::is_some).await.map(|what| *what) {
            Ok(Some(what)) => what,
            // The sender is here, and what was waited for is there.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits for the end of all tasks, which were told to end.
    pub(crate) async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_kept_is_missed_when_it_falls() {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.keep("listening", async { std::future::pending().await });
        tasks.keep("sending", async { panic!("a fault of the program") });
        assert_eq!(timeout(NEVER, tasks.fallen()).await, Ok("sending"));
        assert_eq!(timeout(NEVER, tasks.clone().fallen()).await, Ok("sending"), "also for whoever asks later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_in_order_and_one_for_a_single_thing_are_not() {
        let tasks = Tasks::new(CancellationToken::new());
        tasks.keep("listening", async {});
        tasks.spawn(async { panic!("a fault of the program") }).await.unwrap_err();
        assert!(timeout(NEVER, tasks.fallen()).await.is_err());
        tasks.wait().await;
    }

    /// A task that falls as often as told; how often it was begun, and when for the last time.
    fn falling(tasks: &Tasks, falls: u32) -> watch::Receiver<(u32, Instant)> {
        let (begun, seen) = watch::channel((0, Instant::now()));
        tasks.insist("a delivery", move || {
            begun.send_modify(|(times, at)| (*times, *at) = (*times + 1, Instant::now()));
            let times = begun.borrow().0;
            async move { assert!(times > falls, "a fault of the program") }
        });
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_lost_begins_anew_after_growing_pauses() {
        let (tasks, start) = (Tasks::new(CancellationToken::new()), Instant::now());
        let seen = falling(&tasks, 3);
        tasks.wait().await;
        let (times, at) = *seen.borrow();
        assert_eq!((times, at - start), (4, Duration::from_secs(1 + 2 + 4)));
        assert!(timeout(NEVER, tasks.fallen()).await.is_err(), "the gateway goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlives_the_stop_or_ten_minutes() {
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.clone());
        let mut seen = falling(&tasks, u32::MAX);
        let twelfth = seen.wait_for(|(times, _)| *times == 12).await.unwrap().1;
        let thirteenth = seen.wait_for(|(times, _)| *times == 13).await.unwrap().1;
        assert_eq!(thirteenth - twelfth, LONGEST_PAUSE);
        stop.cancel();
        timeout(Duration::from_secs(1), tasks.wait()).await.unwrap();
        assert_eq!(seen.borrow().0, 13);
    }
}
