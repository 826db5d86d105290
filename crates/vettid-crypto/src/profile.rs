//! Signed profiles (spec 2.5.3): made by the signing key of the key record that they carry.

use vettid_wire::id::Fingerprint;
use vettid_wire::key_record::KeyRecord;
use vettid_wire::profile::{MAX_LIFE_MS, SignedProfile};
use vettid_wire::time::Timestamp;

use crate::key_record::{self, KeyRecordError, MAX_SKEW_MS, VerifiedKeyRecord};
use crate::signature::{self, Context, SignatureError, Verified};

/// The only form.
const VERSION: &str = "1.0";

/// Why a profile is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Another form, or a life of more than 30 days.
    #[error("not a profile of this version")]
    Form,
    /// The key record inside is not valid.
    #[error("the key record of the profile is not valid")]
    KeyRecord(#[from] KeyRecordError),
    /// Profile and key record belong to different parties.
    #[error("the profile belongs to another party than its key record")]
    OtherParty,
    /// Not signed by the signing key of its key record.
    #[error("the profile is not signed by its party")]
    Signature(#[from] SignatureError),
    /// Past `valid_until`: what is known stays, but is stale and gives no new authority.
    #[error("the profile is stale")]
    Stale,
}

/// A profile that was checked, with its checked key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedProfile {
    profile: Verified<SignedProfile>,
    key_record: VerifiedKeyRecord,
}

impl VerifiedProfile {
    /// The profile.
    #[must_use]
    pub fn get(&self) -> &SignedProfile {
        self.profile.get()
    }

    /// The keys of its party.
    #[must_use]
    pub fn key_record(&self) -> &VerifiedKeyRecord {
        &self.key_record
    }

    /// The fingerprint of its party.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.key_record.fingerprint()
    }

    /// Whether the keys inside are those that are known, or their next ones.
    #[must_use]
    pub fn follows(&self, known: &KeyRecord) -> bool {
        if self.key_record.record() == known {
            return true;
        }
        let known = key_record::reload(known.clone());
        known.is_ok_and(|known| known.accept(self.key_record.clone()).is_ok())
    }

    /// Whether this one replaces the one that is known: same party, higher sequence.
    #[must_use]
    pub fn replaces(&self, known: &SignedProfile) -> bool {
        let profile = self.get();
        profile.guid == known.guid && profile.public_key == known.public_key && profile.sequence > known.sequence
    }
}

/// Checks a profile: form, key record, signature, time.
///
/// # Errors
/// [`ProfileError`].
pub fn verify(profile: SignedProfile, now: Timestamp) -> Result<VerifiedProfile, ProfileError> {
    let life_ms = profile.valid_until.since_ms(profile.updated_at);
    if profile.profile_version != VERSION || !(0..=MAX_LIFE_MS).contains(&life_ms) {
        return Err(ProfileError::Form);
    }
    let key_record = key_record::verify(profile.key_record.clone(), now)?;
    let record = key_record.record();
    if profile.public_key != record.identity_key || profile.guid != record.guid {
        return Err(ProfileError::OtherParty);
    }
    let profile = signature::check(Context::Profile, key_record.signing(), profile)?;
    let (updated_at, valid_until) = (profile.get().updated_at, profile.get().valid_until);
    if now > valid_until || updated_at > now.plus_ms(MAX_SKEW_MS) {
        return Err(ProfileError::Stale);
    }
    Ok(VerifiedProfile { profile, key_record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SigningKey;
    use crate::key_record::{Draft, kem_key};
    use crate::secret::Secret32;
    use crate::suite::{KemPublicKey, Suite, x25519};
    use vettid_wire::base64::Base64;
    use vettid_wire::id::MemberId;
    use vettid_wire::key_record::KeyRole;
    use vettid_wire::profile::PublicProfile;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    fn at(days: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(days * DAY_MS)
    }

    fn unsigned() -> SignedProfile {
        let kem = KemPublicKey::X25519(x25519::SecretKey::from_secret(Secret32::from_bytes([1; 32])).public_key());
        let draft = Draft {
            role: KeyRole::Vault,
            guid: MemberId::from_bytes([1; 16]),
            signing_key: key(2).verifying_key(),
            device_key: None,
            kem_keys: vec![kem_key(&kem, at(0), at(400))],
            suites: vec![Suite::X25519],
            issued_at: at(0),
            expires_at: at(400),
        };
        let record = key_record::build(draft, &key(1), None).unwrap();
        SignedProfile {
            profile_version: VERSION.to_owned(),
            guid: MemberId::from_bytes([1; 16]),
            public_key: key(1).verifying_key().typed(),
            key_record: record.record().clone(),
            restore_key: None,
            public: PublicProfile { first_name: "Alice".to_owned(), ..PublicProfile::default() },
            service: None,
            event_types: vec![],
            items: std::collections::BTreeMap::new(),
            supported: vec![],
            sequence: 4,
            updated_at: at(0),
            valid_until: at(30),
            key_id: key(2).key_id(),
            signature: Base64::default(),
        }
    }

    fn signed(change: impl FnOnce(&mut SignedProfile)) -> SignedProfile {
        let mut profile = unsigned();
        change(&mut profile);
        profile.signature = signature::sign(Context::Profile, &key(2), &profile).unwrap();
        profile
    }

    #[test]
    fn a_signed_profile_is_taken_until_it_is_stale() {
        let profile = signed(|_| ());
        let verified = verify(profile.clone(), at(29)).unwrap();
        assert_eq!(verified.fingerprint(), key(1).verifying_key().fingerprint());
        assert!(matches!(verify(profile.clone(), at(31)), Err(ProfileError::Stale)));
        assert!(verified.replaces(&signed(|p| p.sequence = 3)));
        assert!(!verified.replaces(&profile));
    }

    #[test]
    fn changed_and_foreign_profiles_are_refused() {
        let mut changed = signed(|_| ());
        changed.public.first_name = "Mallory".to_owned();
        assert!(matches!(verify(changed, at(1)), Err(ProfileError::Signature(_))));
        let foreign = signed(|p| p.guid = MemberId::from_bytes([9; 16]));
        assert!(matches!(verify(foreign, at(1)), Err(ProfileError::OtherParty)));
        let foreign = signed(|p| p.public_key = key(9).verifying_key().typed());
        assert!(matches!(verify(foreign, at(1)), Err(ProfileError::OtherParty)));
        let long = signed(|p| p.valid_until = at(31));
        assert!(matches!(verify(long, at(1)), Err(ProfileError::Form)));
        let other = signed(|p| p.key_record.sequence = 9);
        assert!(matches!(verify(other, at(1)), Err(ProfileError::KeyRecord(_))));
    }
}
