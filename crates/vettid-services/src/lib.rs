//! The operator's control plane: accounts, enrolment, ledger, hosts, services and the registry's face, over an HTTP API
//! and a supervised broker. Must never hold a key that opens a member's data.

mod account;
mod action;
mod broker;
mod certificate;
pub mod certification;
mod clocks;
mod comparison;
pub mod config;
mod control_plane;
mod credential;
mod deployment;
mod enrolment;
mod host;
mod http;
mod keys;
mod member_keys;
mod randomness;
mod recovery;
mod registry;
mod renewal;
pub mod resolver;
mod revocation;
mod sealed;
pub mod service;
pub mod services;
mod signing_keys;
pub mod vault;
mod vault_request;
mod verification;
