//! What programs keep in databases. The ledger's ports: accounts, vaults, enrolments, hosts, services and revocations, in
//! SQLite now, PostgreSQL beside it later. The port of a program's own state, in SQLite or PostgreSQL. Must never hold a
//! secret in clear: tokens arrive as hashes, keys as public halves, values of members sealed.

pub mod account;
pub mod action;
pub mod audit;
pub mod credential;
pub mod host;
pub mod ledger;
pub mod listing;
pub mod recovery;
pub mod revocation;
pub mod service;
pub mod sqlite;
pub mod state;
pub mod vault;
pub mod verification;
