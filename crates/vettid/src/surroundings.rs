//! What the environment says, read once at the start. Nothing else in the program reads environment variables.

use std::env;
use std::path::PathBuf;

/// Names the file with the certificates that programs on this machine trust; libraries read it.
pub(crate) const CERTIFICATE_FILE: &str = "SSL_CERT_FILE";
/// Names folders with more of them.
pub(crate) const CERTIFICATE_FOLDERS: &str = "SSL_CERT_DIR";

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

/// Whether libraries look for the machine's certificates in this file and nowhere else.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn certificates_are_in(file: &str) -> bool {
    env::var_os(CERTIFICATE_FILE).is_some_and(|named| named == file) && env::var_os(CERTIFICATE_FOLDERS).is_none()
}
