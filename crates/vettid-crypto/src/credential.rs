//! The Protean credential blob: an outer layer for its issuer and an inner layer for the member (spec 2.6).
//!
//! The two keys are two types: [`CredentialKey`] opens the outer layer only, [`InnerKey`] the inner one only. Formats
//! only; when a credential is accepted, rotated or refused is decided elsewhere.

use std::fmt;

use rand_core::CryptoRng;
use vettid_wire::credential::{BODY_FORMAT_VERSION, CredentialBody};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, KeyId, MemberId};
use vettid_wire::json;
use zeroize::Zeroizing;

use crate::aead;
use crate::committed::{Padding, Schedule, Undecryptable};
use crate::kdf::{self, Lp};
use crate::password::InnerKey;
use crate::secret::SecretBytes;
use crate::stored::{InvalidStored, Stored};
use crate::suite::{KemSecretKey, StoredKemKey, Suite, SuiteError};

const OUTER_LABEL: &str = "vettid-cek-v1";
const INNER_LABEL: &str = "vettid-cred-inner-v1";
/// Longest outer plaintext, in bytes, so that a request that carries the blob stays below the cap of an event.
pub const MAX_BODY_BYTES: usize = 40 * 1024 - 1;

/// What an outer layer is bound to. A blob of another member, issuer, epoch or version does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OuterPlace {
    /// The member.
    pub guid: MemberId,
    /// The issuer.
    pub issuer: Fingerprint,
    /// Rises with each restore.
    pub credential_epoch: u64,
    /// Number of the credential key.
    pub cek_version: u64,
}

impl OuterPlace {
    fn of(body: &CredentialBody) -> Self {
        Self {
            guid: body.guid,
            issuer: Fingerprint::from_bytes(*body.issuer.as_bytes()),
            credential_epoch: body.credential_epoch,
            cek_version: body.cek_version,
        }
    }

    fn header(&self, suite: Suite, key_id: &KeyId, enc: &[u8]) -> Vec<u8> {
        Lp::labelled(OUTER_LABEL)
            .u16(suite.id())
            .lp_str(key_id.as_str())
            .lp(enc)
            .lp_str(&self.guid.to_string())
            .lp(self.issuer.as_bytes())
            .u64(self.credential_epoch)
            .u64(self.cek_version)
            .finish()
    }
}

/// The sealed outer layer, in the two fields of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// `commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`.
    pub encrypted_blob: Vec<u8>,
    /// The encapsulation.
    pub ephemeral_public_key: Vec<u8>,
}

impl SealedCredential {
    /// `blob_hash`: names these bytes in requests and confirmations.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::from_bytes(kdf::h256(&self.encrypted_blob))
    }
}

/// Why a credential cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealCredentialError {
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("the credential holds more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The body cannot be written in canonical form.
    #[error("the credential cannot be written")]
    Form(#[source] json::JsonError),
    /// The key encapsulation failed.
    #[error("the credential key cannot be used")]
    Key(#[source] SuiteError),
}

/// CEK: the issuer's key of one version of one credential. Used for one sealing and its opening, then wiped.
pub struct CredentialKey(KemSecretKey);

impl CredentialKey {
    /// A fresh key.
    ///
    /// # Errors
    /// Those of [`KemSecretKey::generate`].
    pub fn generate(suite: Suite, rng: &mut dyn CryptoRng) -> Result<Self, SuiteError> {
        KemSecretKey::generate(suite, rng).map(Self)
    }

    /// Makes a credential key of an existing private key.
    #[must_use]
    pub fn from_kem_key(key: KemSecretKey) -> Self {
        Self(key)
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.0.public_key().key_id()
    }

    /// Seals a body; what it is bound to stands in the body itself.
    ///
    /// # Errors
    /// [`SealCredentialError`].
    pub fn seal(
        &self,
        body: &CredentialBody,
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedCredential, SealCredentialError> {
        let plaintext = Zeroizing::new(json::canonical(body).map_err(SealCredentialError::Form)?);
        if plaintext.len() > MAX_BODY_BYTES {
            return Err(SealCredentialError::TooLarge);
        }
        let public = self.0.public_key();
        let (shared, enc) = public.encapsulate(rng).map_err(SealCredentialError::Key)?;
        let header = OuterPlace::of(body).header(public.suite(), &public.key_id(), &enc);
        let schedule = Schedule { label: OUTER_LABEL, header: &header, shared: &shared, psk: &[] };
        let encrypted_blob = schedule.seal(rng, Padding::Bucket, &plaintext);
        Ok(SealedCredential { encrypted_blob, ephemeral_public_key: enc })
    }

    /// Opens a blob that was sealed with this key for exactly this place.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, place: &OuterPlace, sealed: &SealedCredential) -> Result<CredentialBody, Undecryptable> {
        let shared = self.0.decapsulate(&sealed.ephemeral_public_key)?;
        let header = place.header(self.0.suite(), &self.key_id(), &sealed.ephemeral_public_key);
        let schedule = Schedule { label: OUTER_LABEL, header: &header, shared: &shared, psk: &[] };
        let plaintext = schedule.open(Padding::Bucket, &sealed.encrypted_blob)?;
        let body: CredentialBody = json::read(plaintext.expose()).map_err(|_| Undecryptable)?;
        let genuine = OuterPlace::of(&body) == *place && body.format_version == BODY_FORMAT_VERSION;
        if genuine { Ok(body) } else { Err(Undecryptable) }
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CredentialKey")
    }
}

impl Stored for CredentialKey {
    type Form = StoredKemKey;

    fn to_form(&self) -> StoredKemKey {
        self.0.to_form()
    }

    fn from_form(form: StoredKemKey) -> Result<Self, InvalidStored> {
        KemSecretKey::from_form(form).map(Self)
    }
}

/// What an inner layer is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InnerPlace {
    /// The member.
    pub guid: MemberId,
    /// The issuer.
    pub issuer: Fingerprint,
    /// Rises with each new inner layer.
    pub inner_seq: u64,
}

impl InnerPlace {
    /// The inner layer of this body.
    #[must_use]
    pub fn of(body: &CredentialBody) -> Self {
        let OuterPlace { guid, issuer, .. } = OuterPlace::of(body);
        Self { guid, issuer, inner_seq: body.inner_seq }
    }

    fn aad(&self) -> Vec<u8> {
        Lp::labelled(INNER_LABEL).lp_str(&self.guid.to_string()).lp(self.issuer.as_bytes()).u64(self.inner_seq).finish()
    }

    /// Seals the member's secrets: `nonce[24] ‖ ciphertext ‖ tag[16]`.
    #[must_use]
    pub fn seal(&self, key: &InnerKey, secrets: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        aead::seal(key.expose(), rng, &self.aad(), secrets)
    }

    /// Opens the member's secrets. Only what lay inside a genuine outer layer is given to this function: the inner
    /// layer alone does not commit to its key.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, key: &InnerKey, sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
        aead::open(key.expose(), &self.aad(), sealed).map_err(|_| Undecryptable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use crate::secret::Secret32;
    use proptest::prelude::*;
    use vettid_wire::base64::Base64;
    use vettid_wire::credential::{CredentialPolicies, PasswordVerifier, VerifierKind};

    fn body(place: &OuterPlace, secrets: Vec<u8>) -> CredentialBody {
        CredentialBody {
            format_version: BODY_FORMAT_VERSION,
            guid: place.guid,
            issuer: Digest::from_bytes(*place.issuer.as_bytes()),
            cek_version: place.cek_version,
            credential_epoch: place.credential_epoch,
            auth: PasswordVerifier {
                kind: VerifierKind::Password,
                hash: "$argon2id$".to_owned(),
                hash_version: "2".to_owned(),
            },
            policies: CredentialPolicies {
                ttl_minutes: Some(15),
                max_failed_attempts: 10,
                authorized_operations: vec!["retrieve_secret".to_owned()],
            },
            binding: None,
            inner_seq: 1,
            secrets: Base64::new(secrets),
            timestamps: None,
        }
    }

    fn place() -> OuterPlace {
        OuterPlace {
            guid: MemberId::from_bytes([1; 16]),
            issuer: Fingerprint::from_bytes([2; 32]),
            credential_epoch: 3,
            cek_version: 4,
        }
    }

    fn key() -> CredentialKey {
        CredentialKey::generate(Suite::X25519, &mut Scripted::counting()).unwrap()
    }

    #[test]
    fn each_changed_bit_is_refused() {
        let sealed = key().seal(&body(&place(), vec![9]), &mut Scripted::counting()).unwrap();
        assert!(key().open(&place(), &sealed).is_ok());
        // The top bit of an X25519 coordinate is ignored by the curve, not by the header.
        for bit in 0..sealed.ephemeral_public_key.len() * 8 {
            let mut changed = sealed.clone();
            changed.ephemeral_public_key[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open(&place(), &changed).err(), Some(Undecryptable), "enc bit {bit}");
        }
        for bit in 0..sealed.encrypted_blob.len() * 8 {
            let mut changed = sealed.clone();
            changed.encrypted_blob[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open(&place(), &changed).err(), Some(Undecryptable), "blob bit {bit}");
        }
    }

    #[test]
    fn a_blob_opens_at_its_own_place_only() {
        let sealed = key().seal(&body(&place(), vec![]), &mut Scripted::counting()).unwrap();
        let others = [
            OuterPlace { guid: MemberId::from_bytes([9; 16]), ..place() },
            OuterPlace { issuer: Fingerprint::from_bytes([9; 32]), ..place() },
            OuterPlace { credential_epoch: 4, cek_version: 3, ..place() },
            OuterPlace { credential_epoch: 2, ..place() },
            OuterPlace { cek_version: 5, ..place() },
        ];
        for other in others {
            assert_eq!(key().open(&other, &sealed).err(), Some(Undecryptable), "{other:?}");
        }
        let mut rng = Scripted::counting();
        let _ = CredentialKey::generate(Suite::X25519, &mut rng).unwrap();
        let other_key = CredentialKey::generate(Suite::X25519, &mut rng).unwrap();
        assert_eq!(other_key.open(&place(), &sealed).err(), Some(Undecryptable));
        let stored = CredentialKey::from_form(key().to_form()).unwrap();
        assert!(stored.open(&place(), &sealed).is_ok());
    }

    /// Sealed by hand, for a place or in a version that its own body contradicts.
    #[test]
    fn a_body_that_contradicts_its_place_is_refused() {
        let by_hand = |body: &CredentialBody| {
            let public = key().0.public_key();
            let (shared, enc) = public.encapsulate(&mut Scripted::counting()).unwrap();
            let header = place().header(Suite::X25519, &public.key_id(), &enc);
            let schedule = Schedule { label: OUTER_LABEL, header: &header, shared: &shared, psk: &[] };
            let plaintext = json::canonical(body).unwrap();
            let encrypted_blob = schedule.seal(&mut Scripted::counting(), Padding::Bucket, &plaintext);
            SealedCredential { encrypted_blob, ephemeral_public_key: enc }
        };
        let honest = || body(&place(), vec![]);
        assert!(key().open(&place(), &by_hand(&honest())).is_ok());
        let other_version = OuterPlace { cek_version: 5, ..place() };
        let newer = CredentialBody { format_version: 4, ..honest() };
        for wrong in [body(&other_version, vec![]), newer] {
            assert_eq!(key().open(&place(), &by_hand(&wrong)).err(), Some(Undecryptable));
        }
    }

    #[test]
    fn a_body_above_the_cap_is_not_sealed() {
        let result = key().seal(&body(&place(), vec![0; MAX_BODY_BYTES]), &mut Scripted::counting());
        assert!(matches!(result, Err(SealCredentialError::TooLarge)));
    }

    #[test]
    fn debug_shows_the_type_name_only() {
        assert_eq!(format!("{:?}", key()), "CredentialKey");
        assert!(!format!("{:?}", body(&place(), vec![])).contains("argon2id"));
    }

    proptest! {
        #[test]
        fn both_layers_open_to_what_was_sealed(secrets: Vec<u8>, inner: [u8; 32], version in 0_u64..1 << 53, epoch in 0_u64..1 << 53) {
            let place = OuterPlace { cek_version: version, credential_epoch: epoch, ..place() };
            let inner_place = InnerPlace { guid: place.guid, issuer: place.issuer, inner_seq: 1 };
            let inner_key = InnerKey::from_secret(Secret32::from_bytes(inner));
            let inner_layer = inner_place.seal(&inner_key, &secrets, &mut Scripted::counting());
            let sealed = key().seal(&body(&place, inner_layer), &mut Scripted::counting()).unwrap();
            let opened = key().open(&place, &sealed).unwrap();
            prop_assert_eq!(InnerPlace::of(&opened), inner_place);
            let again = inner_place.open(&inner_key, opened.secrets.as_bytes()).unwrap();
            prop_assert_eq!(again.expose(), secrets.as_slice());
            let later = InnerPlace { inner_seq: 2, ..inner_place };
            prop_assert!(later.open(&inner_key, opened.secrets.as_bytes()).is_err());
        }
    }
}
