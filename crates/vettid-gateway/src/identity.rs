//! Who the service is: its signing key, its accounts' keys, and its signed key record. Made here at the first start; no
//! private key leaves the sealed state.

use crate::signing::{Announced, Due, LIFE_MS, Signing, SigningKeys};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, KeyRecordError, VerifiedKeyRecord, kem_key};
use vettid_crypto::nats::key::{AccountKey, InvalidKey};
use vettid_crypto::secret::Secret32;
use vettid_crypto::service_keys;
use vettid_crypto::signature::SignatureError;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite, SuiteError};
use vettid_wire::base64::Base64;
use vettid_wire::enrolment::{RegisterService, SigningKeysRotated};
use vettid_wire::id::{Fingerprint, MemberId, ServiceId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::service_keys::RotateServiceKeys;
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
    /// When all of it was made; absent: with the first key record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
    /// What follows the three signing keys of the registration.
    #[serde(default)]
    signing_keys: Signing,
}

/// The identity could not be made or renewed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFailed {
    /// The key record cannot be made.
    #[error("the key record cannot be made")]
    Record(#[from] KeyRecordError),
    /// An NKey cannot be used.
    #[error(transparent)]
    Nkey(#[from] InvalidKey),
    /// What services are to be told cannot be signed.
    #[error("the new signing keys cannot be announced")]
    Announce(#[from] SignatureError),
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
            made_at: Some(now),
            signing_keys: Signing::default(),
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
        self.signing_keys
            .current()
            .map_or_else(|| AccountKey::from_secret(self.vault_signing.duplicate()), SigningKeys::vault)
    }

    /// Signs the users of connected members.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn connection_signing(&self) -> Result<AccountKey, InvalidKey> {
        self.signing_keys
            .current()
            .map_or_else(|| AccountKey::from_secret(self.connection_signing.duplicate()), SigningKeys::connection)
    }

    /// Signs the holders of invitations.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn claim_signing(&self) -> Result<AccountKey, InvalidKey> {
        self.signing_keys
            .current()
            .map_or_else(|| AccountKey::from_secret(self.claim_signing.duplicate()), SigningKeys::claim)
    }

    /// To which members seal the first message of a connection.
    #[must_use]
    pub(crate) fn sealing(&self) -> KemPublicKey {
        self.kem.public_key()
    }

    /// When the keys were made; of a state that does not tell, when its key record was.
    #[must_use]
    pub(crate) fn made_at(&self) -> Timestamp {
        self.made_at.unwrap_or(self.key_record.record().issued_at)
    }

    /// When the keys that sign now were made, and when others take their place.
    #[must_use]
    pub(crate) fn signing_life(&self) -> (Timestamp, Timestamp) {
        let since = self.signing_keys.since(self.made_at());
        (since, since.plus_ms(LIFE_MS))
    }

    /// Since when the keys sign that sign now; `None`: from the beginning.
    #[must_use]
    pub(crate) fn signing_from(&self) -> Option<Timestamp> {
        self.signing_keys.from()
    }

    /// What is due about the signing keys.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn signing_due(&self, now: Timestamp) -> Result<Due, InvalidKey> {
        self.signing_keys.due(self.made_at(), now)
    }

    /// See [`Signing::make`].
    pub(crate) fn make_successors(&mut self, keeps_former: bool, now: Timestamp, rng: &mut dyn CryptoRng) -> Timestamp {
        self.signing_keys.make(keeps_former, now, rng)
    }

    /// See [`Signing::renew`].
    pub(crate) fn renew_successors(&mut self, now: Timestamp, rng: &mut dyn CryptoRng) {
        self.signing_keys.renew(now, rng);
    }

    /// See [`Signing::succeed`].
    pub(crate) fn succeed(&mut self, confirmed: SigningKeysRotated, now: Timestamp) -> bool {
        self.signing_keys.succeed(confirmed, now)
    }

    /// What services are to be told of keys that wait, signed by the account.
    ///
    /// # Errors
    /// See [`IdentityFailed`].
    pub(crate) fn announced(&self, service_id: ServiceId) -> Result<Option<RotateServiceKeys>, IdentityFailed> {
        let Some(Announced { since, keys, keeps_former }) = self.signing_keys.announced()? else {
            return Ok(None);
        };
        let (guid, signature) = (self.guid, Base64::default());
        let request = RotateServiceKeys { service_id, guid, since, keys, keeps_former, signature };
        Ok(Some(service_keys::sign(&self.account()?, request)?))
    }

    /// The public halves, for the operator's services: those of the beginning, whatever signs by now.
    ///
    /// # Errors
    /// [`InvalidKey`] if the stored bytes make no key.
    pub(crate) fn registration(&self, service_id: ServiceId) -> Result<RegisterService, InvalidKey> {
        let text = |key: AccountKey| key.public().to_string();
        let first = |key: &Secret32| AccountKey::from_secret(key.duplicate()).map(text);
        Ok(RegisterService {
            service_id,
            guid: self.guid,
            account_nkey: text(self.account()?),
            vault_signing_nkey: first(&self.vault_signing)?,
            connection_signing_nkey: first(&self.connection_signing)?,
            claim_signing_nkey: first(&self.claim_signing)?,
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
