//! Typed NATS: connect, publish, durable inboxes, journals, objects, last values, account push and the supervised server.
//!
//! The only crate that names a NATS client. It decides nothing about who may do what (`vettid_core::grants` does) and
//! opens nothing that it carries. Must never spell a subject of a space, nor hold a key's bytes longer than it takes to
//! hand them on.

pub mod api;
pub mod clock;
pub mod connection;
pub mod inbox;
pub mod journal;
pub mod objects;
pub mod pieces;
pub mod profiles;
pub mod provisioner;
pub mod server;
mod stored;
pub mod streams;
pub mod tls;
