//! NATS key pairs and JWTs in typed form: operator, accounts with scoped signing keys, users.
//! Must never make a key out of anything but its caller's randomness, and never put a seed into a claim.
//!
//! Form of the tokens: NATS JWT version 2, `ed25519-nkey`. Every user is minted by a *scoped* signing key, so the
//! permissions of a user stand in the account and nowhere else.

pub mod account;
pub mod key;
pub mod operator;
pub mod permission;
pub mod token;
pub mod user;
