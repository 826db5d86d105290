//! Files of the gateway: reading with a size cap, replacing as a whole, and secrets that only their owner may read.
//! Never reads a secret from a file that others can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest configuration, contract or key file in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{path} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("{path}: a secret file must have mode 0600, this one has {mode:o}: run `chmod 600` on it")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Too large, or not text.
    #[error("{path}: not a text file of at most 256 KiB")]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Adds the path to an error of the system.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError + '_ {
    move |source| FileError::Io { path: path.to_owned(), source }
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    text_of(path, File::open(path).map_err(at(path))?)
}

/// Reads a text file that only its owner may read; `None` if there is none.
pub(crate) fn read_secret_text(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mode = file.metadata().map_err(at(path))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Mode { path: path.to_owned(), mode });
    }
    text_of(path, file).map(|text| Some(Zeroizing::new(text)))
}

fn text_of(path: &Path, file: File) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(at(path))?;
    let fits = bytes.len() as u64 <= MAX_BYTES;
    String::from_utf8(bytes).ok().filter(|_| fits).ok_or_else(|| FileError::NotText { path: path.to_owned() })
}

/// Makes a new file with mode 0600 that holds these bytes; refuses to replace one.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_parent(path)
    };
    write().map_err(at(path))
}

/// Makes a folder that only its owner may enter, and its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// Puts `new` in the place of `old`; after this both survive a power cut only as the new one.
pub(crate) fn replace(new: &Path, old: &Path) -> io::Result<()> {
    fs::rename(new, old)?;
    sync_parent(old)
}

/// Makes a new name in a folder survive a power cut.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(read_secret_text(&path).unwrap().is_none());
        create_secret(&path, b"secret").unwrap();
        assert_eq!(read_secret_text(&path).unwrap().unwrap().as_str(), "secret");
        assert!(create_secret(&path, b"other").is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_secret_text(&path), Err(FileError::Mode { mode: 0o640, .. })));
    }

    #[test]
    fn large_and_binary_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read_text(&path), Err(FileError::NotText { .. })));
        fs::write(&path, vec![b'a'; 256 * 1024 + 1]).unwrap();
        assert!(matches!(read_text(&path), Err(FileError::NotText { .. })));
    }
}
