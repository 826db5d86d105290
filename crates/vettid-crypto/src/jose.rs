//! Tokens that programs of others read: JWTs of an OpenID provider and the assertions of its clients (RFC 7515, 7517,
//! 7519). Signs with RS256 alone. Must never take the kind of a key from a token: an algorithm counts only if the key that
//! is already known is of its family, and no token without a signature or with a shared secret is ever genuine.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::SecretBytes;
use crate::stored::{InvalidStored, SecretText, Stored};

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;
/// The algorithm that this provider signs with; every client of OpenID Connect knows it.
pub const SIGNING_ALGORITHM: &str = "RS256";
/// What a client may sign its assertions with.
pub const ASSERTION_ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// What comes before a PKCS#1 key of 2048 bits in its PKCS#8 form, apart from the two lengths.
const RSA_ENCRYPTION: [u8; 18] =
    [0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A token is not genuine: another form, another algorithm, another signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a genuine token")]
pub struct NotGenuine;

/// A key cannot be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key cannot be made or used")]
pub struct KeyFailed;

/// A key that signs tokens: RSA, 2048 bits.
pub struct TokenKey {
    der: SecretBytes,
    public: Jwk,
    key_id: String,
}

impl TokenKey {
    /// A fresh key. The library draws the randomness, as for every RSA key; takes a tenth of a second or more.
    ///
    /// # Errors
    /// [`KeyFailed`].
    pub fn generate() -> Result<Self, KeyFailed> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| KeyFailed)?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map_err(|_| KeyFailed)?;
        Self::from_der(SecretBytes::copied_from(pkcs1(pkcs8.as_ref()).ok_or(KeyFailed)?))
    }

    fn from_der(der: SecretBytes) -> Result<Self, KeyFailed> {
        let mut public = Jwk::from_encoding_key(&EncodingKey::from_rsa_der(der.expose()), Algorithm::RS256)
            .map_err(|_| KeyFailed)?;
        let key_id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyFailed)?;
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { der, public, key_id })
    }

    /// The thumbprint of the public half (RFC 7638); names the key in `kid`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half as a JWK.
    ///
    /// # Errors
    /// [`KeyFailed`].
    pub fn public_jwk(&self) -> Result<Value, KeyFailed> {
        serde_json::to_value(&self.public).map_err(|_| KeyFailed)
    }

    /// Signs claims; `kind` becomes `typ`, such as `JWT` or `logout+jwt`.
    ///
    /// # Errors
    /// [`KeyFailed`].
    pub fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, KeyFailed> {
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.key_id.clone());
        let key = EncodingKey::from_rsa_der(self.der.expose());
        jsonwebtoken::encode(&header, claims, &key).map_err(|_| KeyFailed)
    }

    /// Opens a token that this key signed as this `kind`. Its times and audience are still to be checked.
    ///
    /// # Errors
    /// [`NotGenuine`].
    pub fn open(&self, kind: &str, token: &str) -> Result<Map<String, Value>, NotGenuine> {
        open_own(kind, token, &self.public)
    }

    /// The public half, to go on opening what the key signed after the key itself is gone.
    #[must_use]
    pub fn retired(&self) -> RetiredKey {
        RetiredKey(self.public.clone())
    }
}

/// What stays of a key that signs no more: opens its tokens, and cannot make any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetiredKey(Jwk);

impl RetiredKey {
    /// Opens a token as [`TokenKey::open`] does.
    ///
    /// # Errors
    /// [`NotGenuine`].
    pub fn open(&self, kind: &str, token: &str) -> Result<Map<String, Value>, NotGenuine> {
        open_own(kind, token, &self.0)
    }
}

/// Opens a token of this provider with the public half of a key of its own.
fn open_own(kind: &str, token: &str, key: &Jwk) -> Result<Map<String, Value>, NotGenuine> {
    let header = header(token)?;
    if header.alg != Algorithm::RS256 || header.typ.as_deref() != Some(kind) {
        return Err(NotGenuine);
    }
    open(token, key, header.alg)
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenKey")
    }
}

impl Stored for TokenKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        SecretText::new(self.der.expose())
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Self::from_der(form.bytes()?).map_err(|_| InvalidStored)
    }
}

/// The PKCS#1 key inside a PKCS#8 document of an RSA key of 2048 bits.
fn pkcs1(pkcs8: &[u8]) -> Option<&[u8]> {
    let inside = pkcs8.strip_prefix(&[0x30, 0x82])?.get(2..)?;
    inside.strip_prefix(&RSA_ENCRYPTION)?.strip_prefix(&[0x04, 0x82])?.get(2..)
}

/// The public keys of a client, as it registered them.
#[derive(Debug, Clone)]
pub struct ClientKeys(Vec<Jwk>);

impl ClientKeys {
    /// Reads a JWK set. Every key in it must be one that a client may sign with.
    ///
    /// # Errors
    /// [`NotGenuine`] if it is not such a set, is empty, or has a shared secret or private half in it.
    pub fn read(text: &str) -> Result<Self, NotGenuine> {
        let raw: Value = serde_json::from_str(text).map_err(|_| NotGenuine)?;
        let all = raw.get("keys").and_then(Value::as_array).ok_or(NotGenuine)?;
        let is_public = |key: &Value| key.get("d").is_none() && key.get("k").is_none();
        let set: JwkSet = serde_json::from_value(raw.clone()).map_err(|_| NotGenuine)?;
        let sound =
            !all.is_empty() && all.iter().all(is_public) && set.keys.iter().all(|key| !families(key).is_empty());
        if sound && set.keys.len() == all.len() { Ok(Self(set.keys)) } else { Err(NotGenuine) }
    }

    /// Opens an assertion that one of the keys signed. Its times, audience and id are still to be checked.
    ///
    /// # Errors
    /// [`NotGenuine`].
    pub fn open(&self, token: &str) -> Result<Map<String, Value>, NotGenuine> {
        let header = header(token)?;
        let named = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
        let fitting = |key: &&Jwk| families(key).contains(&header.alg) && agrees(key, header.alg);
        let mut keys = self.0.iter().filter(named).filter(fitting);
        keys.find_map(|key| open(token, key, header.alg).ok()).ok_or(NotGenuine)
    }
}

/// The header of a token that is short enough and asks for nothing that is not understood.
fn header(token: &str) -> Result<Header, NotGenuine> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(NotGenuine);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| NotGenuine)?;
    if header.crit.is_some() { Err(NotGenuine) } else { Ok(header) }
}

/// The algorithms that a key may be used with; none for a shared secret.
fn families(key: &Jwk) -> &'static [Algorithm] {
    use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => &[],
    }
}

/// Whether what a key says about itself allows checking signatures of this algorithm.
fn agrees(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let named = common.key_algorithm.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let used = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let may = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    named && used && may
}

fn open(token: &str, key: &Jwk, algorithm: Algorithm) -> Result<Map<String, Value>, NotGenuine> {
    let key = DecodingKey::from_jwk(key).map_err(|_| NotGenuine)?;
    // Times and audience are checked by those who know the time.
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode(token, &key, &validation).map(|read| read.claims).map_err(|_| NotGenuine)
}

#[cfg(test)]
mod tests;
