//! The claim about a user. It carries no permissions: those stand in the account, at the scoped key that signed it.
//! Must never take a name that could act as a wildcard or placeholder where the server puts it into a subject.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vettid_wire::id::{ConnectionId, DeviceId, HostId, InviteId, MemberId, ServiceId};
use vettid_wire::time::Timestamp;

use super::key::{Account, AccountKey, AccountPublic, User, UserPublic};
use super::token::{TokenError, UserJwt, Validity, Verified, decode, encode};

/// The name of a user: 1 to 64 of `A-Z a-z 0-9 - _`. The server puts it in the place of `{{name()}}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// The text cannot be the name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid user name")]
pub struct InvalidName;

impl UserName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! named_after {
    ($($id:ty),*) => {$(
        impl From<&$id> for UserName {
            fn from(id: &$id) -> Self {
                Self(id.to_string())
            }
        }
    )*};
}

// The grammar of each of these ids lies within the grammar of a name; a test holds them together.
named_after!(ConnectionId, DeviceId, HostId, InviteId, MemberId, ServiceId);

impl FromStr for UserName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if plain && (1..=64).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    /// The user's own key; its private half never travels.
    pub user: UserPublic,
    /// Its name.
    pub name: UserName,
    /// The account, by its identity key.
    pub account: AccountPublic,
    /// From then on the server refuses the user.
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    issuer_account: AccountPublic,
    r#pub: Nothing,
    sub: Nothing,
    r#type: UserType,
    version: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UserType {
    User,
}

impl UserClaims {
    /// Signs with the scoped key of the user's role.
    ///
    /// # Errors
    /// If the token would be expired at once, or the signer is the account's identity.
    pub fn sign(&self, issued_at: Timestamp, scoped_key: &AccountKey) -> Result<UserJwt, TokenError> {
        if self.expires_at.unix_seconds() <= issued_at.unix_seconds() {
            return Err(TokenError::Expired);
        }
        if *scoped_key.public() == self.account {
            return Err(TokenError::InvalidClaim("users are signed by a scoped key"));
        }
        let body = Body {
            issuer_account: self.account.clone(),
            r#pub: Nothing {},
            sub: Nothing {},
            r#type: UserType::User,
            version: 2,
        };
        let validity = Validity { issued_at, expires_at: Some(self.expires_at) };
        encode(&self.user, self.name.as_str(), body, validity, scoped_key)
    }

    /// Opens a user's token signed by one of the `trusted` scoped keys.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(token: &UserJwt, trusted: &[AccountPublic], now: Timestamp) -> Result<Self, TokenError> {
        let verified: Verified<User, Account, Body> = decode(token, trusted, now)?;
        let expires_at = verified.expires_at.ok_or(TokenError::InvalidClaim("a user without expiry"))?;
        if verified.body.version != 2 {
            return Err(TokenError::InvalidClaim("version"));
        }
        let name = verified.name.parse().map_err(|_| TokenError::InvalidClaim("user name"))?;
        Ok(Self { user: verified.subject, name, account: verified.body.issuer_account, expires_at })
    }

    /// Reads a token that some other vault or the services issued for `user`. Who may issue it, this side cannot know:
    /// the server checks that. What is checked here is that it is ours to use, still counts, and was signed by its issuer.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn received(token: &UserJwt, now: Timestamp) -> Result<Self, TokenError> {
        let issuer = issuer(token)?;
        Self::verify(token, &[issuer], now)
    }
}

#[derive(Deserialize)]
struct IssuerOnly {
    iss: AccountPublic,
}

fn issuer(token: &UserJwt) -> Result<AccountPublic, TokenError> {
    let claims = token.as_str().split('.').nth(1).ok_or(TokenError::Malformed)?;
    let json = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice::<IssuerOnly>(&json).map(|claims| claims.iss).map_err(|_| TokenError::Malformed)
}
