//! What was read out of the state a moment ago, in the form of its readers: a connection and its contract are needed several times for
//! each event. Never older than the stored value, and gone with it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most values that are held. One more, and those before are read anew when they are needed.
pub(super) const MOST: usize = 32;

type Value = Arc<dyn Any + Send + Sync>;

/// Values by their keys.
#[derive(Default)]
pub(super) struct Decoded(Mutex<BTreeMap<String, Value>>);

/// The values hold keys and member data: only their number is shown.
impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoded({})", self.values().len())
    }
}

impl Decoded {
    /// The value of a key, if it was read as this type.
    pub(super) fn get<T: Any + Send + Sync>(&self, key: &str) -> Option<Arc<T>> {
        self.values().get(key).cloned()?.downcast().ok()
    }

    /// Holds what was just read.
    pub(super) fn hold<T: Any + Send + Sync>(&self, key: &str, value: &Arc<T>) {
        let mut values = self.values();
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(key.to_owned(), Arc::clone(value) as Value);
    }

    /// The stored value of a key is another one now.
    pub(super) fn forget(&mut self, key: &str) {
        self.values().remove(key);
    }

    /// Everything that is stored is another now.
    pub(super) fn clear(&mut self) {
        self.values().clear();
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
