//! The life of a credential: an exhaustive search over the shipped rules with every crash, loss, repeat and a thief,
//! mutants that the search must catch, and the same life with real cryptography.

#![expect(clippy::print_stdout, reason = "a search says how far it came")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails stops there")]

mod keeping;
mod life;
mod mutants;
mod search;
mod sides;
mod walk;
mod world;
