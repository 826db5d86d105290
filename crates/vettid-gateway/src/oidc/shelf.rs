//! Values of one kind under one prefix of the gateway's state, in memory and on the disk. What was changed is written by
//! the next commit; nothing that follows from a change may be told before that.

use crate::state::{Draft, Loaded, StateError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// The values of one kind, by name.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    prefix: &'static str,
    all: BTreeMap<String, T>,
    changed: BTreeSet<String>,
}

impl<T: Serialize + DeserializeOwned> Shelf<T> {
    /// Nothing yet.
    #[cfg(test)]
    pub(super) fn empty(prefix: &'static str) -> Self {
        Self { prefix, all: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// What the state holds.
    pub(super) fn load(prefix: &'static str, loaded: &Loaded) -> Result<Self, StateError> {
        let named: Vec<(String, T)> = loaded.values(prefix)?;
        Ok(Self { prefix, all: named.into_iter().collect(), changed: BTreeSet::new() })
    }

    /// One value.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.all.get(name)
    }

    /// One value that is about to change.
    pub(super) fn change(&mut self, name: &str) -> Option<&mut T> {
        let value = self.all.get_mut(name)?;
        self.changed.insert(name.to_owned());
        Some(value)
    }

    /// Puts a value in its place.
    pub(super) fn put(&mut self, name: &str, value: T) {
        self.changed.insert(name.to_owned());
        self.all.insert(name.to_owned(), value);
    }

    /// Takes a value away.
    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        self.changed.insert(name.to_owned());
        self.all.remove(name)
    }

    /// Takes away all that are over.
    pub(super) fn remove_if(&mut self, is_over: impl Fn(&T) -> bool) {
        let over: Vec<String> =
            self.all.iter().filter(|(_, value)| is_over(value)).map(|(name, _)| name.clone()).collect();
        over.iter().for_each(|name| drop(self.remove(name)));
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.all.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Puts what was changed into a commit, each value with its name.
    pub(super) fn write(&mut self, draft: &mut Draft) -> Result<(), StateError> {
        for name in std::mem::take(&mut self.changed) {
            let key = format!("{}{name}", self.prefix);
            match self.all.get(&name) {
                Some(value) => draft.put(key, &(&name, value))?,
                None => draft.remove(key),
            }
        }
        Ok(())
    }
}
