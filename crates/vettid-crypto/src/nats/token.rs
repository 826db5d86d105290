//! The envelope of every NATS claim: encoding, signature, decoding and verification of JWTs.
//! Must never return a claim whose signature, issuer, kind or life time was not checked.

use std::fmt;
use std::marker::PhantomData;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512_256};
use vettid_wire::time::Timestamp;

use super::key::{Account, Kind, Operator, PublicKey, SecretKey, User};

/// The server refuses larger tokens in its resolver.
pub const MAX_TOKEN_BYTES: usize = 1024 * 1024;

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// A signed token about an operator, an account or a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwt<K> {
    text: String,
    kind: PhantomData<K>,
}

/// Token of an operator.
pub type OperatorJwt = Jwt<Operator>;
/// Token of an account.
pub type AccountJwt = Jwt<Account>;
/// Token of a user.
pub type UserJwt = Jwt<User>;

impl<K> Jwt<K> {
    /// A token that somebody else issued; nothing is checked before [`decode`].
    #[must_use]
    pub fn unchecked(text: String) -> Self {
        Self { text, kind: PhantomData }
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> fmt::Display for Jwt<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Debug for Jwt<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt")
    }
}

/// Why a claim was not signed or a token was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts, not base64, not the JSON of this kind of claim, or with a field that is not known.
    #[error("malformed nats token")]
    Malformed,
    /// The signature is not the issuer's.
    #[error("bad signature on a nats token")]
    BadSignature,
    /// The issuer is not one that is trusted for this claim.
    #[error("nats token from another issuer")]
    WrongIssuer,
    /// Past its expiry.
    #[error("expired nats token")]
    Expired,
    /// Longer than the server accepts.
    #[error("nats token larger than {MAX_TOKEN_BYTES} bytes")]
    TooLarge,
    /// The claim contradicts itself or grants something that no VettID claim may grant.
    #[error("invalid nats claim: {0}")]
    InvalidClaim(&'static str),
}

/// A token that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<K, I, B> {
    /// Whom the token is about.
    pub subject: PublicKey<K>,
    /// Who signed it.
    pub issuer: PublicKey<I>,
    /// Name of the subject.
    pub name: String,
    /// When it was signed (whole seconds).
    pub issued_at: Timestamp,
    /// From then on it is refused; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// The claim itself.
    pub body: B,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(serialize = "B: Serialize", deserialize = "K: Kind, I: Kind, B: DeserializeOwned"))]
struct Claims<K, I, B> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    iss: PublicKey<I>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    jti: String,
    name: String,
    nats: B,
    sub: PublicKey<K>,
}

/// When a token was issued and until when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Now.
    pub issued_at: Timestamp,
    /// From then on it is refused; `None` means never.
    pub expires_at: Option<Timestamp>,
}

pub(super) fn encode<K: Kind, I: Kind, B: Serialize>(
    subject: &PublicKey<K>,
    name: &str,
    body: B,
    validity: Validity,
    signer: &SecretKey<I>,
) -> Result<Jwt<K>, TokenError> {
    let mut claims = Claims {
        exp: validity.expires_at.map(Timestamp::unix_seconds),
        iat: validity.issued_at.unix_seconds(),
        iss: signer.public().clone(),
        jti: String::new(),
        name: name.to_owned(),
        nats: body,
        sub: subject.clone(),
    };
    claims.jti = BASE32_NOPAD.encode(&Sha512_256::digest(json(&claims)?));
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(HEADER.as_bytes()), BASE64URL_NOPAD.encode(&json(&claims)?));
    let text = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes())));
    if text.len() > MAX_TOKEN_BYTES { Err(TokenError::TooLarge) } else { Ok(Jwt::unchecked(text)) }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, TokenError> {
    serde_json::to_vec(value).map_err(|_| TokenError::Malformed)
}

/// Opens a token: form, signature, issuer among `trusted`, expiry.
pub(super) fn decode<K: Kind, I: Kind, B: DeserializeOwned>(
    token: &Jwt<K>,
    trusted: &[PublicKey<I>],
    now: Timestamp,
) -> Result<Verified<K, I, B>, TokenError> {
    if token.text.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLarge);
    }
    let (signed, signature) = token.text.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    if part(header)? != HEADER.as_bytes() {
        return Err(TokenError::Malformed);
    }
    let claims: Claims<K, I, B> = serde_json::from_slice(&part(claims)?).map_err(|_| TokenError::Malformed)?;
    if !trusted.contains(&claims.iss) {
        return Err(TokenError::WrongIssuer);
    }
    if !claims.iss.verifies(signed.as_bytes(), &part(signature)?) {
        return Err(TokenError::BadSignature);
    }
    verified(claims, now)
}

fn verified<K, I, B>(claims: Claims<K, I, B>, now: Timestamp) -> Result<Verified<K, I, B>, TokenError> {
    let expires_at = claims.exp.map(at_seconds);
    if expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(TokenError::Expired);
    }
    Ok(Verified {
        subject: claims.sub,
        issuer: claims.iss,
        name: claims.name,
        issued_at: at_seconds(claims.iat),
        expires_at,
        body: claims.nats,
    })
}

fn part(text: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenError::Malformed)
}

fn at_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds.saturating_mul(1000))
}
