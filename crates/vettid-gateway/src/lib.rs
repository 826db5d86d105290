//! A service's side: its vault identity, its contract, its connections with members, and a small HTTP face for its own
//! programs. Members' vaults decide; a gateway asks, checks what comes back, and never trusts the broker.

mod arrival;
mod clock;
pub mod config;
mod connection;
mod files;
pub mod gateway;
mod handshake;
mod home;
pub mod http;
mod identity;
mod key_file;
mod offer;
mod peers;
mod profile;
pub mod question;
mod random;
mod registration;
mod renewal;
mod requests;
mod revocation;
mod rotation;
mod signing;
mod state;
pub mod view;

pub use config::Config;
pub use gateway::Gateway;
