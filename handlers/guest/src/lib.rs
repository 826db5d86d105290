//! Shows handlers written in Rust as a component of the world `vettid:handler/handler`, and the imports of the component
//! as their host. A component imports only the groups of host calls that it names: its authority stands in its bytes.

pub mod bindings;
pub mod calls;
mod exchange;

use bindings::vettid::handler::exchange as wit;
use vettid_handler::handlers::{Handlers, HandlersBuilder};
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::refusal::RefusalCode;

#[doc(hidden)]
pub use vettid_handler as handler;
#[doc(hidden)]
pub use vettid_wire as wire;

/// Turns a function that adds handlers to a table into a component that may use the named groups of host calls.
#[macro_export]
macro_rules! component {
    ($add:path, [$($call:ident),* $(,)?]) => {
        struct Imports;

        impl $crate::handler::host::Host for Imports {
            $($crate::host_call!($call);)*
        }

        struct Component;

        impl $crate::bindings::Guest for Component {
            fn handle(
                event: $crate::bindings::vettid::handler::exchange::Event,
            ) -> Result<
                $crate::bindings::vettid::handler::exchange::Reply,
                $crate::bindings::vettid::handler::exchange::HandlerError,
            > {
                $crate::handle($add, &mut Imports, event)
            }
        }

        $crate::bindings::export!(Component with_types_in $crate::bindings);
    };
}

/// Handles one event with the handler that `add` puts into the table for it.
///
/// # Errors
/// What the handler refuses, and events that the component has no handler for.
pub fn handle(
    add: fn(HandlersBuilder) -> HandlersBuilder,
    host: &mut dyn Host,
    event: wit::Event,
) -> Result<wit::Reply, wit::HandlerError> {
    run(add, host, event).map(exchange::from_reply).map_err(exchange::from_error)
}

fn run(
    add: fn(HandlersBuilder) -> HandlersBuilder,
    host: &mut dyn Host,
    event: wit::Event,
) -> Result<vettid_handler::reply::Reply, HandlerError> {
    let event = exchange::to_event(event).ok_or_else(|| HandlerError::Retry("the event is not readable".to_owned()))?;
    let handlers = add(Handlers::builder()).build().map_err(|error| HandlerError::Retry(error.to_string()))?;
    let handler = handlers.find(event.context.lane, &event.context.event_type).ok_or(RefusalCode::UnsupportedEvent)?;
    handler.handle(host, &event)
}
