//! Critical secrets: what is known of them outside the credential, the actions over them, and the form that they have in
//! the credential's inner layer. A value travels only inside a box that the password opens; it is in no field here.

use crate::agreement::{FreePayments, PermitTerms, TermsPermitted};
use crate::authorisation::{PermitRequest, RequestPermitted};
use crate::base64::Base64;
use crate::credential::SecretField;
use crate::event::Nothing;
use crate::id::SecretId;
use crate::login;
use crate::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest label or category, in characters.
pub const MAX_LABEL_CHARS: usize = 64;
/// Largest value of one secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 8 * 1024;
/// Largest message to be signed or text to be decrypted, in bytes.
pub const MAX_INPUT_BYTES: usize = 16 * 1024;
/// Most secrets of one credential.
pub const MAX_SECRETS: usize = 128;
/// Most uses of one grant.
pub const MAX_GRANT_USES: u32 = 100;
/// The `version` of [`InnerLayer`].
pub const INNER_LAYER_VERSION: u8 = 1;

/// What a secret is; decides what can be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// A BIP-39 phrase in English, checksum verified.
    SeedPhrase,
    /// A private X25519 key in the form of `age` (`AGE-SECRET-KEY-1…`): decrypts.
    PrivateKey,
    /// A private key that signs.
    SigningKey,
    /// A password.
    Password,
    /// A number, such as a social security number: digits, spaces, `-`, `.` and `/`.
    Number,
    /// A text.
    Note,
    /// Any bytes.
    File,
}

/// Curve of a [`SecretKind::SigningKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// Ed25519 (RFC 8032): signs messages.
    Ed25519,
    /// ECDSA over secp256k1 with SHA-256, RFC 6979, low `s`: signs messages and digests.
    Secp256k1,
    /// ECDSA over P-256 with SHA-256, RFC 6979: signs messages and digests.
    P256,
}

/// What is done with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Sign with a signing key.
    Sign,
    /// Decrypt an `age` file with a private key.
    Decrypt,
    /// Give the value to the app.
    Reveal,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSummary {
    /// The secret.
    pub secret_id: SecretId,
    /// The owner's name for it.
    pub label: String,
    /// What it is.
    pub kind: SecretKind,
    /// Curve of a signing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Public half of a signing key: 32 bytes, or a compressed point of 33.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Base64>,
    /// The owner's category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its value was last replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// How often it was used.
    pub uses: u64,
}

/// The secrets without their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretList {
    /// Oldest first.
    pub secrets: Vec<SecretSummary>,
}

/// Adds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddSecret {
    /// Chosen by the app.
    pub secret_id: SecretId,
    /// The owner's name for it.
    pub label: String,
    /// What it is.
    pub kind: SecretKind,
    /// Curve; exactly for a signing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// The owner's category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Longest grant over this secret, in minutes: 5 to 60, or 0 for a secret that asks for the password each time. Absent:
    /// as the credential's policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_minutes: Option<u32>,
    /// The value, boxed for the vault.
    pub sealed: Base64,
}

/// Replaces the value of a secret by another of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// The new value, boxed for the vault.
    pub sealed: Base64,
}

/// Names a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The secret.
    pub secret_id: SecretId,
}

/// Uses a secret: with the password, or under a grant over exactly this operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// What for.
    pub operation: Operation,
    /// What is signed or decrypted; absent to reveal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// What is signed or decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// A message; at most [`MAX_INPUT_BYTES`].
    Message(Base64),
    /// A digest of 32 bytes that the app made itself; not for Ed25519.
    Digest(Base64),
    /// An `age` file; at most [`MAX_INPUT_BYTES`].
    Age(Base64),
}

/// What a use gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Used {
    /// A signature of 64 bytes.
    Signature(Base64),
    /// A value, boxed for the app.
    Sealed(Base64),
}

/// Opens a grant: one operation, one secret, so many uses, for so long. It takes the place of an earlier one over the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenGrant {
    /// The secret.
    pub secret_id: SecretId,
    /// The one operation.
    pub operation: Operation,
    /// 1 to [`MAX_GRANT_USES`].
    pub uses: u32,
    /// 5 to 60; at most what the policies of credential and secret allow.
    pub minutes: u32,
}

/// An open grant. A vault that is locked or restarted ends it before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOpened {
    /// The secret.
    pub secret_id: SecretId,
    /// The one operation.
    pub operation: Operation,
    /// It ends then at the latest.
    pub expires_at: Timestamp,
    /// The key of the boxes under this grant, boxed for the app.
    pub sealed_key: Base64,
}

/// Names a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRef {
    /// The secret.
    pub secret_id: SecretId,
    /// The one operation.
    pub operation: Operation,
}

/// Plaintext of the inner layer of a Vault Credential.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerLayer {
    /// [`INNER_LAYER_VERSION`].
    pub version: u8,
    /// The secrets, oldest first.
    pub secrets: Vec<StoredSecret>,
}

/// A secret inside the inner layer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// What it is.
    pub kind: SecretKind,
    /// Curve of a signing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Longest grant, in minutes; absent: as the credential's policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_minutes: Option<u32>,
    /// The value.
    pub value: SecretField,
}

/// Ties the name of an action of `USE` to its parameters and its result.
pub trait Action {
    /// The `action` of a request.
    const NAME: &'static str;
    /// Its `params`.
    type Params: Serialize + DeserializeOwned;
    /// The `action_result` of its result.
    type Outcome: Serialize + DeserializeOwned;
}

macro_rules! actions {
    ($( #[doc = $doc:literal] $marker:ident: $name:literal, $params:ty => $outcome:ty; )*) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            pub struct $marker;
            impl Action for $marker {
                const NAME: &'static str = $name;
                type Params = $params;
                type Outcome = $outcome;
            }
        )*
        /// Names of the actions with the password, which a credential may be authorised for.
        pub const ACTIONS: &[&str] = &[$($name),*];
    };
}

actions! {
    #[doc = "Adds a secret."]
    Add: "secret.add", AddSecret => SecretSummary;
    #[doc = "Uses a secret once."]
    Use: "secret.use", UseSecret => Used;
    #[doc = "Replaces the value of a secret."]
    Rotate: "secret.rotate", RotateSecret => SecretSummary;
    #[doc = "Removes a secret."]
    Remove: "secret.remove", SecretRef => SecretRef;
    #[doc = "Opens a grant."]
    Grant: "secret.grant", OpenGrant => GrantOpened;
    #[doc = "Does nothing but prove the password, which ends the limit of a session."]
    Restore: "session.restore", Nothing => Nothing;
    #[doc = "Agrees to the terms of a payment, for one step."]
    Permit: "agreement.permit", PermitTerms => TermsPermitted;
    #[doc = "Says up to how much a payment needs no password."]
    Free: "agreement.free", FreePayments => FreePayments;
    #[doc = "Agrees to one login from an unknown browser."]
    PermitLogin: "login.permit", login::PermitLogin => login::LoginPermitted;
    #[doc = "Approves a payment or transaction that a service wants, for one answer."]
    PermitAnswer: "authorisation.permit", PermitRequest => RequestPermitted;
    #[doc = "Says up to how much a payment that a service wants needs no password."]
    FreeRequests: "authorisation.free", FreePayments => FreePayments;
}

/// Whether a text may be a label or a category: 1 to [`MAX_LABEL_CHARS`] characters, none of them a control character.
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_length_and_no_control_characters() {
        assert!(is_label("Savings") && is_label(&"ä".repeat(64)));
        for wrong in ["", "a\nb", "a\u{7}", &"x".repeat(65)] {
            assert!(!is_label(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn each_action_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = ACTIONS.iter().collect();
        assert_eq!(names.len(), ACTIONS.len());
    }

    #[test]
    fn a_stored_value_stays_out_of_debug() {
        let secret = StoredSecret {
            secret_id: SecretId::from_bytes([1; 16]),
            kind: SecretKind::Note,
            curve: None,
            grant_minutes: None,
            value: SecretField::new(b"hidden".to_vec()),
        };
        assert!(!format!("{secret:?}").contains("104"), "{secret:?}");
    }
}
