//! Claims that the operator makes: about itself, and the order to delete accounts.

use serde::{Deserialize, Serialize};
use vettid_wire::time::Timestamp;

use super::key::{AccountPublic, Operator, OperatorKey, OperatorPublic};
use super::token::{OperatorJwt, TokenError, Validity, Verified, decode, encode};

/// The operator: which account is the server's own, and which keys sign accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorClaims {
    /// The server's own account.
    pub system_account: AccountPublic,
    /// Keys that sign accounts. The identity key itself signs none (`strict_signing_key_usage`).
    pub signing_keys: Vec<OperatorPublic>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    signing_keys: Vec<OperatorPublic>,
    strict_signing_key_usage: bool,
    system_account: AccountPublic,
    r#type: OperatorType,
    version: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OperatorType {
    Operator,
}

impl OperatorClaims {
    /// Signs with the operator's identity key. The claim does not expire.
    ///
    /// # Errors
    /// If no signing key is named, or the identity key is named as one.
    pub fn sign(&self, name: &str, issued_at: Timestamp, identity: &OperatorKey) -> Result<OperatorJwt, TokenError> {
        if self.signing_keys.is_empty() || self.signing_keys.contains(identity.public()) {
            return Err(TokenError::InvalidClaim("an operator signs with keys other than its identity"));
        }
        let body = Body {
            signing_keys: self.signing_keys.clone(),
            strict_signing_key_usage: true,
            system_account: self.system_account.clone(),
            r#type: OperatorType::Operator,
            version: 2,
        };
        encode(identity.public(), name, body, Validity { issued_at, expires_at: None }, identity)
    }

    /// Opens an operator's token under the identity key that the caller trusts.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(token: &OperatorJwt, identity: &OperatorPublic, now: Timestamp) -> Result<Self, TokenError> {
        let verified: Verified<Operator, Operator, Body> = decode(token, std::slice::from_ref(identity), now)?;
        if verified.subject != *identity || verified.body.version != 2 || !verified.body.strict_signing_key_usage {
            return Err(TokenError::InvalidClaim("operator"));
        }
        Ok(Self { system_account: verified.body.system_account, signing_keys: verified.body.signing_keys })
    }
}

#[derive(Serialize)]
struct Deletion<'a> {
    accounts: &'a [AccountPublic],
    r#type: &'static str,
    version: u8,
}

/// Signs the order that the resolver forget these accounts. It is about the signing key itself: the server asks for that.
///
/// # Errors
/// If no account is named.
pub fn sign_deletion(
    accounts: &[AccountPublic],
    issued_at: Timestamp,
    signing_key: &OperatorKey,
) -> Result<OperatorJwt, TokenError> {
    if accounts.is_empty() {
        return Err(TokenError::InvalidClaim("no account to delete"));
    }
    let body = Deletion { accounts, r#type: "generic", version: 2 };
    encode(signing_key.public(), "", body, Validity { issued_at, expires_at: None }, signing_key)
}
