//! Contract files as a service's people write and change them: read whatever the form, and never written unless sound.

use crate::files::{self, FileError};
use crate::offer::{Offer, OfferError};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use vettid_wire::contract::Contract;

/// Why a contract file is not written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// It is not sound, or cannot be read.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// It has no form as a file.
    #[error("{path} cannot be written as this kind of file")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads a contract file without judging it: TOML if its name ends in `.toml`, else JSON.
///
/// # Errors
/// [`OfferError`]: not a contract, with the place.
pub fn read(path: &Path) -> Result<Contract, OfferError> {
    Offer::parse(path)
}

/// Writes a sound contract in the place of what is there, whole or not at all.
///
/// # Errors
/// [`DraftError`].
pub fn write(path: &Path, contract: &Contract) -> Result<(), DraftError> {
    Offer::new(contract.clone())?;
    let form = || DraftError::Form { path: path.to_owned() };
    let text = if path.extension().is_some_and(|ending| ending == "toml") {
        toml::to_string_pretty(contract).map_err(|_| form())?
    } else {
        serde_json::to_string_pretty(contract).map_err(|_| form())? + "\n"
    };
    let new = path.with_extension("new");
    let written =
        File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(files::at(&new))?;
    files::replace(&new, path).map_err(files::at(path))?;
    Ok(())
}
