//! A service's side: its vault identity, its contract, its connections with members, and a small HTTP face for its own
//! programs. Members' vaults decide; a gateway asks, checks what comes back, and never trusts the broker.

mod acquaintance;
mod api_key;
mod arrival;
mod bucket;
mod clock;
pub mod config;
mod connection;
pub mod draft;
mod face;
mod files;
pub mod gateway;
mod handshake;
mod home;
pub mod http;
mod identity;
mod key_file;
pub mod login;
mod metrics;
pub mod offer;
mod offering;
pub mod oidc;
mod once;
mod peers;
mod profile;
pub mod question;
mod random;
mod registration;
mod renewal;
mod requests;
mod revocation;
mod rotation;
mod share;
mod signing;
mod state;
mod tasks;
pub mod versions;
pub mod view;
mod webhook;

pub use config::Config;
pub use gateway::Gateway;
pub use webhook::EventKind;
