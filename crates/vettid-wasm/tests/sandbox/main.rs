//! Components in the sandbox: the first-party handlers as components do exactly what they do linked in, and a hostile
//! component harms nobody but itself.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod attacks;
mod built;
#[path = "../../../vettid-handlers/tests/native/cases/mod.rs"]
mod cases;
mod same;
mod text;
