//! A disk that breaks at a chosen step: before the step, after it, or in its middle. What was written stays as it is; the
//! program that wrote it ends.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use vettid_client::store::disk::{DurableStep, Moment, Watch};
use vettid_client::store::file::{FileHold, FileStore};
use vettid_client::store::{Hold, Place, Store, StoreError};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::time::Timestamp;

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It has no effect.
    Before,
    /// It has its effect, and the program ends.
    After,
    /// The file of a slot is cut off. Of anything else: as [`How::Before`].
    Torn,
}

/// After so many steps on the disk, this happens; and nothing works any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Break {
    pub(crate) steps: usize,
    pub(crate) how: How,
}

/// Ends the program at a named step, the n-th time that it comes there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Executioner {
    pub(crate) aim: Arc<Mutex<Option<(DurableStep, Moment, usize)>>>,
}

impl Watch for Executioner {
    fn at(&self, step: DurableStep, moment: Moment) {
        let mut aim = self.aim.lock().unwrap();
        let Some((.., left)) = aim.as_mut().filter(|(aimed, when, _)| (*aimed, *when) == (step, moment)) else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            *aim = None;
            drop(aim);
            panic!("ended {moment:?} {step}");
        }
    }
}

pub(crate) struct Brittle {
    pub(crate) store: FileStore<Executioner>,
    pub(crate) folder: PathBuf,
    pub(crate) breaks: Arc<Mutex<Option<Break>>>,
}

pub(crate) struct BrittleHold {
    hold: FileHold<Executioner>,
    folder: PathBuf,
    breaks: Arc<Mutex<Option<Break>>>,
    is_dead: bool,
}

impl Store for Brittle {
    type Hold = BrittleHold;

    async fn hold(&self) -> Result<BrittleHold, StoreError> {
        let hold = self.store.hold().await?;
        Ok(BrittleHold { hold, folder: self.folder.clone(), breaks: self.breaks.clone(), is_dead: false })
    }
}

impl BrittleHold {
    /// Whether this step breaks, and how.
    fn step(&mut self) -> Option<How> {
        let mut breaks = self.breaks.lock().unwrap();
        if self.is_dead {
            return Some(How::Before);
        }
        let Break { steps, how } = breaks.as_mut()?;
        if *steps > 0 {
            *steps -= 1;
            return None;
        }
        self.is_dead = true;
        let how = *how;
        *breaks = None;
        Some(how)
    }

    fn broken(&self) -> StoreError {
        StoreError::Io { path: self.folder.clone(), source: std::io::Error::other("the disk broke") }
    }

    fn tear(&self, place: Place) {
        let name = vettid_client::store::disk::Target::Value(place).file_name();
        let path = self.folder.join(name);
        let whole = fs::read(&path).unwrap();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
        fs::write(path, [&whole[..used / 2], &vec![0; whole.len() - used / 2]].concat()).unwrap();
    }
}

impl Hold for BrittleHold {
    fn load(&self, place: Place) -> Result<Option<SecretBytes>, StoreError> {
        if self.is_dead { Err(self.broken()) } else { self.hold.load(place) }
    }

    fn key_made_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.hold.key_made_at()
    }

    fn save(&mut self, place: Place, value: &[u8]) -> Result<(), StoreError> {
        match self.step() {
            None => return self.hold.save(place, value),
            Some(How::After) => self.hold.save(place, value)?,
            Some(How::Torn) if place.is_slot() => {
                self.hold.save(place, value)?;
                self.tear(place);
            }
            Some(How::Before | How::Torn) => {}
        }
        Err(self.broken())
    }

    fn free(&mut self, place: Place) -> Result<(), StoreError> {
        match self.step() {
            None => return self.hold.free(place),
            Some(How::After) => self.hold.free(place)?,
            Some(How::Before | How::Torn) => {}
        }
        Err(self.broken())
    }

    fn remove(&mut self, place: Place) -> Result<(), StoreError> {
        match self.step() {
            None => return self.hold.remove(place),
            Some(How::After) => self.hold.remove(place)?,
            Some(How::Before | How::Torn) => {}
        }
        Err(self.broken())
    }
}
