//! The app's identity (AK of spec 2.1) and its signed key record. The private half never leaves the app.

use serde::{Deserialize, Serialize};
use vettid_core::handshake::Party;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, KeyRecordError, VerifiedKeyRecord};
use vettid_crypto::stored;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite};
use vettid_wire::id::MemberId;
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

/// Life of a key record, in milliseconds (one year). A new one is made when half of it is over.
const RECORD_LIFE_MS: i64 = 365 * 24 * 3600 * 1000;

/// The app's own keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppIdentity {
    #[serde(with = "stored")]
    signing: SigningKey,
    #[serde(with = "stored")]
    kem: KemSecretKey,
    key_record: VerifiedKeyRecord,
    /// When the keys were made; absent: with the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
}

/// The app's own keys cannot be made or certified.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFailure {
    /// The record would not be taken by others.
    #[error("the app's key record cannot be made: {0}")]
    Record(#[from] KeyRecordError),
    /// No key.
    #[error("the app's keys cannot be made: {0}")]
    Key(#[from] vettid_crypto::suite::SuiteError),
}

impl AppIdentity {
    /// Fresh keys for an app of this member.
    pub(crate) fn new(
        guid: MemberId,
        now: Timestamp,
        rng: &mut dyn rand_core::CryptoRng,
    ) -> Result<Self, IdentityFailure> {
        Self::with_key(SigningKey::random(rng), guid, now, rng)
    }

    /// The same with a key by which services know the app already.
    pub(crate) fn with_key(
        signing: SigningKey,
        guid: MemberId,
        now: Timestamp,
        rng: &mut dyn rand_core::CryptoRng,
    ) -> Result<Self, IdentityFailure> {
        let kem = KemSecretKey::generate(Suite::X25519, rng)?;
        let key_record = record(guid, &signing, &kem, now, None)?;
        Ok(Self { signing, kem, key_record, made_at: Some(now) })
    }

    /// AK.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// To which others seal for the app outside of sessions.
    pub(crate) fn sealing(&self) -> KemPublicKey {
        self.kem.public_key()
    }

    /// When the keys were made, as far as that is recorded.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        let record = self.key_record.record();
        self.made_at.or_else(|| (record.sequence == 1).then_some(record.issued_at))
    }

    /// This side of a handshake.
    pub(crate) fn party(&self) -> Party<'_> {
        Party { key_record: &self.key_record, signing: &self.signing }
    }

    /// Makes the next key record once the present one is half gone; `true` if it did.
    pub(crate) fn refresh(&mut self, now: Timestamp) -> Result<bool, IdentityFailure> {
        let present = self.key_record.record();
        if now.since_ms(present.issued_at) < RECORD_LIFE_MS / 2 {
            return Ok(false);
        }
        self.key_record = record(present.guid, &self.signing, &self.kem, now, Some(&self.key_record))?;
        Ok(true)
    }
}

fn record(
    guid: MemberId,
    signing: &SigningKey,
    kem: &KemSecretKey,
    now: Timestamp,
    before: Option<&VerifiedKeyRecord>,
) -> Result<VerifiedKeyRecord, IdentityFailure> {
    let expires_at = now.plus_ms(RECORD_LIFE_MS);
    let draft = Draft {
        role: KeyRole::App,
        guid,
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&kem.public_key(), now, expires_at)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at,
    };
    Ok(key_record::build(draft, signing, before)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_record_is_renewed_when_it_is_half_gone() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let mut identity =
            AppIdentity::new(MemberId::from_bytes([1; 16]), now, &mut SystemRandom::new().unwrap()).unwrap();
        let fingerprint = identity.key_record.fingerprint();
        assert!(!identity.refresh(now.plus_ms(RECORD_LIFE_MS / 2 - 1)).unwrap());
        assert!(identity.refresh(now.plus_ms(RECORD_LIFE_MS / 2)).unwrap());
        assert_eq!((identity.key_record.record().sequence, identity.key_record.fingerprint()), (2, fingerprint));
    }
}
