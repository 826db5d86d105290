//! User transaction keys: single-use keys under which a password proof travels, bound to one request (spec 2.8).
//!
//! The issuer's half is the ledger transaction key. That a key is used once only is kept elsewhere.

use std::fmt;

use rand_core::CryptoRng;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{RequestBinding, TRANSACTION_KEY_ALGORITHM, TransactionKey};
use vettid_wire::digest::Digest;
use vettid_wire::id::{KeyId, MemberId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

use crate::committed::{Padding, Schedule, Undecryptable};
use crate::kdf::{self, Lp};
use crate::password::{InnerKey, PasswordProof};
use crate::secret::Secret32;
use crate::stored::{InvalidStored, SecretText, Stored};
use crate::suite::{Suite, SuiteError, x25519};

const LABEL: &str = "vettid-utk-v1";
const ENC_BYTES: usize = 32;
/// How long a transaction key is offered: 30 days.
pub const LIFE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// What a password proof is for. It opens for nothing else.
#[derive(Debug, Clone, Copy)]
pub struct ProofRequest<'a> {
    /// The member.
    pub guid: MemberId,
    /// The request; also names the transaction key.
    pub binding: &'a RequestBinding,
}

impl ProofRequest<'_> {
    fn header(&self, enc: &[u8; ENC_BYTES]) -> Result<Vec<u8>, JsonError> {
        Ok(Lp::labelled(LABEL)
            .u16(Suite::X25519.id())
            .lp_str(self.binding.key_id.as_str())
            .lp(enc)
            .lp_str(&self.guid.to_string())
            .lp_str(&self.binding.op_id.to_string())
            .lp_str(&self.binding.action)
            .lp(request_hash(self.binding)?.as_bytes())
            .finish())
    }
}

/// Hash of the canonical form of exactly the bound fields.
///
/// # Errors
/// [`JsonError`] if `params` lies outside the profile.
pub fn request_hash(binding: &RequestBinding) -> Result<Digest, JsonError> {
    Ok(Digest::from_bytes(kdf::h256(&json::canonical(binding)?)))
}

/// What the app hands to the issuer under a transaction key.
#[derive(Debug)]
pub struct PasswordPayload {
    /// Proves the password.
    pub proof: PasswordProof,
    /// Opens the inner layer; only for the member's own vault and an operation that needs a secret.
    pub inner: Option<InnerKey>,
}

impl PasswordPayload {
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(self.proof.expose());
        if let Some(inner) = &self.inner {
            bytes.extend_from_slice(inner.expose());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (proof, inner) = bytes.split_at_checked(32)?;
        let inner = if inner.is_empty() { None } else { Some(InnerKey::from_secret(Secret32::from_slice(inner)?)) };
        Some(Self { proof: PasswordProof::from_secret(Secret32::from_slice(proof)?), inner })
    }
}

/// Why a payload cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealPayloadError {
    /// Not an X25519 transaction key, or the request names another one.
    #[error("the transaction key does not fit the request")]
    WrongKey,
    /// The key agreement failed.
    #[error("the transaction key cannot be used")]
    Key(#[source] SuiteError),
    /// The request cannot be written in canonical form.
    #[error("the request cannot be written")]
    Form(#[source] JsonError),
}

/// The app's side: `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`, 136 bytes or 168 with the inner key.
///
/// # Errors
/// [`SealPayloadError`].
pub fn seal(
    key: &TransactionKey,
    request: &ProofRequest<'_>,
    payload: &PasswordPayload,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SealPayloadError> {
    if key.algorithm != TRANSACTION_KEY_ALGORITHM || key.key_id != request.binding.key_id {
        return Err(SealPayloadError::WrongKey);
    }
    let public = x25519::PublicKey::from_slice(key.public_key.as_bytes()).map_err(SealPayloadError::Key)?;
    let (shared, enc) = public.encapsulate(rng).map_err(SealPayloadError::Key)?;
    let header = request.header(&enc).map_err(SealPayloadError::Form)?;
    let schedule = Schedule { label: LABEL, header: &header, shared: &shared, psk: &[] };
    let mut sealed = enc.to_vec();
    sealed.append(&mut schedule.seal(rng, Padding::None, &payload.bytes()));
    Ok(sealed)
}

/// LTK: the issuer's half of one transaction key.
pub struct LedgerTransactionKey {
    key_id: KeyId,
    secret: x25519::SecretKey,
    created_at: Timestamp,
}

impl LedgerTransactionKey {
    /// A fresh key pair with a random name.
    #[must_use]
    pub fn generate(now: Timestamp, rng: &mut dyn CryptoRng) -> Self {
        let mut name = [0; 16];
        rng.fill_bytes(&mut name);
        let Ok(key_id) = format!("tk_{}", hex::encode(name)).parse() else {
            unreachable!("32 hex digits after tk_ are a key id");
        };
        Self { key_id, secret: x25519::SecretKey::random(rng), created_at: now }
    }

    /// A known key pair.
    #[must_use]
    pub fn from_parts(key_id: KeyId, secret: x25519::SecretKey, created_at: Timestamp) -> Self {
        Self { key_id, secret, created_at }
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Not usable from then on.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.plus_ms(LIFE_MS)
    }

    /// UTK: the half for the app; delivered inside an authenticated session only.
    #[must_use]
    pub fn transaction_key(&self) -> TransactionKey {
        TransactionKey {
            key_id: self.key_id.clone(),
            public_key: Base64::new(*self.secret.public_key().as_bytes()),
            algorithm: TRANSACTION_KEY_ALGORITHM.to_owned(),
            created_at: self.created_at,
            expires_at: self.expires_at(),
        }
    }

    /// The issuer's side: opens a payload that was sealed under this key for exactly this request.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, request: &ProofRequest<'_>, sealed: &[u8]) -> Result<PasswordPayload, Undecryptable> {
        if request.binding.key_id != self.key_id {
            return Err(Undecryptable);
        }
        let (enc, boxed) = sealed.split_first_chunk::<ENC_BYTES>().ok_or(Undecryptable)?;
        let shared = self.secret.decapsulate(enc)?;
        let header = request.header(enc).map_err(|_| Undecryptable)?;
        let schedule = Schedule { label: LABEL, header: &header, shared: &shared, psk: &[] };
        let payload = schedule.open(Padding::None, boxed)?;
        PasswordPayload::parse(payload.expose()).ok_or(Undecryptable)
    }
}

impl fmt::Debug for LedgerTransactionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LedgerTransactionKey")
    }
}

/// `{key_id, secret, created_at}`.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTransactionKey {
    key_id: KeyId,
    secret: SecretText,
    created_at: Timestamp,
}

impl Stored for LedgerTransactionKey {
    type Form = StoredTransactionKey;

    fn to_form(&self) -> StoredTransactionKey {
        StoredTransactionKey { key_id: self.key_id.clone(), secret: self.secret.to_form(), created_at: self.created_at }
    }

    fn from_form(form: StoredTransactionKey) -> Result<Self, InvalidStored> {
        Ok(Self { key_id: form.key_id, secret: Stored::from_form(form.secret)?, created_at: form.created_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;
    use serde_json::json;
    use vettid_wire::credential::{LatId, LatReference};
    use vettid_wire::id::OperationId;

    fn ledger_key() -> LedgerTransactionKey {
        LedgerTransactionKey::generate(Timestamp::from_unix_ms(0), &mut Scripted::counting())
    }

    fn binding() -> RequestBinding {
        RequestBinding {
            op_id: OperationId::from_bytes([1; 16]),
            action: "retrieve_secret".to_owned(),
            params: json!({ "secret_name": "ssh" }),
            cek_version: 42,
            blob_hash: Digest::from_bytes([2; 32]),
            key_id: ledger_key().key_id().clone(),
            lat: LatReference { lat_id: LatId::from_random([3; 16]), version: 42 },
        }
    }

    fn guid() -> MemberId {
        MemberId::from_bytes([4; 16])
    }

    fn payload(proof: [u8; 32], inner: Option<[u8; 32]>) -> PasswordPayload {
        PasswordPayload {
            proof: PasswordProof::from_secret(Secret32::from_bytes(proof)),
            inner: inner.map(|inner| InnerKey::from_secret(Secret32::from_bytes(inner))),
        }
    }

    fn sealed(inner: Option<[u8; 32]>) -> Vec<u8> {
        let binding = binding();
        let request = ProofRequest { guid: guid(), binding: &binding };
        seal(&ledger_key().transaction_key(), &request, &payload([5; 32], inner), &mut Scripted::counting()).unwrap()
    }

    #[test]
    fn a_payload_has_one_of_two_sizes() {
        assert_eq!([sealed(None).len(), sealed(Some([6; 32])).len()], [136, 168]);
        for length in (0..=96).filter(|length| ![32, 64].contains(length)) {
            assert!(PasswordPayload::parse(&vec![0; length]).is_none(), "{length}");
        }
    }

    #[test]
    fn each_changed_bit_is_refused() {
        let binding = binding();
        let request = ProofRequest { guid: guid(), binding: &binding };
        for sealed in [sealed(None), sealed(Some([6; 32]))] {
            assert!(ledger_key().open(&request, &sealed).is_ok());
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(ledger_key().open(&request, &changed).err(), Some(Undecryptable), "bit {bit}");
            }
            for length in 0..sealed.len() {
                assert!(ledger_key().open(&request, &sealed[..length]).is_err());
            }
        }
    }

    #[test]
    fn a_proof_opens_for_its_own_request_only() {
        let others: [fn(&mut RequestBinding); 8] = [
            |b| b.op_id = OperationId::from_bytes([9; 16]),
            |b| b.action = "delete_secret".to_owned(),
            |b| b.params = json!({ "secret_name": "btc" }),
            |b| b.cek_version = 43,
            |b| b.blob_hash = Digest::from_bytes([9; 32]),
            |b| b.lat.version = 43,
            |b| b.lat.lat_id = LatId::from_random([9; 16]),
            |b| b.key_id = "tk_00000000000000000000000000000000".parse().unwrap(),
        ];
        for change in others {
            let mut binding = binding();
            change(&mut binding);
            let request = ProofRequest { guid: guid(), binding: &binding };
            assert_eq!(ledger_key().open(&request, &sealed(None)).err(), Some(Undecryptable), "{binding:?}");
        }
        let binding = binding();
        let other_member = ProofRequest { guid: MemberId::from_bytes([9; 16]), binding: &binding };
        assert_eq!(ledger_key().open(&other_member, &sealed(None)).err(), Some(Undecryptable));
    }

    /// Or the key that is marked as used would not be the key that was used.
    #[test]
    fn a_key_under_a_false_name_opens_nothing() {
        let other_name = "tk_00000000000000000000000000000000";
        let binding = RequestBinding { key_id: other_name.parse().unwrap(), ..binding() };
        let request = ProofRequest { guid: guid(), binding: &binding };
        let renamed = TransactionKey { key_id: other_name.parse().unwrap(), ..ledger_key().transaction_key() };
        let sealed = seal(&renamed, &request, &payload([5; 32], None), &mut Scripted::counting());
        assert_eq!(ledger_key().open(&request, &sealed.unwrap()).err(), Some(Undecryptable));
    }

    #[test]
    fn a_key_that_does_not_fit_seals_nothing() {
        let binding = binding();
        let request = ProofRequest { guid: guid(), binding: &binding };
        let fits = ledger_key().transaction_key();
        let wrong = [
            TransactionKey { algorithm: "x25519".to_owned(), ..fits.clone() },
            TransactionKey { key_id: "tk_00000000000000000000000000000000".parse().unwrap(), ..fits.clone() },
            TransactionKey { public_key: Base64::new([0; 32]), ..fits.clone() },
            TransactionKey { public_key: Base64::new([1; 31]), ..fits },
        ];
        for key in wrong {
            assert!(seal(&key, &request, &payload([5; 32], None), &mut Scripted::counting()).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_stored_key_still_opens() {
        let stored = serde_json::to_string(&ledger_key().to_form()).unwrap();
        let key = LedgerTransactionKey::from_form(serde_json::from_str(&stored).unwrap()).unwrap();
        let binding = binding();
        assert!(key.open(&ProofRequest { guid: guid(), binding: &binding }, &sealed(None)).is_ok());
        assert_eq!(key.expires_at().to_string(), "1970-01-31T00:00:00.000Z");
        assert_eq!(format!("{key:?}"), "LedgerTransactionKey");
    }

    proptest! {
        #[test]
        fn opens_to_what_was_sealed(proof: [u8; 32], inner: Option<[u8; 32]>, action: String) {
            let binding = RequestBinding { action, ..binding() };
            let request = ProofRequest { guid: guid(), binding: &binding };
            let key = ledger_key();
            let sealed = seal(&key.transaction_key(), &request, &payload(proof, inner), &mut Scripted::counting()).unwrap();
            let opened = key.open(&request, &sealed).unwrap();
            prop_assert_eq!(opened.proof.expose(), &proof);
            prop_assert_eq!(opened.inner.map(|key| *key.expose()), inner);
        }
    }
}
