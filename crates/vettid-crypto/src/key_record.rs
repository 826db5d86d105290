//! Key records (spec 2.1): which keys a party uses now, signed by its identity key.
//!
//! A record that was not verified is another type than one that was; signing and KEM keys come from verified ones only.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vettid_wire::base64::Base64;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::key_record::{KIND, KemKey, KeyRecord, KeyRole, MAX_KEM_KEYS, VERSION};
use vettid_wire::time::Timestamp;

use crate::identity::{DeviceKey, IdentityError, SigningKey, VerifyingKey, key_id_of};
use crate::kdf;
use crate::signature::{self, Context, SignatureError};
use crate::suite::{KemPublicKey, Suite};

/// A record may be dated this much ahead of the own clock, in milliseconds.
pub const MAX_SKEW_MS: i64 = 120 * 1000;

/// Why a key record is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyRecordError {
    /// Another type or version, no KEM key or suite, or times in the wrong order.
    #[error("not a key record of this version")]
    Form,
    /// A key that is not what it should be, or a key id that does not fit its key.
    #[error("a key of the record is not valid")]
    Key,
    /// Not signed by the identity key.
    #[error("the record is not signed by its identity key")]
    Signature(#[from] SignatureError),
    /// Expired, or from the future.
    #[error("the record is not valid at this time")]
    Time,
    /// Not the next record of the same party: another identity, an older sequence, a gap, or a weaker suite.
    #[error("the record does not follow the one before")]
    Successor,
}

impl From<IdentityError> for KeyRecordError {
    fn from(_: IdentityError) -> Self {
        Self::Key
    }
}

/// What a party says about its keys, before it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whose keys these are.
    pub role: KeyRole,
    /// Whose.
    pub guid: MemberId,
    /// The signing key; the identity key itself before a credential exists.
    pub signing_key: VerifyingKey,
    /// The device, for apps.
    pub device_key: Option<TypedKey>,
    /// Keys for sealing to this party.
    pub kem_keys: Vec<KemKey>,
    /// Suites that this party takes.
    pub suites: Vec<Suite>,
    /// When it is made.
    pub issued_at: Timestamp,
    /// Not to be used after.
    pub expires_at: Timestamp,
}

/// A key with its id and life, for a record.
#[must_use]
pub fn kem_key(key: &KemPublicKey, not_before: Timestamp, not_after: Timestamp) -> KemKey {
    KemKey { key_id: key.key_id(), key: key.typed(), not_before, not_after }
}

/// Makes the record that follows `before`, or the first one.
///
/// # Errors
/// [`KeyRecordError`], if the draft would not be taken by others.
pub fn build(
    draft: Draft,
    identity: &SigningKey,
    before: Option<&VerifiedKeyRecord>,
) -> Result<VerifiedKeyRecord, KeyRecordError> {
    let mut record = KeyRecord {
        kind: KIND.to_owned(),
        version: VERSION,
        role: draft.role,
        guid: draft.guid,
        identity_key: identity.verifying_key().typed(),
        signing_key: draft.signing_key.typed(),
        device_key: draft.device_key,
        kem_keys: draft.kem_keys,
        suites: draft.suites.into_iter().map(|suite| suite.name().to_owned()).collect(),
        sequence: before.map_or(1, |before| before.record.sequence.saturating_add(1)),
        prev: Base64::new(before.map_or(Ok([0; 32]), VerifiedKeyRecord::digest)?),
        issued_at: draft.issued_at,
        expires_at: draft.expires_at,
        key_id: identity.key_id(),
        signature: Base64::default(),
    };
    record.signature = signature::sign(Context::KeyRecord, identity, &record)?;
    let verified = verify(record, draft.issued_at)?;
    match before {
        Some(before) => before.accept(verified),
        None => Ok(verified),
    }
}

/// Checks a record by itself: form, keys, signature, time.
///
/// # Errors
/// [`KeyRecordError`].
pub fn verify(record: KeyRecord, now: Timestamp) -> Result<VerifiedKeyRecord, KeyRecordError> {
    let verified = reload(record)?;
    let (issued_at, expires_at) = (verified.record.issued_at, verified.record.expires_at);
    if now > expires_at || issued_at > now.plus_ms(MAX_SKEW_MS) {
        return Err(KeyRecordError::Time);
    }
    Ok(verified)
}

/// The same for a record from one's own store, which may have expired since.
///
/// # Errors
/// [`KeyRecordError`].
pub fn reload(record: KeyRecord) -> Result<VerifiedKeyRecord, KeyRecordError> {
    let in_form = record.kind == KIND
        && record.version == VERSION
        && record.sequence > 0
        && record.prev.as_bytes().len() == 32
        && (1..=MAX_KEM_KEYS).contains(&record.kem_keys.len())
        && !record.suites.is_empty()
        && record.issued_at < record.expires_at;
    if !in_form {
        return Err(KeyRecordError::Form);
    }
    let identity = VerifyingKey::from_typed(&record.identity_key)?;
    let signing = VerifyingKey::from_typed(&record.signing_key)?;
    let device = record.device_key.as_ref().map(DeviceKey::from_typed).transpose()?;
    if record.kem_keys.iter().any(|kem| kem.key_id != key_id_of(&kem.key)) {
        return Err(KeyRecordError::Key);
    }
    signature::verify(Context::KeyRecord, &identity, &record)?;
    Ok(VerifiedKeyRecord { record, identity, signing, device })
}

/// A key record whose signature, form and time were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedKeyRecord {
    record: KeyRecord,
    identity: VerifyingKey,
    signing: VerifyingKey,
    device: Option<DeviceKey>,
}

impl Serialize for VerifiedKeyRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VerifiedKeyRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        reload(KeyRecord::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl VerifiedKeyRecord {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The identity key.
    #[must_use]
    pub fn identity(&self) -> &VerifyingKey {
        &self.identity
    }

    /// The signing key.
    #[must_use]
    pub fn signing(&self) -> &VerifyingKey {
        &self.signing
    }

    /// The device key, for apps.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceKey> {
        self.device.as_ref()
    }

    /// The fingerprint of the identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The KEM key of a suite that is valid now; of several, the one that lasts longest.
    #[must_use]
    pub fn kem_key(&self, suite: Suite, now: Timestamp) -> Option<KemPublicKey> {
        let valid = self.record.kem_keys.iter().filter(|kem| kem.not_before <= now && now <= kem.not_after);
        let of_suite = valid.filter_map(|kem| Some((kem.not_after, KemPublicKey::from_typed(&kem.key).ok()?)));
        of_suite.filter(|(_, key)| key.suite() == suite).max_by_key(|(not_after, _)| *not_after).map(|(_, key)| key)
    }

    /// The lowest suite of this build that the party takes; `None` if it takes none.
    #[must_use]
    pub fn lowest_suite(&self) -> Option<Suite> {
        self.record.suites.iter().filter_map(|name| Suite::from_name(name).ok()).min()
    }

    /// `H256(JCS(record))`: the `prev` of the next record.
    ///
    /// # Errors
    /// [`KeyRecordError::Signature`] if the record cannot be written.
    pub fn digest(&self) -> Result<[u8; 32], KeyRecordError> {
        Ok(kdf::h256(&json::canonical(&self.record).map_err(SignatureError::NotSignable)?))
    }

    /// Takes the next record of the same party: the sequence rises, `prev` names this record, and the lowest suite can
    /// only rise.
    ///
    /// # Errors
    /// [`KeyRecordError::Successor`].
    pub fn accept(&self, next: VerifiedKeyRecord) -> Result<VerifiedKeyRecord, KeyRecordError> {
        let same_party = next.identity == self.identity
            && next.record.guid == self.record.guid
            && next.record.role == self.record.role;
        let follows = next.record.sequence > self.record.sequence && next.record.prev.as_bytes() == self.digest()?;
        if same_party && follows && next.lowest_suite() >= self.lowest_suite() {
            Ok(next)
        } else {
            Err(KeyRecordError::Successor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;
    use crate::suite::x25519;
    use vettid_wire::key::KeyAlgorithm;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(hours * 3_600_000)
    }

    fn public(seed: u8) -> KemPublicKey {
        KemPublicKey::X25519(x25519::SecretKey::from_secret(Secret32::from_bytes([seed; 32])).public_key())
    }

    fn draft() -> Draft {
        Draft {
            role: KeyRole::Vault,
            guid: MemberId::from_bytes([1; 16]),
            signing_key: key(2).verifying_key(),
            device_key: None,
            kem_keys: vec![kem_key(&public(1), at(0), at(10)), kem_key(&public(2), at(5), at(20))],
            suites: vec![Suite::X25519],
            issued_at: at(0),
            expires_at: at(100),
        }
    }

    #[test]
    fn a_record_gives_its_keys_while_it_is_valid() {
        let record = build(draft(), &key(1), None).unwrap();
        assert_eq!(record.identity(), &key(1).verifying_key());
        assert_eq!(record.signing(), &key(2).verifying_key());
        assert_eq!(record.kem_key(Suite::X25519, at(1)), Some(public(1)));
        assert_eq!(record.kem_key(Suite::X25519, at(7)), Some(public(2)));
        assert_eq!(record.kem_key(Suite::X25519, at(30)), None);
        assert_eq!(record.kem_key(Suite::Rsa4096, at(1)), None);
        let received: KeyRecord = json::read(&json::canonical(record.record()).unwrap()).unwrap();
        assert_eq!(verify(received.clone(), at(50)).unwrap(), record);
        assert!(matches!(verify(received.clone(), at(101)), Err(KeyRecordError::Time)));
        assert!(matches!(verify(received, at(-1)), Err(KeyRecordError::Time)));
    }

    #[test]
    fn every_change_is_refused() {
        let record = build(draft(), &key(1), None).unwrap().record().clone();
        let refused = |change: &dyn Fn(&mut KeyRecord)| {
            let mut changed = record.clone();
            change(&mut changed);
            assert!(verify(changed.clone(), at(1)).is_err(), "{changed:?}");
        };
        refused(&|r| r.kind = "other".to_owned());
        refused(&|r| r.version = 2);
        refused(&|r| r.role = KeyRole::App);
        refused(&|r| r.guid = MemberId::from_bytes([2; 16]));
        refused(&|r| r.identity_key = key(9).verifying_key().typed());
        refused(&|r| r.signing_key = key(9).verifying_key().typed());
        refused(&|r| r.device_key = Some(TypedKey::new(KeyAlgorithm::P256, [4; 65]).unwrap()));
        refused(&|r| r.kem_keys.truncate(1));
        refused(&|r| r.kem_keys.clear());
        refused(&|r| r.kem_keys[0].key = public(9).typed());
        refused(&|r| r.kem_keys[0].key_id = public(9).key_id());
        refused(&|r| r.kem_keys[0] = kem_key(&public(9), at(0), at(10)));
        refused(&|r| r.suites.push(Suite::XWing.name().to_owned()));
        refused(&|r| r.suites.clear());
        refused(&|r| r.sequence = 2);
        refused(&|r| r.prev = Base64::new([1; 32]));
        refused(&|r| r.prev = Base64::default());
        refused(&|r| r.issued_at = at(-1));
        refused(&|r| r.expires_at = at(101));
        refused(&|r| r.key_id = key(2).key_id());
        refused(&|r| r.signature = Base64::new([0; 64]));
    }

    /// The party itself signs what others must not take.
    #[test]
    fn a_signature_does_not_make_a_wrong_form_right() {
        let record = build(draft(), &key(1), None).unwrap().record().clone();
        let resigned = |change: &dyn Fn(&mut KeyRecord)| {
            let mut changed = record.clone();
            change(&mut changed);
            changed.signature = signature::sign(Context::KeyRecord, &key(1), &changed).unwrap();
            verify(changed, at(1))
        };
        assert!(resigned(&|r| r.expires_at = at(99)).is_ok());
        let wrong_forms: [&dyn Fn(&mut KeyRecord); 9] = [
            &|r| r.kind = "other".to_owned(),
            &|r| r.version = 2,
            &|r| r.kem_keys.clear(),
            &|r| r.kem_keys = vec![r.kem_keys[0].clone(); MAX_KEM_KEYS + 1],
            &|r| r.suites.clear(),
            &|r| r.sequence = 0,
            &|r| r.prev = Base64::default(),
            &|r| r.expires_at = r.issued_at,
            &|r| r.issued_at = at(200),
        ];
        for change in wrong_forms {
            assert!(matches!(resigned(change), Err(KeyRecordError::Form)));
        }
        assert!(matches!(resigned(&|r| r.kem_keys[0].key_id = public(9).key_id()), Err(KeyRecordError::Key)));
        assert!(matches!(resigned(&|r| r.signing_key = public(9).typed()), Err(KeyRecordError::Key)));
        assert!(matches!(resigned(&|r| r.device_key = Some(public(9).typed())), Err(KeyRecordError::Key)));
    }

    #[test]
    fn another_key_cannot_sign_for_the_identity() {
        let mut record = build(draft(), &key(1), None).unwrap().record().clone();
        record.key_id = key(2).key_id();
        record.signature = signature::sign(Context::KeyRecord, &key(2), &record).unwrap();
        assert!(matches!(verify(record, at(1)), Err(KeyRecordError::Signature(_))));
    }

    #[test]
    fn records_follow_each_other_without_gap_or_return() {
        let first = build(draft(), &key(1), None).unwrap();
        let second = build(Draft { signing_key: key(3).verifying_key(), ..draft() }, &key(1), Some(&first)).unwrap();
        let third = build(draft(), &key(1), Some(&second)).unwrap();
        assert_eq!(third.record().sequence, 3);
        assert!(matches!(first.accept(third.clone()), Err(KeyRecordError::Successor)));
        assert!(matches!(third.accept(first.clone()), Err(KeyRecordError::Successor)));
        assert!(matches!(first.accept(first.clone()), Err(KeyRecordError::Successor)));
        let stranger = build(draft(), &key(9), None).unwrap();
        assert!(build(draft(), &key(9), Some(&first)).is_err());
        assert!(stranger.accept(second).is_err());
    }

    #[test]
    fn the_lowest_suite_can_only_rise() {
        let first = build(Draft { suites: vec![Suite::Rsa4096], ..draft() }, &key(1), None).unwrap();
        let weaker = build(Draft { suites: vec![Suite::X25519, Suite::Rsa4096], ..draft() }, &key(1), Some(&first));
        assert!(matches!(weaker, Err(KeyRecordError::Successor)));
        assert!(build(Draft { suites: vec![Suite::Rsa4096], ..draft() }, &key(1), Some(&first)).is_ok());
    }
}
