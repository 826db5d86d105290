//! The handler interface: what a handler is given, what it may answer, and the host functions that are its only
//! authority. The same shapes stand in `wit/`, so that a first-party handler and a package see the same world.
//! A handler never sees a key, a token, a clock, or anything of a connection that its event did not come from.

pub mod event;
pub mod feed;
pub mod guard;
pub mod handler;
pub mod handlers;
pub mod host;
pub mod manifest;
pub mod reply;
#[cfg(feature = "testing")]
pub mod testing;
