//! The first-party handlers as they are linked into the vault.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod cases;
mod effects;
mod network;
