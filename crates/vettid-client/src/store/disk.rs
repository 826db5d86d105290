//! The steps by which a file of the app becomes durable, each with a name. Everything that the app keeps on a disk is
//! written or wiped here and nowhere else, so that a test can end the program before and after each step, and can tell
//! that it left none out.

use super::{Place, StoreError};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The key that seals everything else; written once.
    Key,
    /// A value.
    Value(Place),
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// The bytes go into a file beside. So it is done the first time, and when a file has become too small.
    Write,
    /// They go to the disk.
    Sync,
    /// The file takes its place.
    Rename,
    /// The folder goes to the disk after that.
    SyncFolder,
    /// The bytes go into the file that is there, where nothing is that is needed.
    Overwrite,
    /// They go to the disk.
    SyncContent,
    /// What was there before is written over with zeros. It may be back when the machine loses power.
    Wipe,
}

/// One durable step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DurableStep {
    /// What is written.
    pub target: Target,
    /// What is done to it.
    pub act: Act,
}

impl Target {
    /// All files of an app.
    pub const ALL: [Self; 9] = [
        Self::Key,
        Self::Value(Place::App),
        Self::Value(Place::Credential),
        Self::Value(Place::SlotA),
        Self::Value(Place::SlotB),
        Self::Value(Place::ServicesCredential),
        Self::Value(Place::ServicesSlotA),
        Self::Value(Place::ServicesSlotB),
        Self::Value(Place::Recovery),
    ];

    /// What is done to this file, in order. The key is written once.
    #[must_use]
    pub fn acts(self) -> &'static [Act] {
        const ONCE: &[Act] = &[Act::Write, Act::Sync, Act::Rename, Act::SyncFolder];
        const OFTEN: &[Act] =
            &[Act::Write, Act::Sync, Act::Rename, Act::SyncFolder, Act::Overwrite, Act::SyncContent, Act::Wipe];
        match self {
            Self::Key => ONCE,
            Self::Value(_) => OFTEN,
        }
    }

    /// Its name in the folder.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value(Place::App) => "state",
            Self::Value(Place::Credential) => "credential",
            Self::Value(Place::SlotA) => "credential-a",
            Self::Value(Place::SlotB) => "credential-b",
            Self::Value(Place::ServicesCredential) => "services-credential",
            Self::Value(Place::ServicesSlotA) => "services-credential-a",
            Self::Value(Place::ServicesSlotB) => "services-credential-b",
            Self::Value(Place::Recovery) => "recovery",
        }
    }
}

impl DurableStep {
    /// Every step that there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Target::ALL.into_iter().flat_map(|target| target.acts().iter().map(move |&act| Self { target, act }))
    }
}

impl fmt::Display for DurableStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = match self.act {
            Act::Write => "write",
            Act::Sync => "sync",
            Act::Rename => "rename",
            Act::SyncFolder => "sync folder",
            Act::Overwrite => "overwrite",
            Act::SyncContent => "sync content",
            Act::Wipe => "wipe",
        };
        write!(f, "{}: {act}", self.target.file_name())
    }
}

/// Which side of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// It was not done.
    Before,
    /// It was done.
    After,
}

/// Is told of each step. The app itself has nobody who watches; a test ends the program here.
pub trait Watch: Clone + fmt::Debug + Send + Sync {
    /// A step is about to be done, or was done.
    fn at(&self, step: DurableStep, moment: Moment);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn at(&self, _: DurableStep, _: Moment) {}
}

/// The folder of one app.
#[derive(Debug, Clone)]
pub(super) struct Disk<W> {
    pub(super) folder: PathBuf,
    pub(super) watch: W,
}

impl<W: Watch> Disk<W> {
    pub(super) fn path(&self, target: Target) -> PathBuf {
        self.folder.join(target.file_name())
    }

    /// Writes beside the file, then takes its place; durable when it returns. Gives the new file.
    pub(super) fn replace(&self, target: Target, content: &[u8]) -> Result<File, StoreError> {
        let path = self.path(target);
        let fresh = path.with_extension("new");
        let mut file = open_private(OpenOptions::new().create(true).truncate(true).read(true).write(true), &fresh)?;
        let step = |act| DurableStep { target, act };
        self.step(step(Act::Write), &fresh, || file.write_all(content))?;
        self.step(step(Act::Sync), &fresh, || file.sync_all())?;
        self.step(step(Act::Rename), &path, || fs::rename(&fresh, &path))?;
        self.step(step(Act::SyncFolder), &self.folder, || sync_folder(&self.folder))?;
        Ok(file)
    }

    /// Writes into the file from `at` on; durable when it returns. The file has its length and its blocks already, so there is
    /// nothing but these bytes to wait for.
    pub(super) fn overwrite(&self, target: Target, file: &File, at: u64, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path(target);
        self.step(DurableStep { target, act: Act::Overwrite }, &path, || file.write_all_at(content, at))?;
        self.sync(target, file)
    }

    /// What the file holds goes to the disk.
    pub(super) fn sync(&self, target: Target, file: &File) -> Result<(), StoreError> {
        self.step(DurableStep { target, act: Act::SyncContent }, &self.path(target), || file.sync_data())
    }

    /// Writes zeros over so many bytes from `at` on. They go to the disk with what is written there next, or before.
    pub(super) fn wipe(&self, target: Target, file: &File, at: u64, length: usize) -> Result<(), StoreError> {
        let act = || file.write_all_at(&vec![0; length], at);
        self.step(DurableStep { target, act: Act::Wipe }, &self.path(target), act)
    }

    fn step(
        &self,
        step: DurableStep,
        path: &Path,
        act: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        self.watch.at(step, Moment::Before);
        act().map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        self.watch.at(step, Moment::After);
        Ok(())
    }
}

/// A file that only its owner reads.
pub(super) fn open_private(options: &mut OpenOptions, path: &Path) -> Result<File, StoreError> {
    options.mode(0o600).open(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}
