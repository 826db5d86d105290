//! One operation between its two commits, what its action changes, and its stored answer.
//! Must never hold a proven password longer than one step of the shell.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_crypto::Undecryptable;
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{InnerKey, StoredPassword};
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::stored::{InvalidStored, Stored};
use vettid_crypto::utk::request_hash;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    CredentialBody, CredentialPackage, CredentialPolicies, CredentialTimes, InnerUpdate, LatReference, RequestBinding,
    UseRequest, UseResult,
};
use vettid_wire::digest::Digest;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use super::record::{Ask, OperationRecord, OperationState};
use crate::credential::{CHANGE_PASSWORD, REPLACE_SECRETS, RESTORE};

/// How long the entry of an operation lives at least: 90 days (spec 2.7).
pub const LIFE_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// The stored entry of one operation; its key is the operation id. Its stored form holds a token in clear: seal it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The rules' half.
    pub record: OperationRecord,
    /// When it was stored last.
    pub at: Timestamp,
    /// The `RESULT`, once the operation is over.
    #[serde(with = "vettid_crypto::stored")]
    pub answer: Option<Answer>,
}

impl Operation {
    /// Whether the entry may be forgotten.
    #[must_use]
    pub fn is_expendable(&self, now: Timestamp) -> bool {
        now.since_ms(self.at) > LIFE_MS
    }

    /// The package in its answer.
    pub(super) fn package(&self) -> Option<CredentialPackage> {
        let answer = json::parse_large(self.answer.as_ref()?.expose()).ok()?;
        json::from_value::<UseResult>(answer).ok()?.credential_package
    }

    /// Whether the operation is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.record.state == OperationState::Finished
    }
}

/// The bytes of a `RESULT`: canonical JSON, the same in every repeat. They hold a ledger token: for a session only.
pub struct Answer(SecretBytes);

impl Answer {
    /// Writes a result.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn of(result: &UseResult) -> Result<Self, JsonError> {
        json::canonical(result).map(|bytes| Self(SecretBytes::new(bytes)))
    }

    /// The bytes, for a session envelope.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Answer")
    }
}

impl Stored for Answer {
    type Form = <SecretBytes as Stored>::Form;

    fn to_form(&self) -> Self::Form {
        self.0.to_form()
    }

    fn from_form(form: Self::Form) -> Result<Self, InvalidStored> {
        SecretBytes::from_form(form).map(Self)
    }
}

/// An attempt that is counted in memory; the shell stores it next.
#[derive(Debug)]
pub struct Started {
    /// The entry to store, together with the issuer.
    pub operation: Operation,
    pub(super) counted: Counted,
}

impl Started {
    /// The entry and the issuer are stored: the password may be evaluated.
    #[must_use]
    pub fn committed(self) -> Counted {
        self.counted
    }
}

/// An attempt that is stored as counted.
#[derive(Debug)]
pub struct Counted {
    /// Of the version that the operation goes on from.
    pub(super) ask: Ask,
    /// The version that came: an earlier one where a device recovers.
    pub(super) presented: u64,
    pub(super) body: CredentialBody,
}

/// How the compare ended.
#[derive(Debug)]
pub enum Verdict {
    /// Run the action, then [`super::Issuer::finish`].
    Right(Box<Proven>),
    /// [`super::Issuer::fail`].
    Wrong(Box<Counted>),
}

/// An operation whose password was right.
#[derive(Debug)]
pub struct Proven {
    pub(super) counted: Counted,
    pub(super) inner: Option<InnerKey>,
}

impl Proven {
    /// The opened outer layer.
    #[must_use]
    pub fn body(&self) -> &CredentialBody {
        &self.counted.body
    }

    /// The key of the inner layer, if the app sent it.
    #[must_use]
    pub fn inner_key(&self) -> Option<&InnerKey> {
        self.inner.as_ref()
    }

    /// The key of the inner layer, for a grant.
    #[must_use]
    pub fn take_inner_key(&mut self) -> Option<InnerKey> {
        self.inner.take()
    }

    /// The member's secrets, for this step only.
    ///
    /// # Errors
    /// [`Undecryptable`] without the right inner key.
    pub fn open_secrets(&self) -> Result<SecretBytes, Undecryptable> {
        let key = self.inner.as_ref().ok_or(Undecryptable)?;
        InnerPlace::of(self.body()).open(key, self.body().secrets.as_bytes())
    }

    /// New secrets under the same inner key, for [`Effect::inner`].
    ///
    /// # Errors
    /// [`Undecryptable`] without the right inner key: secrets that nobody could open are not sealed.
    pub fn reseal_secrets(&self, secrets: &[u8], rng: &mut dyn CryptoRng) -> Result<InnerUpdate, Undecryptable> {
        self.open_secrets()?;
        let key = self.inner.as_ref().ok_or(Undecryptable)?;
        let inner_seq = self.body().inner_seq.saturating_add(1);
        let sealed = InnerPlace { inner_seq, ..InnerPlace::of(self.body()) }.seal(key, secrets, rng);
        Ok(InnerUpdate { inner_seq, secrets: Base64::new(sealed), hash: None })
    }
}

/// What an action did, for the answer and for the next blob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// `action_result`.
    pub action_result: Value,
    /// A new inner layer.
    pub inner: Option<InnerUpdate>,
    /// New policies.
    pub policies: Option<CredentialPolicies>,
}

/// The parameters of an upkeep action do not fit the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameters of the operation do not fit the credential")]
pub struct InvalidUpkeep;

impl Effect {
    /// An action that leaves the credential as it is.
    #[must_use]
    pub fn result(action_result: Value) -> Self {
        Self { action_result, inner: None, policies: None }
    }

    /// The effect of the credential's own upkeep actions; `None` for any other action.
    ///
    /// # Errors
    /// [`InvalidUpkeep`]: finish with a result that says so.
    pub fn of_upkeep(proven: &Proven, request: &UseRequest) -> Result<Option<Self>, InvalidUpkeep> {
        let inner = match request.action.as_str() {
            RESTORE => return Ok(Some(Self::default())),
            CHANGE_PASSWORD | REPLACE_SECRETS => request.params.clone(),
            _ => return Ok(None),
        };
        let inner: InnerUpdate = json::from_value(inner).map_err(|_| InvalidUpkeep)?;
        let next = inner.inner_seq == proven.body().inner_seq.saturating_add(1);
        let password_changes = request.action == CHANGE_PASSWORD;
        let hash_fits = match &inner.hash {
            Some(hash) => password_changes && hash.parse::<StoredPassword>().is_ok(),
            None => !password_changes,
        };
        if !next || !hash_fits {
            return Err(InvalidUpkeep);
        }
        Ok(Some(Self { inner: Some(inner), ..Self::default() }))
    }

    pub(super) fn apply(&self, body: CredentialBody, now: Timestamp, version: u64, epoch: u64) -> CredentialBody {
        let created_at = body.timestamps.as_ref().map_or(now, |times| times.created_at);
        let mut body = CredentialBody {
            cek_version: version,
            credential_epoch: epoch,
            timestamps: Some(CredentialTimes { created_at, updated_at: now }),
            ..body
        };
        if let Some(inner) = &self.inner {
            body.inner_seq = inner.inner_seq;
            body.secrets = inner.secrets.clone();
            if let Some(hash) = &inner.hash {
                body.auth.hash.clone_from(hash);
            }
        }
        if let Some(policies) = &self.policies {
            body.policies = policies.clone();
        }
        body
    }
}

/// Exactly what the password proof of a request is bound to.
#[must_use]
pub fn binding(request: &UseRequest) -> RequestBinding {
    RequestBinding {
        op_id: request.op_id,
        action: request.action.clone(),
        params: request.params.clone(),
        cek_version: request.cek_version,
        blob_hash: Digest::from_bytes(h256(request.encrypted_blob.as_bytes())),
        key_id: request.key_id.clone(),
        lat: LatReference { lat_id: request.lat.lat_id.clone(), version: request.lat.version },
    }
}

/// The plain values of a request.
///
/// # Errors
/// [`JsonError`] if `params` lies outside the profile.
pub fn ask(request: &UseRequest) -> Result<Ask, JsonError> {
    let binding = binding(request);
    Ok(Ask {
        op_id: request.op_id,
        request_hash: request_hash(&binding)?,
        proof_hash: Digest::from_bytes(h256(request.encrypted_password_hash.as_bytes())),
        version: request.cek_version,
        blob_hash: binding.blob_hash,
        key_id: binding.key_id,
        lat: binding.lat,
        restores: request.action == RESTORE,
    })
}
