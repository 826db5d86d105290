//! Calls that a program repeats under the same name: an effect happens once, and the answer is the same for a day. That a
//! call was begun is durable before its effect, and what came of it is durable together with the effect.

use crate::state::{Draft, StateError};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vettid_crypto::kdf::h256_parts;
use vettid_wire::base64::Base64Url;
use vettid_wire::id::RequestId;
use vettid_wire::time::Timestamp;

/// How long the answer stays the same, in milliseconds.
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Calls that are kept before keys with many of them have to wait.
const MOST_KEPT: usize = 100_000;
/// A key with fewer goes on then: other keys take no calls from it.
const ALWAYS_OF_KEY: usize = 1000;
/// Where they lie in the state.
pub(crate) const CALLS: &str = "call/";

tokio::task_local! {
    /// The call that runs, if it has a name.
    static CALL: Arc<Call>;
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// Nothing yet.
    None,
    /// A request to a member, which ends or is open.
    Request(RequestId),
    /// Something that was shown once.
    Shown,
    /// This answer.
    Answer(u16, String),
}

/// A call as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallRecord {
    /// Hash of the key and the name that the program gave.
    name: Base64Url,
    /// The key of the program; absent in what was stored before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Hash of method, address and body.
    print: Base64Url,
    /// When it was begun.
    begun_at: Timestamp,
    /// What came of it.
    effect: Effect,
}

/// A call with a name.
#[derive(Debug)]
pub(crate) struct Call {
    record: Mutex<CallRecord>,
}

/// What is to be done for a call.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It runs now.
    Now(Arc<Call>),
    /// The same call runs already.
    Runs,
    /// The name was given to another call.
    OtherCall,
    /// It had this effect.
    Had(Effect),
    /// Too many are kept.
    TooMany,
}

/// The end of a call, however it comes.
pub(crate) struct Ending<'a>(&'a Calls, &'a Call);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}

/// All calls with names.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    table: Mutex<HashMap<String, (CallRecord, bool)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a call, bound to whoever gave it.
fn name_of(key_id: &str, name: &str) -> Base64Url {
    Base64Url::new(h256_parts(&[key_id.as_bytes(), b"\0", name.as_bytes()]))
}

/// What a call is.
pub(crate) fn print_of(method: &str, address: &str, body: &[u8]) -> Base64Url {
    Base64Url::new(h256_parts(&[method.as_bytes(), b"\0", address.as_bytes(), b"\0", body]))
}

/// How many calls of a key are kept. Asked only when there are very many.
fn of_key(table: &HashMap<String, (CallRecord, bool)>, key_id: &str) -> usize {
    table.values().filter(|(record, _)| record.key_id.as_deref() == Some(key_id)).count()
}

fn key_of(name: &Base64Url) -> String {
    format!("{CALLS}{name}")
}

impl Calls {
    /// The calls that were stored.
    pub(crate) fn new(records: Vec<CallRecord>) -> Self {
        let table = records.into_iter().map(|record| (key_of(&record.name), (record, false))).collect();
        Self { table: Mutex::new(table) }
    }

    /// Begins a call, unless it was begun before.
    pub(crate) fn begin(&self, now: Timestamp, key_id: &str, name: &str, print: Base64Url) -> Begun {
        let mut table = lock(&self.table);
        let name = name_of(key_id, name);
        let key = key_of(&name);
        let old = table.get(&key).filter(|(record, runs)| *runs || now.since_ms(record.begun_at) < KEPT_MS).cloned();
        let record = match old {
            Some((record, _)) if record.print != print => return Begun::OtherCall,
            Some((_, true)) => return Begun::Runs,
            Some((record, false)) if record.effect != Effect::None => return Begun::Had(record.effect),
            Some((record, false)) => record,
            None if table.len() >= MOST_KEPT && of_key(&table, key_id) >= ALWAYS_OF_KEY => return Begun::TooMany,
            None => CallRecord { name, key_id: Some(key_id.to_owned()), print, begun_at: now, effect: Effect::None },
        };
        table.insert(key, (record.clone(), true));
        Begun::Now(Arc::new(Call { record: Mutex::new(record) }))
    }

    /// The call does not run any more; what came of it counts from now on.
    pub(crate) fn end(&self, call: &Call) {
        let record = lock(&call.record).clone();
        let mut table = lock(&self.table);
        match record.effect {
            Effect::None => table.remove(&key_of(&record.name)),
            _ => table.insert(key_of(&record.name), (record, false)),
        };
    }

    /// Ends the call when it is dropped, so that a call over which the program falls does not run for ever.
    pub(crate) fn ending<'a>(&'a self, call: &'a Call) -> Ending<'a> {
        Ending(self, call)
    }

    /// The requests that calls are about whose answer nobody has.
    pub(crate) fn requests(&self) -> HashSet<RequestId> {
        let request = |(record, _): &(CallRecord, bool)| match record.effect {
            Effect::Request(id) => Some(id),
            _ => None,
        };
        lock(&self.table).values().filter_map(request).collect()
    }

    /// Takes out what is older than a day; gives the keys.
    pub(crate) fn sweep(&self, now: Timestamp) -> Vec<String> {
        let is_old = |_: &String, entry: &mut (CallRecord, bool)| !entry.1 && now.since_ms(entry.0.begun_at) >= KEPT_MS;
        lock(&self.table).extract_if(is_old).map(|(key, _)| key).collect()
    }
}

impl Call {
    /// Takes it out of the state: it had no effect.
    pub(crate) fn remove(&self, draft: &mut Draft) {
        draft.remove(key_of(&lock(&self.record).name));
    }

    /// What came of it.
    pub(crate) fn effect(&self) -> Effect {
        lock(&self.record).effect.clone()
    }

    /// Puts what came of it into the commit of its effect.
    pub(crate) fn note(self: &Arc<Self>, draft: &mut Draft, effect: Effect) -> Result<(), StateError> {
        let record = CallRecord { effect, ..lock(&self.record).clone() };
        draft.put(key_of(&record.name), &record)?;
        let call = Arc::clone(self);
        draft.then(move || *lock(&call.record) = record);
        Ok(())
    }

    /// Runs a call under its name.
    pub(crate) async fn run<T>(self: &Arc<Self>, call: impl Future<Output = T>) -> T {
        CALL.scope(Arc::clone(self), call).await
    }
}

/// Whether the call that runs has a name.
pub(crate) fn is_named() -> bool {
    CALL.try_with(|_| ()).is_ok()
}

fn note(draft: &mut Draft, effect: impl FnOnce() -> Effect) -> Result<(), StateError> {
    CALL.try_with(Arc::clone).map_or(Ok(()), |call| call.note(draft, effect()))
}

/// The effect of the call that runs is this request, in this commit. Nothing if the call has no name.
///
/// # Errors
/// [`StateError::Unwritable`].
pub(crate) fn request(draft: &mut Draft, id: RequestId) -> Result<(), StateError> {
    note(draft, || Effect::Request(id))
}

/// The call that runs has this answer, whose effect is in this commit. Nothing if the call has no name.
///
/// # Errors
/// [`StateError::Unwritable`].
pub(crate) fn answer(draft: &mut Draft, status: u16, body: &impl Serialize) -> Result<(), StateError> {
    let body = serde_json::to_string(body).map_err(|_| StateError::Unwritable("answer".to_owned()))?;
    note(draft, || Effect::Answer(status, body))
}

/// The call that runs shows a secret, once; its effect is in this commit. Nothing if the call has no name.
///
/// # Errors
/// [`StateError::Unwritable`].
pub(crate) fn shown(draft: &mut Draft) -> Result<(), StateError> {
    note(draft, || Effect::Shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    fn begin(calls: &Calls, ms: i64, name: &str, body: &str) -> Begun {
        calls.begin(at(ms), "key", name, print_of("POST", "/v1/x", body.as_bytes()))
    }

    fn ended(calls: &Calls, call: &Call, effect: Effect) {
        lock(&call.record).effect = effect;
        calls.end(call);
    }

    #[test]
    fn a_name_stands_for_one_call_for_a_day() {
        let calls = Calls::default();
        let Begun::Now(call) = begin(&calls, 0, "a", "1") else { panic!() };
        assert!(matches!(begin(&calls, 1, "a", "1"), Begun::Runs));
        assert!(matches!(begin(&calls, 1, "a", "2"), Begun::OtherCall));
        assert!(matches!(begin(&calls, 1, "b", "2"), Begun::Now(_)));
        let answer = Effect::Answer(201, "{}".to_owned());
        ended(&calls, &call, answer.clone());
        let Begun::Had(had) = begin(&calls, KEPT_MS - 1, "a", "1") else { panic!() };
        assert_eq!(had, answer);
        assert!(matches!(begin(&calls, KEPT_MS - 1, "a", "2"), Begun::OtherCall));
        assert!(matches!(begin(&calls, KEPT_MS, "a", "2"), Begun::Now(_)));
    }

    #[test]
    fn a_call_without_effect_may_be_made_again_and_differently() {
        let calls = Calls::default();
        let Begun::Now(call) = begin(&calls, 0, "a", "1") else { panic!() };
        ended(&calls, &call, Effect::None);
        assert!(matches!(begin(&calls, 1, "a", "2"), Begun::Now(_)));
    }

    #[test]
    fn a_call_that_a_crash_left_behind_runs_again_under_its_name() {
        let calls = Calls::default();
        let Begun::Now(call) = begin(&calls, 0, "a", "1") else { panic!() };
        let stored = lock(&call.record).clone();
        let after = Calls::new(vec![stored]);
        assert!(matches!(begin(&after, 1, "a", "2"), Begun::OtherCall));
        assert!(matches!(begin(&after, 1, "a", "1"), Begun::Now(_)));
        assert!(after.sweep(at(KEPT_MS)).is_empty(), "it runs");
    }

    #[test]
    fn a_call_over_which_the_program_falls_does_not_run_any_more() {
        let calls = Calls::default();
        let Begun::Now(call) = begin(&calls, 0, "a", "1") else { panic!() };
        let Begun::Now(paid) = begin(&calls, 0, "b", "1") else { panic!() };
        let fallen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (_one, _other) = (calls.ending(&call), calls.ending(&paid));
            let request = Effect::Request(RequestId::from_bytes([1; 16]));
            lock(&paid.record).effect = request;
            panic!("on purpose");
        }));
        assert!(fallen.is_err());
        assert!(matches!(begin(&calls, 1, "a", "1"), Begun::Now(_)), "nothing came of it");
        assert!(matches!(begin(&calls, 1, "b", "1"), Begun::Had(Effect::Request(_))), "it had its effect");
    }

    #[test]
    fn a_key_with_many_calls_takes_none_from_another() {
        let begin =
            |calls: &Calls, key: &str, name: usize| calls.begin(at(0), key, &name.to_string(), print_of("", "", b""));
        let calls = Calls::default();
        for name in 0..MOST_KEPT {
            assert!(matches!(begin(&calls, "many", name), Begun::Now(_)), "{name}");
        }
        assert!(matches!(begin(&calls, "many", MOST_KEPT), Begun::TooMany));
        for name in 0..ALWAYS_OF_KEY {
            assert!(matches!(begin(&calls, "few", name), Begun::Now(_)), "{name}");
        }
        assert!(matches!(begin(&calls, "few", ALWAYS_OF_KEY), Begun::TooMany));
    }

    #[test]
    fn names_belong_to_keys_and_what_is_old_goes() {
        assert_ne!(name_of("one", "a"), name_of("two", "a"));
        let calls = Calls::default();
        let Begun::Now(call) = begin(&calls, 0, "a", "1") else { panic!() };
        ended(&calls, &call, Effect::Shown);
        assert!(calls.sweep(at(KEPT_MS - 1)).is_empty());
        assert_eq!(calls.sweep(at(KEPT_MS)).len(), 1);
    }
}
