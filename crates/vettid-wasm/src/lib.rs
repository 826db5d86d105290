//! Runs the component of a verified package inside limits and shows it as a handler. A component can do nothing but call
//! the host functions of its world: no WASI, no file, no clock, no network is ever linked, and nothing survives an event.

mod bindings;
pub mod component;
mod exchange;
mod imports;
pub mod limits;
mod relay;
pub mod sandbox;
mod ticker;
