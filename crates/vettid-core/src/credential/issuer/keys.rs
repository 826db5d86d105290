//! The issuer's secret halves: the keys of each live version, and the ledger transaction keys.
//! Must never keep a key that the record does not name.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::Undecryptable;
use vettid_crypto::credential::CredentialKey;
use vettid_crypto::lat::LedgerAuthToken;

use vettid_crypto::utk::{LedgerTransactionKey, PasswordPayload, ProofRequest};
use vettid_wire::credential::{LatId, ReplenishKeys, ReplenishedKeys, TransactionKey};
use vettid_wire::id::KeyId;
use vettid_wire::time::Timestamp;

use crate::credential::pool::Pool;

/// The keys of one version.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuedKeys {
    pub(super) version: u64,
    #[serde(with = "vettid_crypto::stored")]
    pub(super) key: CredentialKey,
    #[serde(with = "vettid_crypto::stored")]
    pub(super) token: LedgerAuthToken,
}

/// The secret halves of a pool of transaction keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LedgerKeys(#[serde(with = "vettid_crypto::stored")] Vec<LedgerTransactionKey>);

impl LedgerKeys {
    pub(super) fn get(&self, key_id: &KeyId) -> Option<&LedgerTransactionKey> {
        self.0.iter().find(|key| key.key_id() == key_id)
    }

    fn public(&self) -> Vec<TransactionKey> {
        self.0.iter().map(LedgerTransactionKey::transaction_key).collect()
    }

    pub(super) fn retain(&mut self, pool: &Pool) {
        self.0.retain(|key| pool.has(key.key_id()));
    }

    /// Fills a pool that ran low; the keys for the app.
    pub(super) fn refill(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut dyn CryptoRng) -> Vec<TransactionKey> {
        pool.sweep(now);
        let fresh: Vec<_> = (0..pool.due(now)).map(|_| LedgerTransactionKey::generate(now, rng)).collect();
        let offered = fresh.iter().map(LedgerTransactionKey::transaction_key).collect();
        for key in &fresh {
            pool.add(key.key_id().clone(), key.expires_at());
        }
        self.0.extend(fresh);
        self.retain(pool);
        offered
    }

    /// Keys that the app does not hold, because their answer was lost, are forgotten before the pool is filled.
    pub(super) fn replenish(
        &mut self,
        pool: &mut Pool,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        asked: &ReplenishKeys,
    ) -> ReplenishedKeys {
        let lost: Vec<KeyId> = pool.unused(now).filter(|id| !asked.live_key_ids.contains(id)).cloned().collect();
        lost.iter().for_each(|key_id| pool.use_up(key_id));
        let new_transaction_keys = self.refill(pool, now, rng);
        ReplenishedKeys { new_transaction_keys, live_key_ids: pool.unused(now).cloned().collect() }
    }
}

/// The keys of one live version, by their names alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveVersion {
    /// The version.
    pub version: u64,
    /// Its CEK.
    pub key_id: KeyId,
    /// Its token.
    pub lat_id: LatId,
}

impl super::Issuer {
    /// The versions that are accepted, oldest first.
    #[must_use]
    pub fn live_versions(&self) -> Vec<LiveVersion> {
        let named = |keys: &IssuedKeys| {
            let lat_id = self.record.accepted(keys.version)?.lat.lat_id.clone();
            Some(LiveVersion { version: keys.version, key_id: keys.key.key_id(), lat_id })
        };
        self.issued.iter().filter_map(named).collect()
    }

    /// The public halves of the transaction keys, used or not, that are still kept.
    #[must_use]
    pub fn transaction_keys(&self) -> Vec<TransactionKey> {
        self.ledger_keys.public()
    }
}

/// The transaction keys of a member who has no credential yet; the first credential takes them over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPool {
    pub(super) pool: Pool,
    pub(super) ledger_keys: LedgerKeys,
}

impl KeyPool {
    /// A full pool, and its public halves for the app.
    #[must_use]
    pub fn new(now: Timestamp, rng: &mut dyn CryptoRng) -> (Self, Vec<TransactionKey>) {
        let mut keys = Self { pool: Pool::default(), ledger_keys: LedgerKeys(Vec::new()) };
        let offered = keys.ledger_keys.refill(&mut keys.pool, now, rng);
        (keys, offered)
    }

    /// The public halves of the keys.
    #[must_use]
    pub fn transaction_keys(&self) -> Vec<TransactionKey> {
        self.ledger_keys.public()
    }

    /// Fresh keys, as [`super::Issuer::replenish`].
    pub fn replenish(&mut self, now: Timestamp, rng: &mut dyn CryptoRng, asked: &ReplenishKeys) -> ReplenishedKeys {
        self.ledger_keys.replenish(&mut self.pool, now, rng, asked)
    }

    /// Opens the payload that came with the request for a first credential, and uses its key up.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong; the key is used up as well.
    pub fn open(
        &mut self,
        now: Timestamp,
        request: &ProofRequest<'_>,
        sealed: &[u8],
    ) -> Result<PasswordPayload, Undecryptable> {
        let key_id = &request.binding.key_id;
        let carries = self.pool.carries(key_id, request.binding.op_id, now);
        let key = self.ledger_keys.get(key_id).filter(|_| carries).ok_or(Undecryptable)?;
        let opened = key.open(request, sealed);
        self.pool.use_up(key_id);
        self.ledger_keys.retain(&self.pool);
        opened
    }
}
