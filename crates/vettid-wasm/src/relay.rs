//! Carries host calls from inside a running component to the host of the caller. The component runs on a stack of its own;
//! a host call leaves that stack as a pending future with work to do, the caller does the work with its own `&mut dyn Host`,
//! and goes on. So a host need not be shared, sent to a thread, or outlive the call.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use vettid_handler::host::Host;

type Work = Box<dyn FnOnce(&mut dyn Host) + Send>;

/// A place that two sides of one thread hand a value over by.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
    fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
    fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The way from a component to the host of its caller.
pub(crate) struct Relay {
    work: Slot<Work>,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self { work: Slot::new() }
    }

    /// Both ends of the same way.
    pub(crate) fn share(&self) -> Self {
        Self { work: self.work.share() }
    }

    /// Inside the component: has `work` done with the caller's host.
    pub(crate) async fn call<R: Send + 'static>(&self, work: impl FnOnce(&mut dyn Host) -> R + Send + 'static) -> R {
        let done = Slot::new();
        let result = done.share();
        self.work.put(Box::new(move |host| result.put(work(host))));
        poll_fn(|_| done.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Outside: runs the component to its end and does its work in between. `None` if it waits for something else, which
    /// nothing in its world does.
    pub(crate) fn drive<F: Future>(&self, host: &mut dyn Host, component: F) -> Option<F::Output> {
        let mut component = pin!(component);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = component.as_mut().poll(&mut context) {
                return Some(output);
            }
            let work = self.work.take()?;
            work(host);
        }
    }
}
