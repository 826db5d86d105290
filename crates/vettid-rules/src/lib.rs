//! The owner's rules as Cedar policies: each typed form becomes one policy, is validated against a schema made from the
//! catalogue of events, and decides. Pure: facts, time and counts are arguments. Must never widen what a contract gives,
//! never lower a lock, and never answer when a policy could not be evaluated.

mod book;
mod facts;
mod policy;
mod schema;

pub use book::{Decided, RuleBook, Unsound};
pub use facts::Facts;
pub use policy::text;
