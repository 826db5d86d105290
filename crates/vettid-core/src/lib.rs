//! Decisions without I/O: a step takes time, randomness, state and message, and gives effects. This crate must
//! never read a clock, draw randomness of its own, or touch a network, a store or a file.

pub mod action;
pub mod agreement;
pub mod allowance;
pub mod answer;
pub mod call;
pub mod channel;
pub mod comparison;
pub mod contract;
pub mod control;
pub mod credential;
pub mod directory;
pub mod enrolment;
pub mod feed;
pub mod flood;
pub mod grants;
pub mod handshake;
pub mod journal;
pub mod location;
pub mod lock;
pub mod login;
pub mod rate;
pub mod recovery;
pub mod resync;
pub mod rule;
pub mod statement;
pub mod transfer;
pub mod window;
