//! Where the app keeps its state, behind a port. What is kept is sealed; one holder at a time may read and change it.
//! Each value is bound to its place: it opens at no other.

pub mod disk;
pub mod file;
mod region;

use serde::Serialize;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use vettid_crypto::at_rest::SealedFileError;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// A place for the state of one app.
pub trait Store: Send + Sync {
    /// The sole holder of the state, until dropped.
    type Hold: Hold;

    /// Waits a bounded time until nobody else holds the state.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if somebody else goes on holding it, [`StoreError::Io`].
    fn hold(&self) -> impl Future<Output = Result<Self::Hold, StoreError>> + Send;
}

/// What is kept, each apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The app itself.
    App,
    /// What the app holds of the Vault Credential besides its packages.
    Credential,
    /// First place for a package of the Vault Credential.
    SlotA,
    /// Second place for a package of the Vault Credential.
    SlotB,
    /// What the app holds of the Vault Services Credential besides its packages.
    ServicesCredential,
    /// First place for a package of the Vault Services Credential.
    ServicesSlotA,
    /// Second place for a package of the Vault Services Credential.
    ServicesSlotB,
    /// What keeps the recovery container up to date, and what a recovery brought.
    Recovery,
}

/// The sole holder of a state.
pub trait Hold: Send {
    /// What was last saved at this place; `None` if there is nothing.
    ///
    /// # Errors
    /// [`StoreError`] if there is something that cannot be read.
    fn load(&self, place: Place) -> Result<Option<SecretBytes>, StoreError>;

    /// When the key was made that seals all of it, where that can be told; `None` before anything was saved.
    ///
    /// # Errors
    /// [`StoreError`].
    fn key_made_at(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Replaces what is at this place. Once this returns it survives a crash; if it fails the former value stands. Only a
    /// slot has no room for two: if it fails there, or a crash cuts it off, the slot holds nothing or does not open.
    ///
    /// # Errors
    /// [`StoreError`].
    fn save(&mut self, place: Place, value: &[u8]) -> Result<(), StoreError>;

    /// Removes what is at this place, if anything is. A machine that loses power may bring it back, until something else was
    /// saved at the same place.
    ///
    /// # Errors
    /// [`StoreError`].
    fn free(&mut self, place: Place) -> Result<(), StoreError>;

    /// Removes what is at this place, if anything is. Once this returns it stays away.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&mut self, place: Place) -> Result<(), StoreError>;
}

impl Place {
    /// Whether it holds one package, which nobody needs any more when another one is written there (spec 2.7, base rule).
    #[must_use]
    pub fn is_slot(self) -> bool {
        matches!(self, Self::SlotA | Self::SlotB | Self::ServicesSlotA | Self::ServicesSlotB)
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stored form of a value, in a buffer of just its size: no half-written copy is left behind while it grows, and no more
/// has to be wiped than was written.
///
/// # Errors
/// [`StoreError::Form`].
pub(crate) fn to_bytes(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).map_err(StoreError::Form)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, value).map_err(StoreError::Form)?;
    Ok(bytes)
}

/// Why the state cannot be read or saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another command holds the state.
    #[error("another command is using this state")]
    Busy,
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Other users of the machine may read the key, so it is not used.
    #[error("{}: other users may read this key (mode {mode:o})", path.display())]
    ExposedKey {
        /// The key file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is a state, but not the key that opens it.
    #[error("{}: the key is missing", path.display())]
    MissingKey {
        /// Where the key should be.
        path: PathBuf,
    },
    /// Not a key.
    #[error("{}: not a key", path.display())]
    InvalidKey {
        /// The key file.
        path: PathBuf,
    },
    /// The sealed file does not open.
    #[error("{}: {source}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealedFileError,
    },
    /// It opened, but it was written by another version.
    #[error("the state has form {found}, which this version cannot read")]
    Version {
        /// The form found.
        found: u8,
    },
    /// What was written came back otherwise.
    #[error("what was written cannot be read back")]
    NotKept,
    /// It opened, but its content cannot be read by this version.
    #[error("the state has an unknown form: {0}")]
    Form(#[source] serde_json::Error),
}
