//! The registry's own profile: who it is, and with which key. Signed anew long
//! before it expires; the key record inside follows from the keys and the time of their making alone, so every start
//! publishes the same one.

use crate::keys::Keys;
use std::sync::{Mutex, PoisonError};
use vettid_crypto::key_record::{self, Draft, KeyRecordError, kem_key};
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_crypto::suite::Suite;
use vettid_store::ledger::{Counter, Ledger, LedgerError};
use vettid_wire::base64::Base64;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::profile::{MAX_LIFE_MS, PublicProfile, SignedProfile};
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// A key record counts for a year and is followed by the next one in time.
const RECORD_LIFE_MS: i64 = 365 * DAY_MS;
const RECORD_PERIOD_MS: i64 = 300 * DAY_MS;
const PROFILE_PERIOD_MS: i64 = MAX_LIFE_MS / 2;
/// More records than this would be two hundred years.
const MAX_RECORDS: i64 = 256;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// It could not be signed.
    #[error("the registry's profile cannot be signed")]
    Signature(#[from] SignatureError),
    /// Its key record could not be made.
    #[error("the registry's key record cannot be made")]
    KeyRecord(#[from] KeyRecordError),
    /// Its number could not be drawn.
    #[error("the ledger gave no number for the registry's profile")]
    Ledger(#[from] LedgerError),
}

/// The current profile.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    current: Mutex<Option<SignedProfile>>,
}

impl Registry {
    /// The profile; signed anew if it is older than half of its life.
    pub(crate) async fn profile(
        &self,
        keys: &Keys,
        ledger: &dyn Ledger,
        now: Timestamp,
    ) -> Result<SignedProfile, RegistryError> {
        if let Some(current) = self.current(now) {
            return Ok(current);
        }
        let sequence = ledger.next_number(&Counter::RegistryProfile).await?;
        let profile = sign_profile(keys, sequence, now)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(profile.clone());
        Ok(profile)
    }

    fn current(&self, now: Timestamp) -> Option<SignedProfile> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (now.since_ms(current.updated_at) < PROFILE_PERIOD_MS).then_some(current)
    }
}

fn sign_profile(keys: &Keys, sequence: u64, now: Timestamp) -> Result<SignedProfile, RegistryError> {
    let identity = &keys.registry_identity;
    let profile = SignedProfile {
        profile_version: "1.0".to_owned(),
        guid: keys.registry_guid,
        public_key: identity.verifying_key().typed(),
        key_record: key_record(keys, now)?,
        restore_key: None,
        public: PublicProfile { first_name: "VettID registry".to_owned(), ..PublicProfile::default() },
        service: None,
        items: std::collections::BTreeMap::new(),
        event_types: Vec::new(),
        supported: Vec::new(),
        sequence,
        updated_at: now,
        valid_until: now.plus_ms(MAX_LIFE_MS),
        key_id: identity.key_id(),
        signature: Base64::default(),
    };
    let signature = signature::sign(Context::Profile, identity, &profile)?;
    Ok(SignedProfile { signature, ..profile })
}

/// The record in force. Each follows from the one before, back to the first.
fn key_record(keys: &Keys, now: Timestamp) -> Result<KeyRecord, RegistryError> {
    let latest = (now.since_ms(keys.made_at) / RECORD_PERIOD_MS).clamp(0, MAX_RECORDS);
    let mut record = key_record::build(draft(keys, 0), &keys.registry_identity, None)?;
    for number in 1..=latest {
        record = key_record::build(draft(keys, number), &keys.registry_identity, Some(&record))?;
    }
    Ok(record.record().clone())
}

fn draft(keys: &Keys, number: i64) -> Draft {
    let issued_at = keys.made_at.plus_ms(number.saturating_mul(RECORD_PERIOD_MS));
    let expires_at = issued_at.plus_ms(RECORD_LIFE_MS);
    Draft {
        role: KeyRole::Registry,
        guid: keys.registry_guid,
        signing_key: keys.registry_identity.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&keys.registry_kem.public_key(), issued_at, expires_at)],
        suites: vec![Suite::X25519],
        issued_at,
        expires_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;
    use tempfile::TempDir;
    use vettid_crypto::profile;
    use vettid_store::sqlite::SqliteLedger;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(days * DAY_MS)
    }

    fn keys(folder: &TempDir) -> Keys {
        keys::load_or_make(&folder.path().join("data"), &folder.path().join("key"), at(0)).unwrap().0
    }

    #[tokio::test]
    async fn a_profile_is_signed_anew_in_time_and_its_number_rises() {
        let folder = TempDir::new().unwrap();
        let keys = keys(&folder);
        let ledger = SqliteLedger::open(&folder.path().join("ledger.sqlite")).await.unwrap();
        let registry = Registry::default();
        let mut sequences = Vec::new();
        for days in [0, 14, 15, 16, 31] {
            let current = registry.profile(&keys, &ledger, at(days)).await.unwrap();
            let verified = profile::verify(current, at(days)).unwrap();
            assert_eq!(verified.fingerprint(), keys.registry_identity.verifying_key().fingerprint());
            sequences.push(verified.get().sequence);
        }
        assert_eq!(sequences, [1, 1, 2, 2, 3]);
        let restarted = Registry::default().profile(&keys, &ledger, at(31)).await.unwrap();
        assert_eq!(restarted.sequence, 4);
    }

    #[test]
    fn key_records_are_the_same_at_every_start_and_follow_each_other() {
        let folder = TempDir::new().unwrap();
        let keys = keys(&folder);
        assert_eq!(key_record(&keys, at(0)).unwrap(), key_record(&keys, at(299)).unwrap());
        let first = key_record::verify(key_record(&keys, at(0)).unwrap(), at(0)).unwrap();
        let second = key_record::verify(key_record(&keys, at(300)).unwrap(), at(300)).unwrap();
        let third = key_record::verify(key_record(&keys, at(600)).unwrap(), at(600)).unwrap();
        let third = first.accept(second).unwrap().accept(third).unwrap();
        assert_eq!(third.kem_key(Suite::X25519, at(601)), Some(keys.registry_kem.public_key()));
    }
}
