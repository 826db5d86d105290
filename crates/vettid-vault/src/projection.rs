//! The state of one vault as a projection of its journal, and drafts of the next commit over it.
//! A draft reads through to the projection; nothing changes here before the journal holds the commit.

mod decoded;

use decoded::Decoded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use vettid_core::journal::Changes;
use zeroize::{Zeroize, Zeroizing};

/// The state: every key and its stored value.
#[derive(Default)]
pub struct Projection {
    entries: BTreeMap<String, Vec<u8>>,
    decoded: Decoded,
}

/// Two states are the same if the same is stored.
impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Projection {}

/// A vault that is locked or stops leaves nothing of its state in memory.
impl Drop for Projection {
    fn drop(&mut self) {
        self.entries.values_mut().for_each(Zeroize::zeroize);
    }
}

/// The values hold keys and member data: only their number is shown.
impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Projection({} entries)", self.entries.len())
    }
}

/// A stored value does not have its shape. The journal was written by a program that this one does not understand.
#[derive(Debug, thiserror::Error)]
#[error("the stored value of {kind} cannot be read")]
pub struct UnreadableState {
    /// First part of the key.
    pub kind: String,
    /// What the reader said.
    #[source]
    pub source: serde_json::Error,
}

impl Projection {
    /// Applies the changes of a commit.
    pub fn apply(&mut self, changes: &Changes) {
        for (key, value) in changes {
            self.decoded.forget(key);
            let before = match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
            drop(before.map(Zeroizing::new));
        }
    }

    /// Replaces everything by the entries of a snapshot.
    pub fn replace(&mut self, changes: Changes) {
        self.decoded.clear();
        self.entries = changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }

    /// Everything, as the changes of a snapshot.
    #[must_use]
    pub fn all(&self) -> Changes {
        self.entries.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was ever committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The next commit in the making: steps of several events, each kept or dropped as a whole.
pub struct Draft<'a> {
    base: &'a Projection,
    kept: Changes,
    /// Bytes of the kept changes.
    kept_bytes: usize,
    step: Changes,
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} kept, {} in this step)", self.kept.len(), self.step.len())
    }
}

impl<'a> Draft<'a> {
    /// An empty draft over the state.
    #[must_use]
    pub fn new(base: &'a Projection) -> Self {
        Self { base, kept: Changes::new(), kept_bytes: 0, step: Changes::new() }
    }

    /// Makes the changes of the present step part of the commit.
    pub fn keep_step(&mut self) {
        for (key, value) in std::mem::take(&mut self.step) {
            let (key_bytes, put) = (key.len(), size(&key, value.as_deref()));
            let before = self.kept.insert(key, value).map(|before| key_bytes + before.map_or(0, |bytes| bytes.len()));
            self.kept_bytes = self.kept_bytes.saturating_sub(before.unwrap_or(0)).saturating_add(put);
        }
    }

    /// Bytes of everything that the commit would have, the present step included.
    #[must_use]
    pub fn bytes_so_far(&self) -> usize {
        let step: usize = self.step.iter().map(|(key, value)| size(key, value.as_deref())).sum();
        self.kept_bytes.saturating_add(step)
    }

    /// The changes of the present step so far.
    #[must_use]
    pub fn step_so_far(&self) -> Changes {
        self.step.clone()
    }

    /// Takes the present step back to what it was.
    pub fn reset_step(&mut self, to: Changes) {
        self.step = to;
    }

    /// Forgets the changes of the present step.
    pub fn drop_step(&mut self) {
        self.step.clear();
    }

    /// Whether the present step changed anything.
    #[must_use]
    pub fn step_is_empty(&self) -> bool {
        self.step.is_empty()
    }

    /// The changes of all kept steps.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        self.kept
    }

    /// The stored bytes of a key, as this draft sees them.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        let changed = self.step.get(key).or_else(|| self.kept.get(key));
        changed.map_or_else(|| self.base.entries.get(key).map(Vec::as_slice), Option::as_deref)
    }

    /// Whether a key holds a value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.bytes(key).is_some()
    }

    /// The value of a key.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, UnreadableState> {
        self.bytes(key).map(|bytes| decode(key, bytes)).transpose()
    }

    /// The value of a key, for what is read often and changed seldom: while it stays the same, it is read out of the state once.
    pub fn shared<T>(&self, key: &str) -> Result<Option<Arc<T>>, UnreadableState>
    where
        T: DeserializeOwned + Any + Send + Sync,
    {
        if self.step.contains_key(key) || self.kept.contains_key(key) {
            return Ok(self.get(key)?.map(Arc::new));
        }
        if let Some(known) = self.base.decoded.get(key) {
            return Ok(Some(known));
        }
        let value = self.get(key)?.map(Arc::new);
        value.iter().for_each(|value| self.base.decoded.hold(key, value));
        Ok(value)
    }

    /// Stores a value.
    pub fn put<T: Serialize>(&mut self, key: String, value: &T) -> Result<(), UnreadableState> {
        let bytes = serde_json::to_vec(value).map_err(|source| unreadable(&key, source))?;
        self.step.insert(key, Some(bytes));
        Ok(())
    }

    /// Stores bytes as they are.
    pub fn put_bytes(&mut self, key: String, bytes: Vec<u8>) {
        self.step.insert(key, Some(bytes));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        if self.has(key) {
            self.step.insert(key.to_owned(), None);
        }
    }

    /// The keys that begin with `prefix`, in order, at most `limit`. Takes as long as these, however many there are.
    #[must_use]
    pub fn keys(&self, prefix: &str, limit: usize) -> Vec<String> {
        self.keys_from(prefix, prefix, limit)
    }

    /// The same from the key `first` on.
    #[must_use]
    pub fn keys_from(&self, prefix: &str, first: &str, limit: usize) -> Vec<String> {
        let from = (Bound::Included(first), Bound::Unbounded);
        let mut changed: BTreeMap<&str, bool> = BTreeMap::new();
        for changes in [&self.kept, &self.step] {
            let of_prefix = changes.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix));
            changed.extend(of_prefix.map(|(key, value)| (key.as_str(), value.is_some())));
        }
        let stored = self.base.entries.range::<str, _>(from).map(|(key, _)| key.as_str());
        let mut stored =
            stored.take_while(|key| key.starts_with(prefix)).filter(|key| !changed.contains_key(key)).peekable();
        let mut put = changed.iter().filter(|(_, is_there)| **is_there).map(|(key, _)| *key).peekable();
        let next = std::iter::from_fn(|| match (stored.peek(), put.peek()) {
            (Some(old), Some(new)) if old < new => stored.next(),
            (Some(_), None) => stored.next(),
            (_, Some(_)) => put.next(),
            (None, None) => None,
        });
        next.take(limit).map(str::to_owned).collect()
    }

    /// The keys that begin with `prefix` and that this draft puts or removes.
    pub fn changed(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let both = self.kept.range::<str, _>(from).chain(self.step.range::<str, _>(from));
        both.map(|(key, _)| key.as_str()).filter(move |key| key.starts_with(prefix))
    }

    /// The values whose keys begin with `prefix`, in the order of their keys.
    pub fn values<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, UnreadableState> {
        let keys = self.keys(prefix, usize::MAX);
        keys.iter().filter_map(|key| self.get(key).transpose()).collect()
    }

    /// The next number of a counter, from 1.
    pub fn count(&mut self, name: &str) -> Result<u64, UnreadableState> {
        let key = format!("counter/{name}");
        let next = self.get::<u64>(&key)?.unwrap_or(0) + 1;
        self.put(key, &next)?;
        Ok(next)
    }

    /// The last number that a counter gave; 0 before the first.
    pub fn counted(&self, name: &str) -> Result<u64, UnreadableState> {
        Ok(self.get(&format!("counter/{name}"))?.unwrap_or(0))
    }
}

/// What a change takes of a commit, in bytes.
fn size(key: &str, value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len)
}

/// A number as part of a key, so that keys sort like numbers.
#[must_use]
pub fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, UnreadableState> {
    serde_json::from_slice(bytes).map_err(|source| unreadable(key, source))
}

fn unreadable(key: &str, source: serde_json::Error) -> UnreadableState {
    let kind = key.split('/').next().unwrap_or_default().to_owned();
    UnreadableState { kind, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn state() -> Projection {
        let mut state = Projection::default();
        state.apply(&Changes::from([("a/1".into(), Some(b"1".to_vec())), ("a/2".into(), Some(b"2".to_vec()))]));
        state
    }

    #[test]
    fn a_dropped_step_leaves_no_trace() {
        let state = state();
        let mut draft = Draft::new(&state);
        draft.put("a/3".into(), &3).unwrap();
        draft.keep_step();
        draft.put("a/3".into(), &4).unwrap();
        draft.remove("a/1");
        assert_eq!(draft.keys("a/", 9), ["a/2", "a/3"]);
        draft.drop_step();
        assert_eq!(draft.keys("a/", 9), ["a/1", "a/2", "a/3"]);
        assert_eq!(draft.get::<u64>("a/3").unwrap(), Some(3));
        assert_eq!(draft.bytes_so_far(), "a/33".len());
        draft.put("a/3".into(), &1000).unwrap();
        assert_eq!(draft.bytes_so_far(), "a/33a/31000".len(), "the step stands beside what it replaces");
        draft.put("a/3".into(), &3).unwrap();
        draft.keep_step();
        assert_eq!(draft.bytes_so_far(), "a/33".len(), "and then in its place");
        assert_eq!(draft.into_changes(), Changes::from([("a/3".into(), Some(b"3".to_vec()))]));
    }

    #[test]
    fn a_removed_key_stays_removed_over_the_base() {
        let mut state = state();
        let mut draft = Draft::new(&state);
        draft.remove("a/1");
        draft.keep_step();
        assert!(!draft.has("a/1"));
        let changes = draft.into_changes();
        state.apply(&changes);
        assert_eq!(Draft::new(&state).keys("a/", 9), ["a/2"]);
    }

    proptest! {
        /// However puts and removals lie over the base, the keys are those that are there, in order.
        #[test]
        fn keys_are_those_that_are_there(
            stored in btree_set("[ab]/[0-9]", 0..12),
            changes in vec(("[ab]/[0-9]", any::<bool>(), any::<bool>()), 0..16),
            first in "b/[0-9]",
            limit in 0..6usize,
        ) {
            let mut there: BTreeSet<String> = stored.clone();
            let mut state = Projection::default();
            state.apply(&stored.into_iter().map(|key| (key, Some(vec![]))).collect());
            let mut draft = Draft::new(&state);
            for (key, is_put, is_kept) in changes {
                if is_put {
                    draft.put_bytes(key.clone(), vec![]);
                    there.insert(key);
                } else {
                    draft.remove(&key);
                    there.remove(&key);
                }
                if is_kept {
                    draft.keep_step();
                }
            }
            let wanted = there.into_iter().filter(|key| *key >= first && key.starts_with("b/"));
            prop_assert_eq!(draft.keys_from("b/", &first, limit), wanted.take(limit).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_read_once_is_never_older_than_what_is_stored() {
        let mut state = state();
        let read = |draft: &Draft<'_>| draft.shared::<u64>("a/1").unwrap().map(|value| *value);
        let mut draft = Draft::new(&state);
        assert_eq!(read(&draft), Some(1));
        draft.put("a/1".into(), &5).unwrap();
        assert_eq!(read(&draft), Some(5), "the step sees its own change");
        draft.drop_step();
        assert_eq!(read(&draft), Some(1));
        draft.put("a/1".into(), &6).unwrap();
        draft.keep_step();
        assert_eq!(read(&draft), Some(6), "the next step of the commit sees it, too");
        draft.remove("a/1");
        assert_eq!(read(&draft), None);
        assert_eq!(read(&Draft::new(&state)), Some(1), "nothing was committed");
        state.apply(&Changes::from([("a/1".into(), Some(b"7".to_vec()))]));
        assert_eq!(read(&Draft::new(&state)), Some(7));
        state.apply(&Changes::from([("a/1".into(), None)]));
        assert_eq!(read(&Draft::new(&state)), None);
        state.replace(Changes::from([("a/1".into(), Some(b"8".to_vec()))]));
        assert_eq!(read(&Draft::new(&state)), Some(8));
        state.replace(Changes::from([("a/1".into(), Some(b"9".to_vec()))]));
        assert_eq!(read(&Draft::new(&state)), Some(9));
        assert_eq!(Draft::new(&state).shared::<i8>("a/1").unwrap().as_deref(), Some(&9), "as another type");
    }

    /// What is committed of a value wipes what was read of it before: a key that was taken back does not stay in memory.
    #[test]
    fn what_is_read_once_goes_with_what_is_stored_and_does_not_grow() {
        let mut state = Projection::default();
        let all = || (0..2 * decoded::MOST).map(|number| numbered("a/", number.try_into().unwrap()));
        state.apply(&all().map(|key| (key, Some(b"1".to_vec()))).collect());
        let read = |key: &str| Arc::downgrade(&Draft::new(&state).shared::<u64>(key).unwrap().unwrap());
        let held: Vec<_> = all().map(|key| read(&key)).collect();
        let count = held.iter().filter(|value| value.strong_count() > 0).count();
        assert!((1..=decoded::MOST).contains(&count), "{count} are held");
        let last = held.last().unwrap();
        assert_eq!(last.strong_count(), 1);
        state.apply(&all().next_back().map(|key| (key, None)).into_iter().collect());
        assert_eq!(last.strong_count(), 0);
    }

    #[test]
    fn counters_count() {
        let state = state();
        let mut draft = Draft::new(&state);
        assert_eq!((draft.count("feed").unwrap(), draft.count("feed").unwrap()), (1, 2));
        assert_eq!(draft.counted("feed").unwrap(), 2);
    }

    #[test]
    fn an_unreadable_value_is_an_error_and_names_no_content() {
        let state = state();
        let error = Draft::new(&state).get::<String>("a/1").unwrap_err();
        assert_eq!(error.to_string(), "the stored value of a cannot be read");
    }
}
