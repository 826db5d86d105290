//! The environment variables that the tasks look at, and programs on the PATH. Nothing else reads the environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// A server to be used in place of the pinned one; set for the tests by `cargo xtask test`.
pub(crate) const NATS_SERVER: &str = "VETTID_NATS_SERVER";

/// The value of a variable, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one place where a task reads the environment")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where a program lies on the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
