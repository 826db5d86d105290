//! The published standard of VettID: ids, subjects, event rows, envelope form, contract, profile,
//! manifest, invitation, control command and refusals. Data and grammar only: this crate must never
//! do I/O, read a clock, draw randomness or name a cryptographic primitive.

pub mod action;
pub mod agreement;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod authorisation;
pub mod backup;
pub mod base64;
pub mod call;
pub mod connection;
pub mod contract;
pub mod control;
pub mod credential;
pub mod data;
pub mod digest;
pub mod enrolment;
pub mod envelope;
pub mod event;
pub mod feed;
pub mod file;
pub mod handshake;
pub mod id;
pub mod inventory;
pub mod json;
pub mod key;
pub mod key_record;
pub mod location;
pub mod lock;
pub mod manifest;
pub mod messaging;
pub mod offer;
pub mod profile;
pub mod recovery;
pub mod refusal;
pub mod request;
pub mod restore;
pub mod rule;
pub mod secret;
pub mod service_keys;
pub mod services_credential;
pub mod session;
pub mod statement;
pub mod subject;
pub mod time;
