//! What the environment says, read once at the start. Nothing else in the program reads environment variables.

use std::env;
use std::path::PathBuf;

/// The environment as far as the program uses it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Where programs keep their data (`XDG_DATA_HOME`, else `HOME/.local/share`).
    pub(crate) data_home: Option<PathBuf>,
}

impl Surroundings {
    /// Reads it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn read() -> Self {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let below_home = || absolute("HOME").map(|home| home.join(".local/share"));
        Self { data_home: absolute("XDG_DATA_HOME").or_else(below_home) }
    }
}
