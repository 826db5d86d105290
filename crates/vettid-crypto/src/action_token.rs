//! Tokens of the services' HTTP API and the proofs of those who use them (spec 2.16, RFC 7515, 8037, 9449): EdDSA and
//! nothing else. What is signed and checked here is genuine; whether it is allowed is decided elsewhere. Must never take
//! an algorithm or a type from a token: each kind has one fixed header.

use std::fmt;

use rand_core::CryptoRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use vettid_wire::action::{ActionClaims, Confirmation, Jwk, ProofClaims, ProofHeader};
use vettid_wire::base64::{Base64Url, decode_url, encode_url};
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf::{self, Lp};
use crate::secret::Secret32;

/// Longest token or proof that is looked at, in bytes.
pub const MAX_BYTES: usize = 4096;
/// How long a server nonce is taken, in milliseconds.
pub const NONCE_LIFE_MS: i64 = 300_000;

const TOKEN_HEADER: &str = r#"{"alg":"EdDSA","typ":"vettid-action+jwt"}"#;
const PROOF_TYPE: &str = "dpop+jwt";
const ALGORITHM: &str = "EdDSA";
const NONCE_MAC_BYTES: usize = 16;

/// A token or a proof is not genuine: another form, another header, another signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a genuine token or proof")]
pub struct NotGenuine;

/// Signs a token: `header.claims.signature` in base64url.
///
/// # Errors
/// [`JsonError`] if the claims lie outside the profile.
pub fn sign(claims: &ActionClaims, key: &SigningKey) -> Result<String, JsonError> {
    jws(TOKEN_HEADER.as_bytes(), claims, key)
}

/// Opens a token of this issuer. Its times, its audience and its holder are still to be checked.
///
/// # Errors
/// [`NotGenuine`].
pub fn open(token: &str, issuer: &VerifyingKey) -> Result<ActionClaims, NotGenuine> {
    let parts = Parts::read(token)?;
    if parts.header != TOKEN_HEADER.as_bytes() {
        return Err(NotGenuine);
    }
    parts.claims(issuer)
}

/// Makes the proof for one request.
///
/// # Errors
/// [`JsonError`] if the claims lie outside the profile.
pub fn prove(claims: &ProofClaims, key: &SigningKey) -> Result<String, JsonError> {
    let header = ProofHeader { typ: PROOF_TYPE.to_owned(), alg: ALGORITHM.to_owned(), jwk: jwk(&key.verifying_key()) };
    jws(&json::canonical(&header)?, claims, key)
}

/// Opens a proof: its claims, and the key that made it. Whether that is the right key is still to be checked.
///
/// # Errors
/// [`NotGenuine`].
pub fn open_proof(proof: &str) -> Result<(ProofClaims, VerifyingKey), NotGenuine> {
    let parts = Parts::read(proof)?;
    let header: ProofHeader = json::read(&parts.header).map_err(|_| NotGenuine)?;
    let right = header.typ == PROOF_TYPE && header.alg == ALGORITHM;
    let right = right && header.jwk.kty == "OKP" && header.jwk.crv == "Ed25519";
    let key = header.jwk.x.to_array().map_err(|_| NotGenuine)?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| NotGenuine)?;
    if right { Ok((parts.claims(&key)?, key)) } else { Err(NotGenuine) }
}

/// Binds a token to a key: its thumbprint as a JWK (RFC 7638).
#[must_use]
pub fn confirmation(key: &VerifyingKey) -> Confirmation {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode_url(key.as_bytes()));
    Confirmation { jkt: Base64Url::new(kdf::h256(canonical.as_bytes())) }
}

/// `ath`: binds a proof to a token.
#[must_use]
pub fn token_hash(token: &str) -> Base64Url {
    Base64Url::new(kdf::h256(token.as_bytes()))
}

fn jwk(key: &VerifyingKey) -> Jwk {
    Jwk { kty: "OKP".to_owned(), crv: "Ed25519".to_owned(), x: Base64Url::new(*key.as_bytes()) }
}

fn jws(header: &[u8], claims: &impl Serialize, key: &SigningKey) -> Result<String, JsonError> {
    Ok(signed(header, &json::canonical(claims)?, key))
}

fn signed(header: &[u8], payload: &[u8], key: &SigningKey) -> String {
    let input = format!("{}.{}", encode_url(header), encode_url(payload));
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", encode_url(signature.as_bytes()))
}

/// A compact JWS, taken apart and not believed yet.
struct Parts<'a> {
    header: Vec<u8>,
    payload: Vec<u8>,
    input: &'a str,
    signature: [u8; 64],
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, NotGenuine> {
        if text.len() > MAX_BYTES {
            return Err(NotGenuine);
        }
        let (input, signature) = text.rsplit_once('.').ok_or(NotGenuine)?;
        let (header, payload) = input.split_once('.').ok_or(NotGenuine)?;
        let part = |text: &str| decode_url(text).map_err(|_| NotGenuine);
        let signature = part(signature)?.try_into().map_err(|_| NotGenuine)?;
        Ok(Self { header: part(header)?, payload: part(payload)?, input, signature })
    }

    fn claims<T: DeserializeOwned>(&self, key: &VerifyingKey) -> Result<T, NotGenuine> {
        key.verify(self.input.as_bytes(), &Signature::from_bytes(self.signature)).map_err(|_| NotGenuine)?;
        json::read(&self.payload).map_err(|_| NotGenuine)
    }
}

/// Makes the nonces that proofs quote. A nonce carries its own time, so nothing is stored.
pub struct NonceKey(Secret32);

impl NonceKey {
    /// A fresh key; nonces of another key are not taken.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }

    /// A nonce for [`NONCE_LIFE_MS`]: `u64 time ‖ MAC[16]`.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> Base64Url {
        let time = now.unix_ms().to_be_bytes();
        Base64Url::new([time.as_slice(), &self.mac(&time)].concat())
    }

    /// Whether this key made the nonce, lately.
    #[must_use]
    pub fn takes(&self, nonce: &Base64Url, now: Timestamp) -> bool {
        let Some((time, mac)) = nonce.as_bytes().split_first_chunk::<8>() else { return false };
        let genuine: bool = self.mac(time).ct_eq(mac).into();
        let age_ms = now.since_ms(Timestamp::from_unix_ms(i64::from_be_bytes(*time)));
        genuine && (0..NONCE_LIFE_MS).contains(&age_ms)
    }

    fn mac(&self, time: &[u8; 8]) -> [u8; NONCE_MAC_BYTES] {
        let message = Lp::labelled("vettid-dpop-nonce-v1").raw(time).finish();
        let mut short = [0; NONCE_MAC_BYTES];
        short.iter_mut().zip(kdf::hmac(self.0.expose(), &[&message])).for_each(|(place, byte)| *place = byte);
        short
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NonceKey")
    }
}

#[cfg(test)]
mod tests;
