//! What a user connects with: its own key, a token about that key, and its private inbox.
//! Must never hold a token about another user's key.

use std::sync::Arc;

use vettid_crypto::nats::key::{UserKey, UserPublic};
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::nats::user::UserClaims;
use vettid_wire::id::MemberId;
use vettid_wire::time::Timestamp;

use super::mint::{MemberIdentity, OperatorIdentity};
use super::role::Grant;

/// A user's key, token and inbox.
#[derive(Debug, Clone)]
pub struct Credential {
    key: Option<Arc<UserKey>>,
    user: UserPublic,
    jwt: UserJwt,
    expires_at: Timestamp,
    inbox: String,
}

impl Credential {
    /// For a user in the space of `guid`.
    ///
    /// # Errors
    /// If the token is expired, malformed, or not about this key and name.
    pub fn member(
        identity: &MemberIdentity,
        guid: MemberId,
        key: Arc<UserKey>,
        jwt: UserJwt,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        Self::new(&identity.grant(guid), identity.name().as_str(), Some(key), jwt, now)
    }

    /// For the holder of an invitation, who has no key yet.
    ///
    /// # Errors
    /// If the token is expired, malformed, or not of this invitation.
    pub fn bearer(identity: &MemberIdentity, guid: MemberId, jwt: UserJwt, now: Timestamp) -> Result<Self, TokenError> {
        Self::new(&identity.grant(guid), identity.name().as_str(), None, jwt, now)
    }

    /// For a user of the operator.
    ///
    /// # Errors
    /// If the token is expired, malformed, or not about this key and name.
    pub fn operator(
        identity: &OperatorIdentity,
        key: Arc<UserKey>,
        jwt: UserJwt,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        Self::new(&identity.grant(), identity.process.as_str(), Some(key), jwt, now)
    }

    /// For a user of any other role, such as one that a test makes.
    ///
    /// # Errors
    /// If the token is expired, malformed, or not about this key and name.
    pub fn of_grant(
        grant: &Grant,
        name: &str,
        key: Arc<UserKey>,
        jwt: UserJwt,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        Self::new(grant, name, Some(key), jwt, now)
    }

    fn new(
        grant: &Grant,
        name: &str,
        key: Option<Arc<UserKey>>,
        jwt: UserJwt,
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let claims = UserClaims::received(&jwt, now)?;
        if claims.name.as_str() != name || grant.bearer != key.is_none() {
            return Err(TokenError::InvalidClaim("token of another identity"));
        }
        if key.as_ref().is_some_and(|key| *key.public() != claims.user) {
            return Err(TokenError::InvalidClaim("token about another key"));
        }
        Ok(Self { key, user: claims.user, jwt, expires_at: claims.expires_at, inbox: grant.inbox.clone() })
    }

    /// The same user with a fresh token.
    ///
    /// # Errors
    /// If the token is expired, malformed, or about another user.
    pub fn renewed(&self, jwt: UserJwt, now: Timestamp) -> Result<Self, TokenError> {
        let claims = UserClaims::received(&jwt, now)?;
        if claims.user != self.user {
            return Err(TokenError::InvalidClaim("token about another key"));
        }
        Ok(Self { jwt, expires_at: claims.expires_at, ..self.clone() })
    }

    /// The token.
    #[must_use]
    pub fn jwt(&self) -> &UserJwt {
        &self.jwt
    }

    /// Whether the server will refuse the token at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// From then on the server refuses the token. Renew at half of the life time.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Prefix of the private inbox.
    #[must_use]
    pub fn inbox(&self) -> &str {
        &self.inbox
    }

    /// Answers the challenge of the server: 64 bytes, or `None` if the token needs no key.
    #[must_use]
    pub fn sign(&self, nonce: &[u8]) -> Option<[u8; 64]> {
        self.key.as_ref().map(|key| key.sign(nonce))
    }
}
