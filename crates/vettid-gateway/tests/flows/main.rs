//! The gateway against the real broker, with a member on the other side that is built from the protocol's own parts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod authorisations;
mod connecting;
mod crashes;
mod http;
mod keys;
mod logins;
mod requests;
mod world;
