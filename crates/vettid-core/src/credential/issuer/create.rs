//! The first version of a credential. Must never be made twice for one member: the shell looks for an issuer first.

use rand_core::CryptoRng;
use serde_json::Value;
use vettid_crypto::kdf::h256;
use vettid_crypto::password::StoredPassword;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    BODY_FORMAT_VERSION, Binding, CredentialBody, CredentialPackage, CredentialPolicies, CredentialTimes, LatId,
    LatReference, PasswordVerifier, RequestBinding, UseResult, UseStatus, VerifierKind,
};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, KeyId, MemberId, OperationId};

use super::earlier::Earlier;
use super::keys::KeyPool;
use super::operation::{Answer, Operation};
use super::record::{IssuerRecord, OperationRecord, OperationState};
use super::{Issuer, IssuerFailed, make_issue};
use crate::credential::CREATE;
use crate::credential::attempts::{Attempts, Clocks};

/// The hash version of a [`StoredPassword`].
const HASH_VERSION: &str = "2";

/// What a first credential is made of.
#[derive(Debug)]
pub struct NewCredential {
    /// The member.
    pub guid: MemberId,
    /// Fingerprint of the issuer.
    pub issuer: Fingerprint,
    /// 1, or one more than the epoch of a credential that this one takes the place of.
    pub epoch: u64,
    /// Recognises the password.
    pub password: StoredPassword,
    /// Limits.
    pub policies: CredentialPolicies,
    /// The vault; `None` for a Vault Services Credential.
    pub binding: Option<Binding>,
    /// The first inner layer, sealed with `inner_seq` 1.
    pub secrets: Vec<u8>,
    /// The operation that asked for it.
    pub op_id: OperationId,
    /// Hash of its [`creation_binding`].
    pub request_hash: Digest,
    /// `H256(encrypted_password_hash)` of the request.
    pub proof_hash: Digest,
}

/// A first credential: store both, then send [`Operation::answer`]. A repeat of the operation gets the same answer.
#[derive(Debug)]
pub struct Created {
    /// The state.
    pub issuer: Issuer,
    /// The finished operation.
    pub operation: Operation,
}

/// What the password proof of a request for a first credential is bound to: there is no blob and no token yet, so version
/// and token are zero, and the blob is empty.
#[must_use]
pub fn creation_binding(op_id: OperationId, params: Value, key_id: KeyId) -> RequestBinding {
    RequestBinding {
        op_id,
        action: CREATE.to_owned(),
        params,
        cek_version: 0,
        blob_hash: Digest::from_bytes(h256(b"")),
        key_id,
        lat: LatReference { lat_id: LatId::from_random([0; 16]), version: 0 },
    }
}

impl Issuer {
    /// Makes version 1, which counts as confirmed: nothing older exists.
    ///
    /// # Errors
    /// [`IssuerFailed`].
    pub fn create(
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
        new: NewCredential,
        mut keys: KeyPool,
    ) -> Result<Created, IssuerFailed> {
        let body = first_body(&new, clocks);
        let (issue, issued, sealed) = make_issue(&body, rng)?;
        let package = CredentialPackage {
            user_guid: new.guid,
            encrypted_blob: Base64::new(sealed.encrypted_blob),
            ephemeral_public_key: Base64::new(sealed.ephemeral_public_key),
            credential_epoch: new.epoch,
            cek_version: body.cek_version,
            prev_cek_version: None,
            ledger_auth_token: issued.token.to_package(issue.lat.lat_id.clone(), issue.version),
            new_transaction_keys: keys.ledger_keys.refill(&mut keys.pool, clocks.now, rng),
        };
        let limit = new.policies.max_failed_attempts;
        let record = IssuerRecord::first(issue, limit, Attempts::default(), keys.pool);
        let (guid, fingerprint) = (new.guid, new.issuer);
        let ledger_keys = keys.ledger_keys;
        let issuer = Self {
            guid,
            issuer: fingerprint,
            record,
            issued: vec![issued],
            ledger_keys,
            earlier: Earlier::of(new.op_id),
        };
        let result = UseResult { credential_package: Some(package), ..issuer.result_of(new.op_id, UseStatus::Done) };
        let record = OperationRecord {
            request_hash: new.request_hash,
            proof_hash: new.proof_hash,
            state: OperationState::Finished,
        };
        let operation = Operation { record, at: clocks.now, answer: Some(Answer::of(&result)?) };
        Ok(Created { issuer, operation })
    }
}

fn first_body(new: &NewCredential, clocks: &Clocks) -> CredentialBody {
    CredentialBody {
        format_version: BODY_FORMAT_VERSION,
        guid: new.guid,
        issuer: Digest::from_bytes(*new.issuer.as_bytes()),
        cek_version: 1,
        credential_epoch: new.epoch,
        auth: PasswordVerifier {
            kind: VerifierKind::Password,
            hash: new.password.to_string(),
            hash_version: HASH_VERSION.to_owned(),
        },
        policies: new.policies.clone(),
        binding: new.binding.clone(),
        inner_seq: 1,
        secrets: Base64::new(new.secrets.clone()),
        timestamps: Some(CredentialTimes { created_at: clocks.now, updated_at: clocks.now }),
    }
}
