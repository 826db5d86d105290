//! Development only: a real broker with accounts and streams, a real database server, and the identities that tests connect with.
//! Must never be linked into anything that ships.

pub mod authenticator;
pub mod broker;
pub mod dns;
pub mod observer;
pub mod operator;
pub mod postgres;
pub mod program;
pub mod space;
pub mod terminal;
