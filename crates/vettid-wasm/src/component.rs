//! A component as a handler: a new instance for each event, gone with all its memory when the event is done.

use crate::bindings::HandlerPre;
use crate::exchange::{from_event, to_result};
use crate::imports::Run;
use crate::limits::Limits;
use crate::relay::Relay;
use crate::ticker::{Ticker, ticks};
use std::sync::Arc;
use vettid_handler::event::Event;
use vettid_handler::handler::Handler;
use vettid_handler::host::Host;
use vettid_handler::manifest::HostCall;
use vettid_handler::reply::{Fault, HandlerError, Reply};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// A loaded component.
pub struct ComponentHandler {
    component: HandlerPre<Run>,
    host_calls: Vec<HostCall>,
    limits: Limits,
    ticker: Arc<Ticker>,
}

impl ComponentHandler {
    pub(crate) fn new(
        component: HandlerPre<Run>,
        host_calls: Vec<HostCall>,
        limits: Limits,
        ticker: Arc<Ticker>,
    ) -> Self {
        Self { component, host_calls, limits, ticker }
    }

    /// The groups of host calls that the component imports: what it can do at most, read from its bytes.
    #[must_use]
    pub fn host_calls(&self) -> &[HostCall] {
        &self.host_calls
    }

    fn store(&self, relay: &Relay) -> wasmtime::Result<Store<Run>> {
        let mut store = Store::new(self.component.engine(), Run::new(relay.share(), &self.limits));
        store.limiter(|run| &mut run.memory);
        store.set_hostcall_fuel(self.limits.call_bytes);
        store.set_fuel(self.limits.fuel)?;
        store.set_epoch_deadline(ticks(self.limits.deadline_ms));
        store.epoch_deadline_trap();
        Ok(store)
    }
}

impl Handler for ComponentHandler {
    fn handle(&self, host: &mut dyn Host, event: &Event) -> Result<Reply, HandlerError> {
        let relay = Relay::new();
        let event = from_event(event);
        let mut store = self.store(&relay).map_err(|_| Fault::Trap)?;
        let running = self.ticker.run();
        let answer = relay.drive(host, async {
            let instance = self.component.instantiate_async(&mut store).await?;
            instance.call_handle(&mut store, &event).await
        });
        match answer {
            Some(Ok(_)) if running.is_longer_than(ticks(self.limits.deadline_ms)) => Err(Fault::Deadline.into()),
            Some(Ok(answer)) => to_result(answer),
            Some(Err(error)) => Err(classify(&error, &store)),
            None => Err(Fault::Trap.into()),
        }
    }
}

impl std::fmt::Debug for ComponentHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ComponentHandler({:?})", self.limits)
    }
}

/// A component that was refused memory may crash in any way; that it was refused is the reason.
fn classify(error: &wasmtime::Error, store: &Store<Run>) -> HandlerError {
    if error.is::<PoolConcurrencyLimitError>() {
        return HandlerError::Retry("too many handlers run at the same time".to_owned());
    }
    let trap = error.downcast_ref::<Trap>();
    HandlerError::Fault(match trap {
        _ if store.data().memory.is_exceeded => Fault::Memory,
        Some(Trap::Interrupt) => Fault::Deadline,
        Some(Trap::OutOfFuel) => Fault::Fuel,
        None if error.root_cause().to_string().contains(TOO_MUCH_IN_ONE_CALL) => Fault::Output,
        _ => Fault::Trap,
    })
}

/// How the engine words that a guest handed too much to the host: it has no public type for it.
const TOO_MUCH_IN_ONE_CALL: &str = "fuel allocated for hostcalls";
