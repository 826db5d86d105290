//! The app's side of every protocol for native programs, with transport, services, store and clock behind ports.
//!
//! Must never send anything in clear, never go on with a vault whose fingerprint is not the one of the code, and
//! never lose or repeat a command: each is stored before it is sent and keeps its event id over retries.

pub mod agreement;
pub mod app;
pub mod breached;
pub mod call;
pub mod clock;
pub mod command;
mod context;
pub mod credential;
pub mod directory;
pub mod enrolment;
pub mod export;
pub mod file;
pub mod handshake;
pub mod identity;
pub mod intent;
mod inventory;
mod line;
pub mod lock;
pub mod look_alike;
pub mod member_api;
pub mod random;
pub mod recovery;
pub mod services;
pub mod services_credential;
pub mod session;
mod state;
pub mod statement;
pub mod status;
pub mod store;
pub mod strength;
pub mod transport;
pub mod vault_credential;
pub mod watch;
mod way_back;
