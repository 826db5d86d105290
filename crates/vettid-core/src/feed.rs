//! The feed as it is searched: an index over the entries of one vault, and what a policy does to old ones. It lives in
//! memory only; it is made from the entries and may be dropped at any moment. Nothing in it outlives it in memory.

mod index;
mod policy;
mod text;
mod view;
mod words;

pub use index::Index;
pub use policy::{Due, due};
pub use view::{Found, View};
