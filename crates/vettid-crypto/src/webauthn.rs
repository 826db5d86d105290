//! Assertions of WebAuthn authenticators (W3C Web Authentication, Level 3, 7.2), as far as a login needs them: ES256, no
//! extensions, no attestation. Says what is genuine for one site and one challenge, and never whether that key may log anybody in.

use crate::kdf::h256;
use serde_json::{Map, Value};
use vettid_wire::base64::encode_url;
use vettid_wire::json;
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::webauthn::{AUTHENTICATOR_DATA_BYTES, Assertion, Authenticator, MAX_SIGNATURE_BYTES};

/// Somebody touched the authenticator.
const USER_PRESENT: u8 = 1 << 0;
/// The key may be copied to other devices.
const BACKUP_ELIGIBLE: u8 = 1 << 3;
/// It was.
const BACKED_UP: u8 = 1 << 4;
/// A new credential follows, which has no place in an assertion.
const ATTESTED: u8 = 1 << 6;
/// Extensions follow, none of which was asked for.
const EXTENDED: u8 = 1 << 7;

/// The assertion is not one for this site and this text, by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not a key of an authenticator.
    #[error("not a key of an authenticator")]
    Key,
    /// A part is too long, too short, or not of its form.
    #[error("the assertion is malformed")]
    Form,
    /// The browser made it for another purpose, challenge or site, or inside a page of another site.
    #[error("the assertion is for something else")]
    Purpose,
    /// The authenticator made it for another site, or nobody was there.
    #[error("the authenticator vouches for something else")]
    Vouched,
    /// The key did not sign it.
    #[error("the assertion is not signed by the key")]
    Signature,
}

/// What a challenge is made of: the SHA-256 of the text that a browser's own key would sign.
#[must_use]
pub fn challenge(text: &str) -> [u8; 32] {
    h256(text.as_bytes())
}

/// Verifies that this key signed, for this site, the challenge of this text, while somebody was there. `signature` is ES256 in DER.
///
/// # Errors
/// See [`AssertionError`].
pub fn verify(
    key: &TypedKey,
    (origin, text): (&str, &str),
    assertion: &Assertion,
    signature: &[u8],
) -> Result<Authenticator, AssertionError> {
    if key.algorithm() != KeyAlgorithm::WebAuthnP256 || key.as_bytes().first() != Some(&4) {
        return Err(AssertionError::Key);
    }
    if !assertion.is_sized() || signature.len() > MAX_SIGNATURE_BYTES {
        return Err(AssertionError::Form);
    }
    let client_data = assertion.client_data_json.as_bytes();
    check_client_data(client_data, origin, &challenge(text))?;
    let data: [u8; AUTHENTICATOR_DATA_BYTES] =
        assertion.authenticator_data.to_array().map_err(|_| AssertionError::Form)?;
    let (host_hash, flags, sign_count) = parts(&data)?;
    check_vouched(host_hash, flags, origin)?;
    check_signature(key, &[data.as_slice(), &h256(client_data)].concat(), signature)?;
    Ok(Authenticator {
        credential_id: assertion.credential_id.clone(),
        sign_count,
        can_be_copied: flags & BACKUP_ELIGIBLE != 0,
        is_copied: flags & BACKED_UP != 0,
    })
}

/// Hash of the host, flags, counter.
fn parts(data: &[u8; AUTHENTICATOR_DATA_BYTES]) -> Result<(&[u8], u8, u32), AssertionError> {
    let (host_hash, rest) = data.split_first_chunk::<32>().ok_or(AssertionError::Form)?;
    let (flags, count) = rest.split_first().ok_or(AssertionError::Form)?;
    let count = count.try_into().map_err(|_| AssertionError::Form)?;
    Ok((host_hash, *flags, u32::from_be_bytes(count)))
}

/// What the browser says: for a login, with this challenge, by a page of this very site. Names that are not known here are passed
/// over, as the standard demands; the same name twice is refused.
fn check_client_data(bytes: &[u8], origin: &str, challenge: &[u8; 32]) -> Result<(), AssertionError> {
    let Ok(Value::Object(said)) = json::parse(bytes) else { return Err(AssertionError::Form) };
    let says = |name: &str, value: &str| said.get(name).and_then(Value::as_str) == Some(value);
    let own = says("type", "webauthn.get") && says("challenge", &encode_url(challenge)) && says("origin", origin);
    if own && is_top_page(&said) { Ok(()) } else { Err(AssertionError::Purpose) }
}

/// A page inside a page of another site is no login page.
fn is_top_page(said: &Map<String, Value>) -> bool {
    matches!(said.get("crossOrigin"), None | Some(Value::Bool(false))) && !said.contains_key("topOrigin")
}

fn check_vouched(host_hash: &[u8], flags: u8, origin: &str) -> Result<(), AssertionError> {
    let host = host_of(origin).ok_or(AssertionError::Purpose)?;
    let is_present = flags & USER_PRESENT != 0;
    let is_plain = flags & (ATTESTED | EXTENDED) == 0;
    let is_sound = flags & BACKED_UP == 0 || flags & BACKUP_ELIGIBLE != 0;
    if host_hash == h256(host.as_bytes()) && is_present && is_plain && is_sound {
        Ok(())
    } else {
        Err(AssertionError::Vouched)
    }
}

/// The host of an origin, as browsers print origins. An address is no host that an authenticator vouches for.
fn host_of(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let host = rest.split_once(':').map_or(rest, |(host, _)| host);
    let plain = host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte));
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
    (plain && !is_address).then_some(host)
}

fn check_signature(key: &TypedKey, message: &[u8], signature: &[u8]) -> Result<(), AssertionError> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_bytes())
        .verify(message, signature)
        .map_err(|_| AssertionError::Signature)
}
