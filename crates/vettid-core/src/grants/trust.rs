//! Signed accounts, and what a server is told before it starts. Must never sign with the operator's identity what a
//! signing key can sign.

use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::{AccountPublic, OperatorKey};
use vettid_crypto::nats::operator::{OperatorClaims, sign_deletion};
use vettid_crypto::nats::token::{AccountJwt, OperatorJwt, TokenError};
use vettid_wire::time::Timestamp;

/// An account as the server stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAccount {
    key: AccountPublic,
    jwt: AccountJwt,
}

impl SignedAccount {
    /// Signs with one of the operator's signing keys.
    ///
    /// # Errors
    /// If the claim contradicts itself or is too large.
    pub fn sign(
        claims: &AccountClaims,
        key: &AccountPublic,
        now: Timestamp,
        signing_key: &OperatorKey,
    ) -> Result<Self, TokenError> {
        Ok(Self { key: key.clone(), jwt: claims.sign(key, now, signing_key)? })
    }

    /// The account's identity.
    #[must_use]
    pub fn key(&self) -> &AccountPublic {
        &self.key
    }

    /// Its token.
    #[must_use]
    pub fn jwt(&self) -> &AccountJwt {
        &self.jwt
    }
}

/// The order that a server forget accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDeletion {
    accounts: Vec<AccountPublic>,
    order: OperatorJwt,
}

impl SignedDeletion {
    /// Signs with one of the operator's signing keys.
    ///
    /// # Errors
    /// If no account is named.
    pub fn sign(accounts: Vec<AccountPublic>, now: Timestamp, signing_key: &OperatorKey) -> Result<Self, TokenError> {
        let order = sign_deletion(&accounts, now, signing_key)?;
        Ok(Self { accounts, order })
    }

    /// The accounts.
    #[must_use]
    pub fn accounts(&self) -> &[AccountPublic] {
        &self.accounts
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> &OperatorJwt {
        &self.order
    }
}

/// Whom a server believes, and the accounts it starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTrust {
    operator: OperatorJwt,
    system_account: AccountPublic,
    accounts: Vec<SignedAccount>,
}

impl ServerTrust {
    /// Signs the operator's claim with its identity; the `accounts` were signed with `signing_key`. The first of them is
    /// the server's own.
    ///
    /// # Errors
    /// If there is no account, or the identity is used as signing key.
    pub fn sign(
        identity: &OperatorKey,
        signing_key: &OperatorKey,
        accounts: Vec<SignedAccount>,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let system_account =
            accounts.first().map(|account| account.key.clone()).ok_or(TokenError::InvalidClaim("no system account"))?;
        let claims =
            OperatorClaims { system_account: system_account.clone(), signing_keys: vec![signing_key.public().clone()] };
        Ok(Self { operator: claims.sign("VettID", now, identity)?, system_account, accounts })
    }

    /// The operator's token.
    #[must_use]
    pub fn operator(&self) -> &OperatorJwt {
        &self.operator
    }

    /// The server's own account.
    #[must_use]
    pub fn system_account(&self) -> &AccountPublic {
        &self.system_account
    }

    /// The accounts that the server knows from the start.
    #[must_use]
    pub fn accounts(&self) -> &[SignedAccount] {
        &self.accounts
    }
}
