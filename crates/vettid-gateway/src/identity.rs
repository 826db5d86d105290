//! Who the service is: its signing key, its accounts' keys, and its signed key record. Made here at the first start; no
//! private key leaves the sealed state.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, KeyRecordError, VerifiedKeyRecord, kem_key};
use vettid_crypto::nats::key::{AccountKey, InvalidKey};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemSecretKey, Suite, SuiteError};
use vettid_wire::enrolment::RegisterService;
use vettid_wire::id::{Fingerprint, MemberId, ServiceId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

/// A key record counts for this long, in milliseconds (one year).
const RECORD_LIFE_MS: i64 = 365 * 24 * 3600 * 1000;
/// A key record is renewed this long before its end, in milliseconds (60 days, twice the life of a profile).
const RENEW_BEFORE_MS: i64 = 60 * 24 * 3600 * 1000;

/// The keys of the service. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The service's own id as an owner of a space.
    pub guid: MemberId,
    /// Counts restores from a backup; never falls.
    pub incarnation: u64,
    key_record: VerifiedKeyRecord,
    #[serde(with = "stored")]
    signing: SigningKey,
    #[serde(with = "stored")]
    kem: KemSecretKey,
    #[serde(with = "stored")]
    account: Secret32,
    #[serde(with = "stored")]
    vault_signing: Secret32,
    #[serde(with = "stored")]
    connection_signing: Secret32,
    #[serde(with = "stored")]
    claim_signing: Secret32,
}

/// The identity could not be made or renewed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFailed {
    /// The key record cannot be made.
    #[error("the key record cannot be made")]
    Record(#[from] KeyRecordError),
    /// The KEM key cannot be made.
    #[error("the key for sealing cannot be made")]
    Kem(#[from] SuiteError),
}

impl Identity {
    /// Fresh keys for a new service.
    ///
    /// # Errors
    /// See [`IdentityFailed`].
    pub(crate) fn new(now: Timestamp, rng: &mut dyn CryptoRng) -> Result<Self, IdentityFailed> {
        let mut random = [0; 10];
        rng.fill_bytes(&mut random);
        let guid = MemberId::v7(now, random);
        let signing = SigningKey::random(rng);
        let kem = KemSecretKey::generate(Suite::X25519, rng)?;
        Ok(Self {
            guid,
            incarnation: 1,
            key_record: key_record::build(draft(guid, &signing, &kem, now), &signing, None)?,
            signing,
            kem,
            account: Secret32::random(rng),
            vault_signing: Secret32::random(rng),
            connection_signing: Secret32::random(rng),
            claim_signing: Secret32::random(rng),
        })
    }

    /// Renews the key record if it ends soon; says whether it did.
    ///
    /// # Errors
    /// See [`IdentityFailed`].
    pub(crate) fn renew_record(&mut self, now: Timestamp) -> Result<bool, IdentityFailed> {
        if now.plus_ms(RENEW_BEFORE_MS) < self.key_record.record().expires_at {
            return Ok(false);
        }
        let draft = draft(self.guid, &self.signing, &self.kem, now);
        self.key_record = key_record::build(draft, &self.signing, Some(&self.key_record))?;
        Ok(true)
    }

    /// Which keys are in use, signed.
    #[must_use]
    pub(crate) fn key_record(&self) -> &VerifiedKeyRecord {
        &self.key_record
    }

    /// Signs handshakes, requests, profiles and counter-signatures.
    #[must_use]
    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// What members know this service by.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.signing.verifying_key().fingerprint()
    }

    /// Names the account, and signs nothing.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn account(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.account.duplicate())
    }

    /// Signs the gateway's own user.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn vault_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.vault_signing.duplicate())
    }

    /// Signs the users of connected members.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn connection_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.connection_signing.duplicate())
    }

    /// Signs the holders of invitations.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn claim_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.claim_signing.duplicate())
    }

    /// The public halves, for the operator's services.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn registration(&self, service_id: ServiceId) -> Result<RegisterService, InvalidKey> {
        let text = |key: AccountKey| key.public().to_string();
        Ok(RegisterService {
            service_id,
            guid: self.guid,
            account_nkey: text(self.account()?),
            vault_signing_nkey: text(self.vault_signing()?),
            connection_signing_nkey: text(self.connection_signing()?),
            claim_signing_nkey: text(self.claim_signing()?),
        })
    }
}

fn draft(guid: MemberId, signing: &SigningKey, kem: &KemSecretKey, now: Timestamp) -> Draft {
    let expires_at = now.plus_ms(RECORD_LIFE_MS);
    Draft {
        role: KeyRole::Service,
        guid,
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&kem.public_key(), now, expires_at)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn the_record_is_renewed_before_it_ends() {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let now = Timestamp::from_unix_ms(1_790_000_000_000);
        let mut identity = Identity::new(now, &mut random::system()).unwrap();
        let first = identity.key_record().clone();
        assert_eq!(first.record().role, KeyRole::Service);
        assert!(!identity.renew_record(now.plus_ms(304 * DAY_MS)).unwrap());
        assert!(identity.renew_record(now.plus_ms(306 * DAY_MS)).unwrap());
        assert_eq!(identity.key_record().record().sequence, 2);
        assert_eq!(identity.key_record().fingerprint(), first.fingerprint());
    }

    #[test]
    fn the_account_and_each_role_have_keys_of_their_own() {
        let identity = Identity::new(Timestamp::default(), &mut random::system()).unwrap();
        let registration = identity.registration("demo-shop".parse().unwrap()).unwrap();
        let keys = [
            registration.account_nkey,
            registration.vault_signing_nkey,
            registration.connection_signing_nkey,
            registration.claim_signing_nkey,
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), 4);
        assert!(keys.iter().all(|key| key.starts_with('A')));
    }
}
