//! Keys and sealed things: suites, envelope, handshake, credential blob, NKeys, NATS JWTs, signatures and the audit chain.
//!
//! The only crate that names a cryptographic primitive. It reads no clock, file, environment or global randomness:
//! time and randomness are arguments. It never decides whether something is allowed, only whether it is genuine.

pub mod action_token;
mod aead;
pub mod agreement;
pub mod at_rest;
pub mod audit;
pub mod authorisation;
pub mod backup;
mod committed;
pub mod credential;
pub mod device;
pub mod directory;
pub mod envelope;
pub mod file;
pub mod handshake;
pub mod identity;
pub mod jose;
pub mod kdf;
pub mod key_record;
pub mod lat;
pub mod manifest;
pub mod member_key;
pub mod nats;
pub mod password;
pub mod profile;
pub mod recovery;
pub mod rekey;
pub mod resync;
pub mod secret;
pub mod secret_box;
pub mod service_keys;
pub mod signature;
pub mod stored;
pub mod suite;
pub mod unlock;
pub mod utk;
pub mod webauthn;

pub use committed::Undecryptable;

#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod scripted;
#[cfg(test)]
extern crate self as vettid_crypto;
#[cfg(test)]
#[path = "../tests/vectors/loader.rs"]
mod vectors;
