//! The Vault Services Credential over HTTP, where it differs from that of a vault: services never get the inner key. Form only.

use crate::base64::Base64;
use crate::credential::TransactionKey;
use crate::id::{Fingerprint, KeyId, OperationId};
use serde::{Deserialize, Serialize};

/// `POST /v1/credentials/create`: makes the member's Vault Services Credential. The password proof travels under a
/// transaction key, without the inner key, which services never get; it is bound to operation, key and [`ServicesTerms`],
/// with version, blob and token of zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateServicesCredential {
    /// The operation; the same over retries.
    pub op_id: OperationId,
    /// The transaction key that is used up.
    pub key_id: KeyId,
    /// `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`, 136 bytes.
    pub encrypted_password_hash: Base64,
    /// What the member chose.
    pub terms: ServicesTerms,
}

/// What the app brings for a Vault Services Credential; the `params` that its password proof is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesTerms {
    /// Salt of the password, 16 bytes.
    pub password_salt: Base64,
    /// Inner layer that the app sealed with `inner_seq` 1: `nonce[24] ‖ ciphertext ‖ tag`, closed to services.
    pub secrets: Base64,
}

/// Answer to `POST /v1/credentials/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesKeys {
    /// Fingerprint of services as an issuer.
    pub issuer: Fingerprint,
    /// New keys.
    pub new_transaction_keys: Vec<TransactionKey>,
    /// Every key that services take, the new ones included.
    pub live_key_ids: Vec<KeyId>,
}
