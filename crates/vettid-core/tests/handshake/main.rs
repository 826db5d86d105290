//! The handshake between two sides over a network that loses, repeats, reorders and changes messages, with crashes
//! at every commit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails stops there")]

mod parties;
mod simulation;

mod completion;
mod crashes;
mod identities;
mod refusals;
mod schedules;
mod sessions;
