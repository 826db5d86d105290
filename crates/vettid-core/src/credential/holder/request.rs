//! From the wish to use a credential to a stored request: first the issuer proves itself (spec 2.8), then the password is
//! typed, then intent and request are stored. Must never take a password for an issuer that did not prove itself.

use rand_core::CryptoRng;
use serde_json::Value;
use vettid_crypto::kdf::h256;
use vettid_crypto::lat::{LatProof, LatRequest, LedgerAuthToken};
use vettid_crypto::utk::{PasswordPayload, ProofRequest, SealPayloadError, request_hash, seal};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ChallengeRequest, JournalHead, LatAnswer, LatChallenge, LatReference, RequestBinding, TransactionKey, UseRequest,
};
use vettid_wire::digest::Digest;
use vettid_wire::id::OperationId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use super::Holder;
use super::record::{Busy, Intent};
use super::slot::PasswordParts;

/// A question to the issuer that waits for its proof; kept in memory only.
#[derive(Debug)]
pub struct Challenge {
    /// What to send.
    pub request: ChallengeRequest,
    endpoint: String,
    key: TransactionKey,
}

/// An issuer that has proven itself, for one action at one endpoint and one transaction key. Now the password may be typed.
#[derive(Debug)]
pub struct ProvenIssuer {
    action: String,
    key: TransactionKey,
    version: u64,
}

/// Whoever answered is not the issuer: stop, show it, log it, and do not try another host (spec 2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side did not prove that it is the issuer")]
pub struct NotTheIssuer;

/// Why an operation cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    /// One is under way.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// No whole slot.
    #[error("this device holds no credential")]
    NoCredential,
    /// Ask for fresh ones first.
    #[error("no transaction key is left")]
    NoTransactionKey,
    /// The stored package does not have its form.
    #[error("the stored credential cannot be read")]
    Unreadable,
    /// The request lies outside the profile.
    #[error("the request cannot be written")]
    Form(#[from] JsonError),
    /// The transaction key does not work.
    #[error("the password proof cannot be sealed")]
    Seal(#[from] SealPayloadError),
}

/// What the member wants done, once the issuer has proven itself.
#[derive(Debug)]
pub struct Wish {
    /// A new operation.
    pub op_id: OperationId,
    /// Parameters of the action.
    pub params: Value,
    /// Proof of the password that fits [`Holder::newest`], and the inner key where the action needs it.
    pub payload: PasswordPayload,
    /// What the password needs after a change; only for [`CHANGE_PASSWORD`](crate::credential::CHANGE_PASSWORD).
    pub next_password: Option<PasswordParts>,
    /// Where the app last saw the vault.
    pub journal_head: Option<JournalHead>,
}

impl Holder {
    /// The request step: asks the issuer to prove itself.
    ///
    /// # Errors
    /// [`CannotBegin`].
    pub fn challenge(
        &self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        action: &str,
        endpoint: &str,
    ) -> Result<Challenge, CannotBegin> {
        if self.state.record.intent.is_some() {
            return Err(Busy.into());
        }
        let token = &self.newest().ok_or(CannotBegin::NoCredential)?.package.ledger_auth_token;
        let key = self.unused_keys(now).next().ok_or(CannotBegin::NoTransactionKey)?.clone();
        let mut client_nonce = [0; 32];
        rng.fill_bytes(&mut client_nonce);
        let (lat_id, version) = (token.lat_id.clone(), token.version);
        let lat = LatChallenge { lat_id, version, client_nonce: Base64::new(client_nonce) };
        let request = ChallengeRequest { action: action.to_owned(), key_id: key.key_id.clone(), lat };
        Ok(Challenge { request, endpoint: endpoint.to_owned(), key })
    }

    /// Checks the proof for the host that the app itself connected to (`scheme://host`).
    ///
    /// # Errors
    /// [`NotTheIssuer`].
    pub fn verify(&self, host: &str, challenge: Challenge, answer: &LatAnswer) -> Result<ProvenIssuer, NotTheIssuer> {
        let asked = &challenge.request;
        if (&answer.lat_id, answer.version) != (&asked.lat.lat_id, asked.lat.version) {
            return Err(NotTheIssuer);
        }
        let (_, entry) = self.state.record.slots.find(asked.lat.version).ok_or(NotTheIssuer)?;
        let version = entry.version;
        let slot = self.newest().filter(|slot| slot.package.cek_version == version).ok_or(NotTheIssuer)?;
        let token = LedgerAuthToken::from_package(&slot.package.ledger_auth_token).ok_or(NotTheIssuer)?;
        let request = LatRequest {
            issuer: &self.state.issuer,
            host,
            action: &asked.action,
            endpoint: &challenge.endpoint,
            lat_id: &asked.lat.lat_id,
            version: asked.lat.version,
            client_nonce: bytes32(&asked.lat.client_nonce)?,
            server_nonce: bytes32(&answer.server_nonce)?,
            key_id: &asked.key_id,
            transaction_key: bytes32(&challenge.key.public_key)?,
        };
        let proof = LatProof::from_bytes(*bytes32(&answer.token)?);
        let genuine = token.verifies(&request, &proof);
        let proven = ProvenIssuer { action: challenge.request.action, key: challenge.key, version };
        if genuine { Ok(proven) } else { Err(NotTheIssuer) }
    }

    /// Begins an operation: reserves the transaction key and makes the request. Store the state, then send
    /// [`Holder::request`].
    ///
    /// # Errors
    /// [`CannotBegin`]; nothing was changed.
    pub fn prepare(&mut self, rng: &mut dyn CryptoRng, issuer: ProvenIssuer, wish: Wish) -> Result<(), CannotBegin> {
        let slot = self.newest().ok_or(CannotBegin::NoCredential)?;
        let package = &slot.package;
        if package.cek_version != issuer.version {
            return Err(CannotBegin::NoCredential);
        }
        let token = &package.ledger_auth_token;
        let binding = RequestBinding {
            op_id: wish.op_id,
            action: issuer.action,
            params: wish.params,
            cek_version: package.cek_version,
            blob_hash: Digest::from_bytes(h256(package.encrypted_blob.as_bytes())),
            key_id: issuer.key.key_id.clone(),
            lat: LatReference { lat_id: token.lat_id.clone(), version: token.version },
        };
        let proof_request = ProofRequest { guid: self.state.guid, binding: &binding };
        let sealed = seal(&issuer.key, &proof_request, &wish.payload, rng)?;
        let mut client_nonce = [0; 32];
        rng.fill_bytes(&mut client_nonce);
        let intent = self.intent(&binding)?;
        let request = UseRequest {
            op_id: binding.op_id,
            action: binding.action,
            params: binding.params,
            encrypted_blob: package.encrypted_blob.clone(),
            ephemeral_public_key: package.ephemeral_public_key.clone(),
            cek_version: binding.cek_version,
            key_id: binding.key_id,
            encrypted_password_hash: Base64::new(sealed),
            lat: LatChallenge {
                lat_id: binding.lat.lat_id,
                version: binding.lat.version,
                client_nonce: Base64::new(client_nonce),
            },
            slots: self.state.record.slots.iter().map(|(_, entry)| entry.version).collect(),
            journal_head: wish.journal_head,
        };
        self.begin(intent, json::canonical(&request)?, wish.next_password)
    }

    /// Begins the operation that makes the first credential: the body is the shell's, its password proof is bound by
    /// [`creation_binding`](crate::credential::issuer::creation_binding). Store the state, then send the body.
    ///
    /// # Errors
    /// [`CannotBegin`]; nothing was changed.
    pub fn prepare_creation(
        &mut self,
        binding: &RequestBinding,
        body: Vec<u8>,
        password: PasswordParts,
    ) -> Result<(), CannotBegin> {
        let intent = Intent { version: None, ..self.intent(binding)? };
        self.begin(intent, body, Some(password))
    }

    fn intent(&self, binding: &RequestBinding) -> Result<Intent, JsonError> {
        Ok(Intent {
            op_id: binding.op_id,
            request_hash: request_hash(binding)?,
            version: Some(binding.cek_version),
            key_id: binding.key_id.clone(),
            attempts_total: self.state.record.attempts_total,
        })
    }

    fn begin(
        &mut self,
        intent: Intent,
        body: Vec<u8>,
        next_password: Option<PasswordParts>,
    ) -> Result<(), CannotBegin> {
        self.state.record.begin(intent)?;
        self.state.request = Some(Base64::new(body));
        self.state.next_password = next_password;
        Ok(())
    }
}

fn bytes32(field: &Base64) -> Result<&[u8; 32], NotTheIssuer> {
    field.as_bytes().try_into().map_err(|_| NotTheIssuer)
}
