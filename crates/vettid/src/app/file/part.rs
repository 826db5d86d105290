//! A file that is being received: it grows beside its place, readable by nobody else, and takes its place when it is whole. Must never
//! write over a file that is there, nor follow a link.

use crate::failure::{Exit, Failure};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use vettid_wire::id::EventId;

/// The part of a file that is here.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
}

pub(super) fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Other, format_args!("{}: {error}", path.display()))
}

/// Whether a file may be saved here.
pub(super) fn is_free(place: &Path, force: bool) -> Result<(), Failure> {
    let taken = match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => true,
        Ok(_) => !force,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failure(place, &error)),
    };
    if taken {
        return Err(failure(place, &io::ErrorKind::AlreadyExists.into()).next("choose another name, or add --force"));
    }
    Ok(())
}

impl Part {
    /// The part of the file of this message beside its place, as an earlier try left it, or a new one.
    pub(super) fn open(place: &Path, message_id: EventId) -> Result<Self, Failure> {
        if place.file_name().is_none() {
            return Err(Failure::usage("name a file to save to"));
        }
        let path = place.with_file_name(format!(".vettid-{message_id}.part"));
        let file = open(&path).map_err(|error| failure(&path, &error))?;
        file.try_lock().map_err(|_| {
            Failure::new(Exit::Other, "another command saves this file just now").next("wait until it is done")
        })?;
        Ok(Self { path, file })
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file into its place; without `force` only if nothing is there.
    pub(super) fn keep(self, place: &Path, force: bool) -> Result<(), Failure> {
        let named = |error: io::Error| failure(place, &error);
        if force {
            return fs::rename(&self.path, place).map_err(named);
        }
        // A link fails where something is, a rename would replace it.
        fs::hard_link(&self.path, place).map_err(named)?;
        self.discard();
        Ok(())
    }

    /// What is here is of no use.
    pub(super) fn discard(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "a part of a file stays");
        }
    }
}

/// A file of the owner's own that nobody else can read or reach by another name; a new one if there is none.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        opened => return opened,
    }
    let found = fs::symlink_metadata(path)?;
    let file = options.open(path)?;
    let opened = file.metadata()?;
    let is_same = (found.dev(), found.ino()) == (opened.dev(), opened.ino());
    let is_own = opened.is_file() && opened.nlink() == 1 && opened.mode() & 0o077 == 0;
    if is_same && is_own { Ok(file) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const MESSAGE: &str = "01934e0e-7b00-7000-8000-000000000001";

    fn part(place: &Path, text: &str) -> Part {
        let mut part = Part::open(place, MESSAGE.parse().unwrap()).unwrap();
        part.file().write_all(text.as_bytes()).unwrap();
        part
    }

    #[test]
    fn a_file_takes_its_place_when_it_is_whole_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("photo.jpg");
        part(&place, "one").keep(&place, false).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(is_free(&place, false).is_err());
        part(&place, "two").keep(&place, false).unwrap_err();
        assert_eq!(fs::read_to_string(&place).unwrap(), "one");
        assert!(is_free(&place, true).is_ok());
        // The earlier part is still there, and is gone on with.
        part(&place, "two").keep(&place, true).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no parts are left");
        assert!(is_free(folder.path(), true).is_err(), "a folder is no place");
    }

    #[test]
    fn a_part_that_others_could_reach_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (place, other) = (folder.path().join("a"), folder.path().join("other"));
        let path = folder.path().join(format!(".vettid-{MESSAGE}.part"));
        let opens = || Part::open(&place, MESSAGE.parse().unwrap()).is_ok();
        fs::write(&other, "mine").unwrap();
        symlink(&other, &path).unwrap();
        assert!(!opens(), "a link");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&other, &path).unwrap();
        assert!(!opens(), "a second name");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!opens(), "readable by others");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(opens());
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        let held = part(&place, "");
        assert!(!opens(), "one at a time");
        held.discard();
        assert!(opens());
    }
}
