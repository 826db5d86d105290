//! The app against a vault that speaks the real handshake and channel, over a broker in memory that can lose, repeat
//! and change what passes. Time is virtual; the state lies in real sealed files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may fail loudly")]

mod brittle;
mod broker;
mod command;
mod crash;
mod credential;
mod enrolment;
mod export;
mod impostor;
mod inventory;
mod issuer;
mod operator;
mod pair;
mod pair_crash;
mod recovery;
mod registry;
mod services;
mod session;
mod vault;
mod watch;
mod way_back;
mod world;
