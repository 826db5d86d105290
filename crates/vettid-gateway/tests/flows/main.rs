//! The gateway against the real broker, with a member on the other side that is built from the protocol's own parts.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod authorisations;
mod batches;
mod calls;
mod client;
mod connecting;
mod crashes;
mod faults;
mod hearing;
mod http;
mod keys;
mod kills;
mod logins;
mod losses;
mod openid;
mod profiles;
mod publishing;
mod requests;
mod sdk;
mod service_messages;
mod stored;
mod values;
mod webhooks;
mod world;
