//! The handshake under an attacker who owns the network: a search over the shipped steps with real keys, in which every
//! message can be lost, repeated, reordered, replayed elsewhere, cut apart and forged, codes are swapped and secrets leak.
//! Broken variants show that the search finds what it looks for. What it proves and what not: docs/testing.md.

#![expect(clippy::print_stdout, reason = "a search says how far it came")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails stops there")]

#[path = "../handshake/parties.rs"]
#[expect(dead_code, reason = "the tests of single steps use more of it")]
mod parties;

mod attacker;
mod cast;
mod knowledge;
mod mutants;
mod scenarios;
mod schedule;
mod search;
mod session;
mod world;
