//! What this process knows of all rows: a mark of each and their sum, which the sealed head of every commit repeats. A row that was
//! removed, exchanged or brought back from an older state alone is found at the next start.

use super::StateError;
use super::rows::{Mark, RowKeys};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vettid_crypto::secret::SecretBytes;
use vettid_store::state::{Contents, RowChanges, RowName};
use vettid_wire::base64::Base64Url;

/// All values by key.
pub(super) type Values = BTreeMap<String, SecretBytes>;

/// Says of which state another one is the continuation.
pub(super) type Origin = [u8; 32];

/// The head as it is sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// Of the last commit, from 1.
    number: u64,
    /// How many rows there are.
    rows: u64,
    /// Their marks, added bit by bit without carry.
    sum: Base64Url,
    /// The state that was moved here, if one was.
    moved_from: Option<Base64Url>,
}

/// The marks of all rows.
#[derive(Debug)]
pub(super) struct Book {
    keys: Arc<RowKeys>,
    number: u64,
    sum: Mark,
    marks: HashMap<RowName, Mark>,
    moved_from: Option<Base64Url>,
}

impl Book {
    /// Opens everything that a database holds.
    ///
    /// # Errors
    /// [`StateError::Undecryptable`] with another key, [`StateError::Mixed`] if the rows are not those of the last commit.
    pub(super) fn read(keys: &Arc<RowKeys>, contents: &Contents) -> Result<(Self, Values), StateError> {
        let head = match &contents.head {
            Some(sealed) => head(keys, sealed)?,
            None => Head { sum: Base64Url::new([0; 32]), ..Head::default() },
        };
        let mut book = Self {
            keys: Arc::clone(keys),
            number: head.number,
            sum: [0; 32],
            marks: HashMap::with_capacity(contents.rows.len()),
            moved_from: head.moved_from,
        };
        let mut values = Values::new();
        for (name, sealed) in &contents.rows {
            let (key, value) = keys.open(name, sealed).ok_or(StateError::Undecryptable)?;
            book.set(*name, Some(sealed));
            values.insert(key, value);
        }
        let agrees = head.rows == contents.rows.len() as u64 && head.sum.as_bytes() == book.sum;
        if agrees { Ok((book, values)) } else { Err(StateError::Mixed) }
    }

    /// Whether everything that a database holds is what its head vouches for.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub(super) fn vouches_for(&self, contents: &Contents) -> Result<(), StateError> {
        Self::read(&self.keys, contents).map(drop)
    }

    /// Whether nothing was committed yet.
    pub(super) fn is_new(&self) -> bool {
        self.number == 0
    }

    /// Whether what is here began as that state.
    pub(super) fn came_from(&self, origin: &Origin) -> bool {
        self.moved_from.as_ref().is_some_and(|from| from.as_bytes() == origin)
    }

    /// Notes that the next commit is the first one after a move.
    pub(super) fn comes_from(&mut self, origin: &Origin) {
        self.moved_from = Some(Base64Url::new(*origin));
    }

    /// Takes changes in, and gives the sealed head that goes with them.
    pub(super) fn follow(&mut self, changes: &RowChanges) -> Result<Vec<u8>, StateError> {
        for (name, sealed) in changes {
            self.set(*name, sealed.as_deref());
        }
        self.number += 1;
        let head = Head {
            number: self.number,
            rows: self.marks.len() as u64,
            sum: Base64Url::new(self.sum),
            moved_from: self.moved_from.clone(),
        };
        let text = serde_json::to_vec(&head).map_err(|_| StateError::Unwritable("head".to_owned()))?;
        Ok(self.keys.seal_head(&text))
    }

    fn set(&mut self, name: RowName, sealed: Option<&[u8]>) {
        let before = match sealed {
            Some(sealed) => {
                let mark = self.keys.mark(&name, sealed);
                self.add(&mark);
                self.marks.insert(name, mark)
            }
            None => self.marks.remove(&name),
        };
        if let Some(mark) = before {
            self.add(&mark);
        }
    }

    /// Adds a mark, or takes it away: the same.
    fn add(&mut self, mark: &Mark) {
        self.sum.iter_mut().zip(mark).for_each(|(sum, byte)| *sum ^= byte);
    }
}

fn head(keys: &RowKeys, sealed: &[u8]) -> Result<Head, StateError> {
    let plain = keys.open_head(sealed).ok_or(StateError::Undecryptable)?;
    serde_json::from_slice(plain.expose()).map_err(|_| StateError::Unreadable("head".to_owned()))
}
