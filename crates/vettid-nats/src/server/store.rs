//! The server's folder: files of our own in it, the lock on it, and the fingerprint of the key that its streams are
//! sealed with. Two servers on one store both start, and a server with a wrong key loses streams: both are stopped here.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use vettid_core::grants::store_key::StoreKey;

use super::ServerError;

/// Below the server's folder.
pub(super) const STREAMS: &str = "streams";
const LOCK: &str = "store.lock";
const FINGERPRINT: &str = "store.fingerprint";

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ServerError + use<> {
    let path = path.to_owned();
    move |source| ServerError::File { path, source }
}

/// A file's text, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ServerError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Writes a file that only this user may read: whole or not at all, and safe on disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), ServerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(failed(&new))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&new))?;
    fs::rename(&new, path).map_err(failed(path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> Result<(), ServerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Removes the files of a folder, such as what a server that ended has left behind.
pub(super) fn empty(folder: &Path) -> Result<(), ServerError> {
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        remove(&entry.map_err(failed(folder))?.path())?;
    }
    Ok(())
}

/// Makes a folder that only this user may enter.
pub(super) fn make_folder(path: &Path) -> Result<(), ServerError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

/// Held by this process and, through an inherited handle, by each server that it starts: a server that outlives us
/// still keeps others off its store.
#[derive(Debug)]
pub(super) struct StoreLock(File);

impl StoreLock {
    pub(super) fn take(folder: &Path) -> Result<Self, ServerError> {
        let path = folder.join(LOCK);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ServerError::InUse),
            Err(TryLockError::Error(source)) => Err(ServerError::File { path, source }),
        }
    }

    /// A second handle on the same lock, for the server.
    pub(super) fn handle(&self) -> std::io::Result<File> {
        self.0.try_clone()
    }
}

/// Compares the key with the one that the streams were sealed with, or notes it if there are none yet.
pub(super) fn check_key(folder: &Path, key: &StoreKey) -> Result<(), ServerError> {
    let path = folder.join(FINGERPRINT);
    match read(&path)? {
        Some(fingerprint) if fingerprint == key.fingerprint() => Ok(()),
        Some(_) => Err(ServerError::WrongKey),
        None if is_empty(&folder.join(STREAMS))? => write(&path, key.fingerprint().as_bytes()),
        None => Err(ServerError::UnknownKey),
    }
}

fn is_empty(folder: &Path) -> Result<bool, ServerError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(folder)(error)),
    }
}
