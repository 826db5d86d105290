//! Sealed files: the one form in which services keep secrets on disk. The key comes from a key file of mode 0600.
//! Must never write a secret in clear, follow a key file that others may read, or replace a file that does not open.

use rand_core::CryptoRng;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use vettid_crypto::at_rest::{self, SealedFileError, StorageKey};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64::{decode, encode};
use zeroize::Zeroizing;

const MAX_KEY_FILE_BYTES: u64 = 128;
const MAX_SEALED_BYTES: u64 = 1024 * 1024;

/// Why secrets cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The file system refused.
    #[error("{path} cannot be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read or change the key.
    #[error("the key file {0} may be used by others: it must be a file of mode 0600 of this user")]
    Exposed(PathBuf),
    /// Not 32 bytes of base64.
    #[error("the key file {0} does not hold a key")]
    NotAKey(PathBuf),
    /// There are sealed files, but their key is gone.
    #[error("the key file {0} is missing, but there are files sealed with it; bring it back")]
    KeyMissing(PathBuf),
    /// Another key, another kind of file, or changed bytes.
    #[error("{path} does not open with this key file")]
    Unopened {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SealedFileError,
    },
}

fn failure(path: &Path) -> impl FnOnce(io::Error) -> SealedError + '_ {
    |source| SealedError::File { path: path.to_owned(), source }
}

/// Reads the key file.
///
/// # Errors
/// [`SealedError`]; a missing file is [`SealedError::KeyMissing`].
pub(crate) fn read_key(path: &Path) -> Result<StorageKey, SealedError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SealedError::KeyMissing(path.to_owned()));
        }
        opened => opened.map_err(failure(path))?,
    };
    let metadata = file.metadata().map_err(failure(path))?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(SealedError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    let read = file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text);
    let bytes = Zeroizing::new(read.ok().and_then(|_| decode(text.trim_end()).ok()).unwrap_or_default());
    let secret = Secret32::from_slice(&bytes).ok_or_else(|| SealedError::NotAKey(path.to_owned()))?;
    Ok(StorageKey::from_secret(secret))
}

/// Makes a new key file.
///
/// # Errors
/// [`SealedError::File`], also if there is one already.
pub(crate) fn make_key(path: &Path, rng: &mut dyn CryptoRng) -> Result<StorageKey, SealedError> {
    let key = StorageKey::random(rng);
    let text = Zeroizing::new(format!("{}\n", encode(key.expose())));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    write_new(path, text.as_bytes()).map_err(failure(path))?;
    Ok(key)
}

/// Makes a folder that only this user may enter.
///
/// # Errors
/// [`SealedError::File`].
pub(crate) fn make_folder(path: &Path) -> Result<(), SealedError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failure(path))
}

/// A folder of sealed files.
#[derive(Debug)]
pub(crate) struct SealedFolder {
    folder: PathBuf,
    key: StorageKey,
}

impl SealedFolder {
    /// The folder with this key; it is made if it is missing.
    ///
    /// # Errors
    /// [`SealedError::File`].
    pub(crate) fn open(folder: PathBuf, key: StorageKey) -> Result<Self, SealedError> {
        make_folder(&folder)?;
        Ok(Self { folder, key })
    }

    /// The content of a file; `None` if there is none.
    ///
    /// # Errors
    /// [`SealedError`]
    pub(crate) fn read(&self, name: &str) -> Result<Option<SecretBytes>, SealedError> {
        let path = self.path(name);
        let sealed = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => content(opened.map_err(failure(&path))?).map_err(failure(&path))?,
        };
        let opened = at_rest::open_file(&self.key, name, &sealed);
        opened.map(Some).map_err(|source| SealedError::Unopened { path, source })
    }

    /// Writes a new file; it is whole or not there.
    ///
    /// # Errors
    /// [`SealedError::File`], also if there is such a file.
    pub(crate) fn write(&self, name: &str, content: &SecretBytes, rng: &mut dyn CryptoRng) -> Result<(), SealedError> {
        let path = self.path(name);
        write_new(&path, &at_rest::seal_file(&self.key, name, content.expose(), rng)).map_err(failure(&path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sealed"))
    }
}

fn content(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SEALED_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file of mode 0600 that was not there before: beside its place first, then moved, both on disk at the end.
///
/// # Errors
/// [`io::Error`]
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    // A hard link, unlike a rename, refuses to replace what is there.
    fs::hard_link(&beside, path)?;
    fs::remove_file(&beside)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    fn folder_with_key(folder: &TempDir) -> (PathBuf, StorageKey) {
        let path = folder.path().join("deep/services.key");
        let key = make_key(&path, &mut randomness::system()).unwrap();
        (path, key)
    }

    #[test]
    fn a_key_file_is_made_once_and_read_back() {
        let folder = TempDir::new().unwrap();
        let (path, key) = folder_with_key(&folder);
        assert_eq!(read_key(&path).unwrap().expose(), key.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(make_key(&path, &mut randomness::system()), Err(SealedError::File { .. })));
        assert_eq!(read_key(&path).unwrap().expose(), key.expose());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = TempDir::new().unwrap();
        let (path, _) = folder_with_key(&folder);
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_key(&path), Err(SealedError::Exposed(_))), "{mode:o}");
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("services.key");
        assert!(matches!(read_key(&path), Err(SealedError::KeyMissing(_))));
        for wrong in [&b""[..], b"secret", b"AAAA", &[0xff; 44], &[b'A'; 200]] {
            write_new(&path, wrong).unwrap();
            assert!(matches!(read_key(&path), Err(SealedError::NotAKey(_))), "{wrong:?}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn sealed_files_open_with_their_key_and_name_only() {
        let folder = TempDir::new().unwrap();
        let rng = &mut randomness::system();
        let open = |key| SealedFolder::open(folder.path().join("keys"), key).unwrap();
        let (path, key) = folder_with_key(&folder);
        let sealed = open(key);
        assert!(sealed.read("one").unwrap().is_none());
        sealed.write("one", &SecretBytes::copied_from(b"canary-secret"), rng).unwrap();
        assert_eq!(sealed.read("one").unwrap().unwrap().expose(), b"canary-secret");
        assert!(sealed.write("one", &SecretBytes::copied_from(b"other"), rng).is_err(), "never replaced");
        let on_disk = fs::read(sealed.path("one")).unwrap();
        assert!(!on_disk.windows(6).any(|window| window == b"canary"));
        fs::copy(sealed.path("one"), sealed.path("two")).unwrap();
        assert!(matches!(sealed.read("two"), Err(SealedError::Unopened { .. })));
        assert_eq!(open(read_key(&path).unwrap()).read("one").unwrap().unwrap().expose(), b"canary-secret");
        let stranger = open(StorageKey::random(rng));
        let error = stranger.read("one").unwrap_err().to_string();
        assert!(error.ends_with("one.sealed does not open with this key file"), "{error}");
    }

    #[test]
    fn a_half_written_file_is_no_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x");
        fs::write(path.with_added_extension("new"), b"torn").unwrap();
        write_new(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!path.with_added_extension("new").exists());
    }
}
