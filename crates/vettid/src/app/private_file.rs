//! Files that the app writes for the member alone: new ones, readable by nobody else, whole on the disk before anything is said.

use crate::failure::{Exit, Failure};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a new file of mode 0600; one that exists is left alone.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::new(Exit::Other, format_args!("{}: {error}", path.display())))
}
