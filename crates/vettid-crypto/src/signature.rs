//! Signatures over canonical JSON, one context per object type (spec 2.0, 2.17).
//!
//! What is signed: `"vettid-sig-v1" 0x00 ‖ LP(ctx) ‖ LP(JCS(object without "signature" and "signatures"))`. Every signed
//! object names its signer in `key_id`. A signature under one context must never pass under another one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use vettid_wire::base64::Base64;
use vettid_wire::json::{self, JsonError};

use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf::Lp;

macro_rules! contexts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of object a signature is for. One kind, one context; the list is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Context {
            $($(#[$doc])* $variant,)*
        }

        impl Context {
            /// Every context.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The text that is signed along.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("vettid/", $name, "/1"),)*
                }
            }
        }
    };
}

contexts! {
    /// Key record, by the identity key.
    KeyRecord = "key-record",
    /// Profile.
    Profile = "profile",
    /// Notice that a connection ended.
    Revocation = "revocation",
    /// A member accepts a contract.
    ContractAccept = "contract-accept",
    /// The service countersigns.
    ContractCounter = "contract-counter",
    /// A service offers a new version of its contract.
    ContractOffer = "contract-offer",
    /// What a service ever got, by the member's vault.
    Statement = "statement",
    /// Answer to a login request, by the pairwise key.
    AuthResponse = "auth-response",
    /// Any other answer to a service, by the pairwise key.
    Answer = "answer",
    /// Answer to a request for the member's word, by the pairwise key.
    TransactionResponse = "tx-response",
    /// Whose a pairwise key is, by the vault.
    Pairwise = "pairwise",
    /// Notice that a consent was taken back, by the pairwise key.
    ConsentWithdrawal = "consent-withdrawal",
    /// Terms of a request or transaction between members, by who makes them.
    AgreementTerms = "agreement-terms",
    /// Answer to such terms.
    AgreementAnswer = "agreement-answer",
    /// How such terms ended, by who made them.
    AgreementOutcome = "agreement-outcome",
    /// Approval by the device key.
    Approval = "approval",
    /// Manifest of a handler package.
    HandlerManifest = "handler-manifest",
    /// Right to use a handler.
    HandlerAuthorization = "handler-authorization",
    /// List of such rights that ended.
    AuthorizationRevocations = "authorization-revocations",
    /// Command of the control plane.
    Control = "control",
    /// Broadcast of the registry.
    Broadcast = "broadcast",
    /// Manifest of a backup.
    BackupManifest = "backup-manifest",
    /// Change of the backup key.
    BackupKey = "backup-key",
    /// Epoch rotation.
    Rekey = "rekey",
    /// Content of an envelope of mode `signed`.
    SignedEnvelope = "signed-envelope",
    /// Invitation.
    Invite = "invite",
    /// Request of a service.
    ServiceRequest = "service-request",
    /// Challenge of the unlock lane, by the lane key.
    UnlockChallenge = "unlock-challenge",
    /// New signing keys of a service's account, by the account's key.
    ServiceKeys = "service-keys",
    /// What the registry says of a service.
    ServiceStanding = "service-standing",
    /// A service claims a domain, by its identity key.
    DomainClaim = "domain-claim",
    /// The same, by the service's account.
    DomainAccount = "domain-account",
    /// The operator's word for a service.
    CertifyService = "certify-service",
    /// What a service tells the directory of itself, by its identity key.
    ServiceListing = "service-listing",
    /// The same, by the service's account.
    ListingAccount = "listing-account",
    /// What services of one kind ask.
    CategoryStatistics = "category-statistics",
    /// Lease of a host on a vault.
    Lease = "lease",
    /// New incarnation after a restore.
    Incarnation = "incarnation",
}

/// Why an object cannot be signed, or its signature is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not an object of the profile of JSON.
    #[error("not a json object that can be signed")]
    NotSignable(#[source] JsonError),
    /// A number, a text or a list cannot carry a signature.
    #[error("only an object can be signed")]
    NotAnObject,
    /// The object does not name this key in `key_id`.
    #[error("the object names another signer")]
    OtherSigner,
    /// The signature is missing, malformed, or does not fit.
    #[error("not a valid signature")]
    Invalid,
    /// The signature is right, but the object is not of the expected type.
    #[error("the signed object has an unexpected shape")]
    Shape(#[source] JsonError),
}

/// An object whose signature was checked. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The object.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The object, owned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// The bytes under the signature.
///
/// # Errors
/// [`SignatureError::NotAnObject`], [`SignatureError::NotSignable`].
pub fn signed_bytes(context: Context, object: &impl Serialize) -> Result<Vec<u8>, SignatureError> {
    bytes_of(context, &fields_of(object)?)
}

/// The signature over an object that already names `key` in its `key_id`. A `signature` that the object holds is left
/// out, so a typed object can be made with an empty one first.
///
/// # Errors
/// [`SignatureError::OtherSigner`] and those of [`signed_bytes`].
pub fn sign(context: Context, key: &SigningKey, object: &impl Serialize) -> Result<Base64, SignatureError> {
    let fields = fields_of(object)?;
    require_signer(&fields, &key.verifying_key())?;
    Ok(key.sign(&bytes_of(context, &fields)?).to_base64())
}

/// The object with `key_id` and `signature` put in.
///
/// # Errors
/// Those of [`signed_bytes`].
pub fn sign_object(context: Context, key: &SigningKey, object: &impl Serialize) -> Result<Value, SignatureError> {
    let mut fields = fields_of(object)?;
    fields.insert("key_id".to_owned(), key.key_id().as_str().into());
    let signature = key.sign(&bytes_of(context, &fields)?);
    fields.insert("signature".to_owned(), signature.to_base64().to_string().into());
    Ok(Value::Object(fields))
}

/// Checks `key_id` and `signature` of an object.
///
/// # Errors
/// [`SignatureError::OtherSigner`], [`SignatureError::Invalid`] and those of [`signed_bytes`].
pub fn verify(context: Context, key: &VerifyingKey, object: &impl Serialize) -> Result<(), SignatureError> {
    let mut fields = fields_of(object)?;
    require_signer(&fields, key)?;
    let signature = fields.remove("signature").and_then(signature_of).ok_or(SignatureError::Invalid)?;
    key.verify(&bytes_of(context, &fields)?, &signature).map_err(|_| SignatureError::Invalid)
}

/// Checks a received object, then reads it as its type; the signature covers exactly what was received.
///
/// # Errors
/// Those of [`verify`], and [`SignatureError::Shape`].
pub fn open<T: DeserializeOwned>(
    context: Context,
    key: &VerifyingKey,
    received: Value,
) -> Result<Verified<T>, SignatureError> {
    verify(context, key, &received)?;
    json::from_value(received).map(Verified).map_err(SignatureError::Shape)
}

/// Checks an object that was read as its type. Types of signed objects refuse unknown fields and have one form, so
/// nothing that was received is left unchecked.
///
/// # Errors
/// Those of [`verify`].
pub fn check<T: Serialize>(context: Context, key: &VerifyingKey, object: T) -> Result<Verified<T>, SignatureError> {
    verify(context, key, &object)?;
    Ok(Verified(object))
}

/// A signature that stands apart from the object, where several sign one object.
///
/// # Errors
/// Those of [`signed_bytes`].
pub fn sign_detached(context: Context, key: &SigningKey, object: &impl Serialize) -> Result<Signature, SignatureError> {
    Ok(key.sign(&signed_bytes(context, object)?))
}

/// Checks a signature that stands apart from the object.
///
/// # Errors
/// [`SignatureError::Invalid`] and those of [`signed_bytes`].
pub fn verify_detached(
    context: Context,
    key: &VerifyingKey,
    object: &impl Serialize,
    signature: &Signature,
) -> Result<(), SignatureError> {
    key.verify(&signed_bytes(context, object)?, signature).map_err(|_| SignatureError::Invalid)
}

fn fields_of(object: &impl Serialize) -> Result<Map<String, Value>, SignatureError> {
    match serde_json::to_value(object) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(SignatureError::NotAnObject),
        Err(error) => Err(SignatureError::NotSignable(JsonError::Shape(error))),
    }
}

fn bytes_of(context: Context, fields: &Map<String, Value>) -> Result<Vec<u8>, SignatureError> {
    let is_signed = |name: &str| name != "signature" && name != "signatures";
    let unsigned: BTreeMap<&String, &Value> = fields.iter().filter(|(name, _)| is_signed(name)).collect();
    let canonical = json::canonical(&unsigned).map_err(SignatureError::NotSignable)?;
    let joined = Lp::labelled_with_capacity("vettid-sig-v1", canonical.len() + 64);
    Ok(joined.lp_str(context.name()).lp(&canonical).finish())
}

fn require_signer(fields: &Map<String, Value>, key: &VerifyingKey) -> Result<(), SignatureError> {
    match fields.get("key_id") {
        Some(Value::String(named)) if named == key.key_id().as_str() => Ok(()),
        _ => Err(SignatureError::OtherSigner),
    }
}

fn signature_of(value: Value) -> Option<Signature> {
    let text: Base64 = json::from_value(value).ok()?;
    Signature::from_base64(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::secret::Secret32;
    use serde_json::json;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    #[test]
    fn no_two_kinds_share_a_context() {
        let names: HashSet<_> = Context::ALL.iter().map(|context| context.name()).collect();
        assert_eq!(names.len(), Context::ALL.len());
        assert_eq!(names.len(), 38);
        assert!(names.iter().all(|name| name.starts_with("vettid/") && name.ends_with("/1")));
    }

    #[test]
    fn an_object_passes_under_its_own_context_and_signer_only() {
        let signed = sign_object(Context::Control, &key(1), &json!({"b": 1, "a": [true, null]})).unwrap();
        for &context in Context::ALL {
            let passes = verify(context, &key(1).verifying_key(), &signed).is_ok();
            assert_eq!(passes, context == Context::Control, "{context:?}");
        }
        let other = verify(Context::Control, &key(2).verifying_key(), &signed);
        assert!(matches!(other, Err(SignatureError::OtherSigner)));
    }

    #[test]
    fn every_change_is_seen() {
        let verifier = key(1).verifying_key();
        let signed = sign_object(Context::Profile, &key(1), &json!({"name": "x", "deep": {"n": 1}})).unwrap();
        let mut cases = Vec::new();
        for (pointer, value) in
            [("/name", json!("y")), ("/deep/n", json!(2)), ("/deep", json!(null)), ("/key_id", json!("k_"))]
        {
            let mut changed = signed.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            cases.push(changed);
        }
        for name in ["name", "key_id", "signature"] {
            let mut changed = signed.clone();
            changed.as_object_mut().unwrap().remove(name);
            cases.push(changed);
        }
        let mut changed = signed.clone();
        changed["extra"] = json!(1);
        cases.push(changed);
        for case in cases {
            assert!(verify(Context::Profile, &verifier, &case).is_err(), "{case}");
        }
        assert!(verify(Context::Profile, &verifier, &signed).is_ok());
    }

    #[test]
    fn order_of_fields_does_not_matter_and_numbers_must_be_exact() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(signed_bytes(Context::Lease, &one).unwrap(), signed_bytes(Context::Lease, &other).unwrap());
        assert!(matches!(signed_bytes(Context::Lease, &json!({"a": 1.5})), Err(SignatureError::NotSignable(_))));
        assert!(matches!(signed_bytes(Context::Lease, &json!([1])), Err(SignatureError::NotAnObject)));
    }

    #[test]
    fn a_wrong_type_is_told_apart_from_a_wrong_signature() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Named {
            name: String,
            key_id: String,
            signature: Base64,
        }
        let verifier = key(1).verifying_key();
        let right = sign_object(Context::Invite, &key(1), &json!({"name": "x"})).unwrap();
        assert!(open::<Named>(Context::Invite, &verifier, right).is_ok());
        let unknown_field = sign_object(Context::Invite, &key(1), &json!({"name": "x", "y": 1})).unwrap();
        assert!(matches!(open::<Named>(Context::Invite, &verifier, unknown_field), Err(SignatureError::Shape(_))));
    }

    #[test]
    fn several_may_sign_one_object() {
        let object = json!({"name": "x", "signatures": [1], "signature": "y"});
        let bare = json!({"name": "x"});
        for seed in [1, 2] {
            let signature = sign_detached(Context::HandlerManifest, &key(seed), &object).unwrap();
            assert!(verify_detached(Context::HandlerManifest, &key(seed).verifying_key(), &bare, &signature).is_ok());
            assert!(verify_detached(Context::HandlerManifest, &key(9).verifying_key(), &bare, &signature).is_err());
        }
    }
}
