//! First-party handlers, one file each. They see what a package of a stranger sees, the host functions, and nothing else:
//! no key, no clock, no other handler's store.

pub mod auth_challenge;
pub mod data;
pub mod data_request;
pub mod messaging;
pub mod profile;
pub mod shown;

use vettid_handler::handlers::{Handlers, HandlersBuilder};

/// All first-party handlers; packages may be registered behind them.
#[must_use]
pub fn native() -> HandlersBuilder {
    let adders = [profile::add, data::add, data_request::add, messaging::add, auth_challenge::add];
    adders.into_iter().fold(Handlers::builder(), |handlers, add| add(handlers))
}
