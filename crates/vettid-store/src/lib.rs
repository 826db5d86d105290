//! The ledger's ports: what services keep about accounts, vaults, enrolments, hosts, services and revocations.
//! SQLite now, PostgreSQL beside it later. Must never hold a secret in clear: tokens arrive as hashes, keys as
//! public halves.

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
pub mod vault;
pub mod verification;
