//! The clock of the sandbox: while a component runs, the epoch of its engine rises at a steady pace. At rest it sleeps.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wasmtime::Engine;

/// Time between two ticks, in milliseconds.
const TICK_MS: u64 = 10;

/// The ticks that make up a time, at least so much.
pub(crate) fn ticks(time_ms: u64) -> u64 {
    time_ms.div_ceil(TICK_MS) + 1
}

#[derive(Default)]
struct Activity {
    running: usize,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    activity: Mutex<Activity>,
    changed: Condvar,
    ticks: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that raises the epoch; it ends with this value.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new().name("handler-clock".to_owned()).spawn(move || tick(&its, &engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps the clock going until the returned value is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let mut activity = self.shared.lock();
        activity.running += 1;
        if activity.running == 1 {
            self.shared.changed.notify_one();
        }
        Running { shared: &self.shared, since: self.shared.ticks.load(Ordering::Relaxed) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic in a way that matters to anybody: it holds nothing.
            let _ = thread.join();
        }
    }
}

/// A component runs.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
    since: u64,
}

impl Running<'_> {
    /// Whether it runs longer than this, host calls included: the engine itself looks at the clock only inside the component.
    pub(crate) fn is_longer_than(&self, ticks: u64) -> bool {
        self.shared.ticks.load(Ordering::Relaxed).saturating_sub(self.since) > ticks
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.lock().running -= 1;
    }
}

/// Only the first of several running components wakes the thread early, so no run can hold back the tick of another.
fn tick(shared: &Shared, engine: &Engine) {
    let mut activity = shared.lock();
    while !activity.is_over {
        if activity.running == 0 {
            activity = shared.changed.wait(activity).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let pause = Duration::from_millis(TICK_MS);
        let (again, timeout) = shared.changed.wait_timeout(activity, pause).unwrap_or_else(PoisonError::into_inner);
        activity = again;
        if timeout.timed_out() {
            shared.ticks.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
        }
    }
}
