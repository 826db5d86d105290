//! Known answers of the standard (`tests/vectors.json`), byte by byte, one module for each section.
//!
//! `VETTID_VECTORS` names another file of the same form, so that an oracle can be checked against this implementation.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails stops there")]

mod loader;
mod script;

mod vectors_audit_chain;
mod vectors_control_command;
mod vectors_credential_blob;
mod vectors_envelope;
mod vectors_identity;
mod vectors_lat_proof;
mod vectors_password;
mod vectors_recovery;
mod vectors_utk_payload;
mod vectors_vhs1;
