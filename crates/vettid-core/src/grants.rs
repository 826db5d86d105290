//! Who may publish and subscribe where, and the accounts and users that the NATS server enforces it with.
//! Every subject here is made from `vettid_wire::subject` and the event rows, or belongs to the broker itself
//! ([`broker`]). Must never grant a wildcard above a member's guid to anybody but a host or the services.

pub mod account;
pub mod broker;
pub mod credential;
pub mod delivery;
pub mod mint;
pub mod newest;
pub mod role;
pub mod store_key;
pub mod trust;

#[cfg(test)]
mod tests;
