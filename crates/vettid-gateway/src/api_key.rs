//! The keys that programs of the service show: each with a name, scopes and a rate of its own. Only hashes are kept; a key
//! is seen once, by whoever made it.

use crate::bucket::{Bucket, Level};
use crate::clock;
use crate::http::Scope;
use crate::key_file::ApiKey;
use crate::random;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::{Base64Url, encode_url};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// Keys that are kept, the revoked ones among them.
pub(crate) const MOST_KEYS: usize = 1000;
/// What every key begins with, so that one that got lost can be recognised.
const PREFIX: &str = "vgk";
/// The id of the key in the key file.
pub(crate) const FIRST: &str = "first";

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// Names it; stands in the key itself.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// SHA-256 of the key.
    pub hash: Base64Url,
    /// Calls a minute; absent: as the configuration says.
    pub calls_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// A key, without what it is shown with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    /// Names it.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub scopes: BTreeSet<Scope>,
    /// Calls a minute, if they differ from what the configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was taken back; absent while it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl From<&KeyRecord> for ApiKeyView {
    fn from(record: &KeyRecord) -> Self {
        let KeyRecord { key_id, name, scopes, calls_per_minute, created_at, revoked_at, .. } = record.clone();
        Self { key_id, name, scopes, calls_per_minute, created_at, revoked_at }
    }
}

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Calls a minute; absent: as the configuration says.
    pub calls_per_minute: Option<u32>,
}

impl KeyRecord {
    /// Makes a key; the text is shown once.
    pub(crate) fn make(now: Timestamp, new: NewApiKey) -> (Self, Zeroizing<String>) {
        let key_id = format!("{PREFIX}_{}", hex(random::bytes::<8>()));
        let secret = Zeroizing::new(random::bytes::<32>());
        let text = Zeroizing::new(format!("{key_id}.{}", encode_url(&*secret)));
        let hash = Base64Url::new(h256(text.as_bytes()));
        let NewApiKey { name, scopes, calls_per_minute } = new;
        (Self { key_id, name, scopes, hash, calls_per_minute, created_at: now, revoked_at: None }, text)
    }

    /// Whether the text is this key; takes the same time for every guess.
    fn is(&self, shown: &str) -> bool {
        let stored = Secret32::from_slice(self.hash.as_bytes());
        stored.is_some_and(|stored| stored == Secret32::from_bytes(h256(shown.as_bytes()))) && self.revoked_at.is_none()
    }
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// A key in use.
#[derive(Debug)]
struct Entry {
    record: KeyRecord,
    bucket: Mutex<Bucket>,
}

/// A program that showed a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key.
    pub key_id: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
}

impl Caller {
    /// Whether the key has the scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

/// All keys.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    table: Mutex<BTreeMap<String, Arc<Entry>>>,
    first: Mutex<Option<(ApiKey, Arc<Entry>)>>,
    calls_per_minute: u32,
}

impl ApiKeys {
    /// The keys that were stored.
    pub(crate) fn new(records: Vec<KeyRecord>, calls_per_minute: u32) -> Self {
        let keys = Self { table: Mutex::default(), first: Mutex::new(None), calls_per_minute };
        records.into_iter().for_each(|record| keys.put(record));
        keys
    }

    fn entry(&self, record: KeyRecord) -> Arc<Entry> {
        let per_minute = record.calls_per_minute.unwrap_or(self.calls_per_minute);
        Arc::new(Entry { record, bucket: Mutex::new(Bucket::new(clock::now(), per_minute)) })
    }

    /// The key of the key file: it has every scope.
    pub(crate) fn set_first(&self, key: ApiKey) {
        let record = KeyRecord {
            key_id: FIRST.to_owned(),
            name: FIRST.to_owned(),
            scopes: BTreeSet::from([Scope::Admin]),
            hash: Base64Url::default(),
            calls_per_minute: None,
            created_at: clock::now(),
            revoked_at: None,
        };
        *lock(&self.first) = Some((key, self.entry(record)));
    }

    /// Adds a key, or puts it in the place of the one of the same id.
    pub(crate) fn put(&self, record: KeyRecord) {
        let entry = self.entry(record);
        lock(&self.table).insert(entry.record.key_id.clone(), entry);
    }

    /// The key of this id.
    pub(crate) fn get(&self, key_id: &str) -> Option<KeyRecord> {
        lock(&self.table).get(key_id).map(|entry| entry.record.clone())
    }

    /// All keys, by id.
    pub(crate) fn all(&self) -> Vec<KeyRecord> {
        lock(&self.table).values().map(|entry| entry.record.clone()).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.table).len()
    }

    fn find(&self, shown: &str) -> Option<Arc<Entry>> {
        if let Some((key, entry)) = &*lock(&self.first)
            && key.is(shown)
        {
            return Some(Arc::clone(entry));
        }
        let key_id = shown.split('.').next()?;
        let entry = lock(&self.table).get(key_id).cloned()?;
        entry.record.is(shown).then_some(entry)
    }

    /// Who shows this key, and whether one more call is within its rate; `None`: it is no valid key.
    pub(crate) fn call(&self, now: Timestamp, shown: &str) -> Option<(Caller, Result<Level, Level>)> {
        let entry = self.find(shown)?;
        let level = lock(&entry.bucket).take(now);
        let KeyRecord { key_id, scopes, .. } = entry.record.clone();
        Some((Caller { key_id, scopes }, level))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(scopes: &[Scope]) -> (KeyRecord, Zeroizing<String>) {
        let new =
            NewApiKey { name: "shop".to_owned(), scopes: scopes.iter().copied().collect(), calls_per_minute: Some(2) };
        KeyRecord::make(clock::now(), new)
    }

    #[test]
    fn a_key_is_known_by_its_hash_until_it_is_revoked() {
        let (mut record, text) = made(&[Scope::DataRead]);
        assert!(!serde_json::to_string(&record).unwrap().contains(text.split('.').nth(1).unwrap()));
        let keys = ApiKeys::new(vec![record.clone()], 10);
        let (caller, _) = keys.call(clock::now(), &text).unwrap();
        assert!(caller.may(Scope::DataRead) && !caller.may(Scope::Login) && !caller.may(Scope::Admin));
        for wrong in ["", &record.key_id, &text[..text.len() - 1], &text.to_uppercase(), &format!("{}.", record.key_id)]
        {
            assert!(keys.call(clock::now(), wrong).is_none(), "{wrong}");
        }
        record.revoked_at = Some(clock::now());
        keys.put(record);
        assert!(keys.call(clock::now(), &text).is_none());
    }

    #[test]
    fn the_rate_of_a_key_is_its_own() {
        let (one, two) = (made(&[Scope::DataRead]), made(&[Scope::DataRead]));
        let keys = ApiKeys::new(vec![one.0, two.0], 10);
        let now = clock::now();
        let calls = |text: &str| (0..4).filter(|_| keys.call(now, text).unwrap().1.is_ok()).count();
        assert_eq!(calls(&one.1), 2);
        assert_eq!(calls(&two.1), 2);
    }
}
