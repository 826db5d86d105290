//! The tasks of a gateway. A fault of the program ends the task that meets it: with one that serves a single thing that thing is
//! lost; without those that are kept a gateway would be deaf or idle and not say so, so they end the gateway.

use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

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

/// All tasks of a gateway. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    fallen: Arc<watch::Sender<Option<&'static str>>>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { tracker: TaskTracker::new(), fallen: Arc::new(watch::channel(None).0) }
    }

    /// Begins a task that serves a single thing.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(task)
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
    use std::time::Duration;
    use tokio::time::timeout;

    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_kept_is_missed_when_it_falls() {
        let tasks = Tasks::new();
        tasks.keep("listening", async { std::future::pending().await });
        tasks.keep("sending", async { panic!("a fault of the program") });
        assert_eq!(timeout(NEVER, tasks.fallen()).await, Ok("sending"));
        assert_eq!(timeout(NEVER, tasks.clone().fallen()).await, Ok("sending"), "also for whoever asks later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_in_order_and_one_for_a_single_thing_are_not() {
        let tasks = Tasks::new();
        tasks.keep("listening", async {});
        tasks.spawn(async { panic!("a fault of the program") }).await.unwrap_err();
        assert!(timeout(NEVER, tasks.fallen()).await.is_err());
        tasks.wait().await;
    }
}
