//! The Protean credential on the wire: blob body, package, transaction keys, ledger tokens, and the
//! USE, RESULT and CONFIRM objects (spec 2.6 to 2.8). Form only: nothing here opens or seals.

mod container;

pub use container::{CredentialBackup, LockBackup, VaultSeen};

use crate::base64::{Base64, InvalidBase64, decode, encode};
use crate::digest::Digest;
use crate::id::{Fingerprint, InvalidId, KeyId, MemberId, OperationId};
use crate::recovery::RecoveryHold;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// The `format_version` of [`CredentialBody`].
pub const BODY_FORMAT_VERSION: u8 = 3;
/// The `algorithm` of a [`TransactionKey`].
pub const TRANSACTION_KEY_ALGORITHM: &str = "X25519";

/// Bytes that are secret inside a sealed object. Not cloned, not shown by `Debug`, overwritten when dropped;
/// serialised only because the object around it is sealed before it leaves.
pub struct SecretField(Vec<u8>);

impl SecretField {
    /// Takes over the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Never log or store them outside a sealed object.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretField {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for SecretField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretField")
    }
}

impl Serialize for SecretField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = encode(&self.0);
        let written = serializer.serialize_str(&text);
        drop(Self(text.into_bytes()));
        written
    }
}

/// Reads the text where it stands, so that no copy of it is left behind.
struct SecretText;

impl serde::de::Visitor<'_> for SecretText {
    type Value = SecretField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secret bytes in base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretField, E> {
        decode(text).map(SecretField).map_err(|_| E::custom(InvalidBase64))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<SecretField, E> {
        let read = self.visit_str(&text);
        drop(SecretField(text.into_bytes()));
        read
    }
}

impl<'de> Deserialize<'de> for SecretField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(SecretText)
    }
}

/// Names one ledger authentication token: `lat_` and 32 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LatId(String);

impl LatId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From sixteen random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("lat_{:032x}", u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for LatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LatId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix("lat_").ok_or(InvalidId("ledger token id"))?;
        let fits = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidId("ledger token id")) }
    }
}

impl Serialize for LatId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LatId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// Plaintext of the outer layer of a credential: what its issuer may read (spec 2.6).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialBody {
    /// [`BODY_FORMAT_VERSION`].
    pub format_version: u8,
    /// The member.
    pub guid: MemberId,
    /// Fingerprint of the issuer; base64 with padding in this object.
    pub issuer: Digest,
    /// Number of the key that seals this blob; never used twice.
    pub cek_version: u64,
    /// Rises with each restore.
    pub credential_epoch: u64,
    /// What the password is compared with.
    pub auth: PasswordVerifier,
    /// Limits that travel with the credential.
    pub policies: CredentialPolicies,
    /// The vault that this credential belongs to; absent for a Vault Services Credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Rises with each new inner layer.
    pub inner_seq: u64,
    /// Inner layer: `nonce[24] ‖ ciphertext ‖ tag`, closed to the issuer.
    pub secrets: Base64,
    /// When it was made and last re-sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<CredentialTimes>,
}

/// What the password is compared with: no password, no key, and useless without the device secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordVerifier {
    /// `password`.
    #[serde(rename = "type")]
    pub kind: VerifierKind,
    /// PHC string of Argon2id whose tag is `stored`.
    pub hash: String,
    /// Meaning of the tag; `2`.
    pub hash_version: String,
}

impl fmt::Debug for PasswordVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordVerifier")
    }
}

/// Kind of a [`PasswordVerifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifierKind {
    /// A password with a device secret.
    Password,
}

/// Limits that travel with a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialPolicies {
    /// Minutes that one password entry opens secrets for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u32>,
    /// Wrong passwords in a row until the credential locks.
    pub max_failed_attempts: u32,
    /// Operations that the credential may be used for; absent or empty: none beyond its own upkeep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_operations: Vec<String>,
}

/// The vault that a credential belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Fingerprint of the vault.
    pub vault_id: Fingerprint,
    /// Since when.
    pub bound_at: Timestamp,
}

/// When a credential was made and last re-sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialTimes {
    /// Made.
    pub created_at: Timestamp,
    /// Last re-sealed.
    pub updated_at: Timestamp,
}

/// A sealed credential as the app stores it and the issuer returns it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialPackage {
    /// The member.
    pub user_guid: MemberId,
    /// `commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`.
    pub encrypted_blob: Base64,
    /// Encapsulated key of the outer layer.
    pub ephemeral_public_key: Base64,
    /// Epoch of the credential; the app refuses a lower one than it has seen.
    pub credential_epoch: u64,
    /// Number of the key that seals this blob.
    pub cek_version: u64,
    /// The version this one was derived from; the app accepts it only if that one is in a slot. Absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_cek_version: Option<u64>,
    /// The token by which the issuer proves itself next time.
    pub ledger_auth_token: LedgerToken,
    /// Fresh transaction keys.
    pub new_transaction_keys: Vec<TransactionKey>,
}

/// A ledger authentication token: the issuer keeps the same 32 bytes and proves with them that it is the issuer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerToken {
    /// Its name.
    pub lat_id: LatId,
    /// The 32 secret bytes.
    pub token: SecretField,
    /// Same number as the credential it came with.
    pub version: u64,
}

/// Names a ledger token without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatReference {
    /// Its name.
    pub lat_id: LatId,
    /// Its number.
    pub version: u64,
}

/// The app's half of the issuer proof: which token, and a fresh nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatChallenge {
    /// Its name.
    pub lat_id: LatId,
    /// Its number.
    pub version: u64,
    /// 32 random bytes of the app.
    pub client_nonce: Base64,
}

/// The issuer's half of the issuer proof (spec 2.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatAnswer {
    /// Its name.
    pub lat_id: LatId,
    /// Its number.
    pub version: u64,
    /// 32 random bytes of the issuer.
    pub server_nonce: Base64,
    /// The proof, 32 bytes.
    pub token: Base64,
}

/// The app asks the issuer to prove itself before a password is typed (spec 2.8): the request step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// What is to be done afterwards.
    pub action: String,
    /// The transaction key that will carry the password proof.
    pub key_id: KeyId,
    /// The token, and the app's nonce.
    pub lat: LatChallenge,
}

/// `params` of the actions that replace the inner layer: the member's secrets, and the password where it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerUpdate {
    /// One more than that of the layer it replaces.
    pub inner_seq: u64,
    /// The new inner layer: `nonce[24] ‖ ciphertext ‖ tag`.
    pub secrets: Base64,
    /// PHC string of the new password; absent when the password stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// A single-use key of the issuer, under which one password proof may travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionKey {
    /// `tk_` and 32 hex digits.
    pub key_id: KeyId,
    /// 32 bytes.
    pub public_key: Base64,
    /// [`TRANSACTION_KEY_ALGORITHM`].
    pub algorithm: String,
    /// Made.
    pub created_at: Timestamp,
    /// Not usable from then on.
    pub expires_at: Timestamp,
}

/// Exactly what `request_hash` covers (spec 2.8): the password proof is bound to these fields and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestBinding {
    /// The operation.
    pub op_id: OperationId,
    /// What is to be done.
    pub action: String,
    /// With what.
    pub params: Value,
    /// Number of the blob that is used.
    pub cek_version: u64,
    /// SHA-256 of the blob bytes.
    pub blob_hash: Digest,
    /// The transaction key that is used up.
    pub key_id: KeyId,
    /// The token that the issuer proved.
    pub lat: LatReference,
}

/// Where the app last saw the vault's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHead {
    /// Incarnation of the vault.
    pub incarnation: u64,
    /// Number of the last commit.
    pub sequence: u64,
    /// Hash of the last commit.
    pub hash: Digest,
}

/// `USE`: one operation with a credential (spec 2.7, step 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseRequest {
    /// The operation; the same over retries.
    pub op_id: OperationId,
    /// What is to be done.
    pub action: String,
    /// With what.
    pub params: Value,
    /// The blob from the app's slot.
    pub encrypted_blob: Base64,
    /// Encapsulated key of the blob.
    pub ephemeral_public_key: Base64,
    /// Number of the blob.
    pub cek_version: u64,
    /// The transaction key that is used up.
    pub key_id: KeyId,
    /// `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`: 136 bytes, or 168 with the inner key.
    pub encrypted_password_hash: Base64,
    /// The token that the issuer proved, and the app's nonce.
    pub lat: LatChallenge,
    /// Versions in the app's slots; one or two.
    pub slots: Vec<u64>,
    /// Where the app last saw the vault; absent before the first answer and towards services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<JournalHead>,
}

/// How a `USE` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseStatus {
    /// Carried out, once.
    Done,
    /// Wrong password; it was counted.
    WrongPassword,
    /// Too early after a wrong password; not evaluated.
    Wait,
    /// Too many wrong passwords.
    Locked,
    /// The blob is an earlier one: a copy of the credential was used.
    StaleCredential,
    /// The blob was replaced by a later answer; use the other slot.
    StalePending,
    /// The transaction key is unknown, used or expired; the live ones are listed.
    UnknownTransactionKey,
    /// It may have run before a restore; the member decides.
    InDoubt,
}

/// `RESULT`: answer to `USE` (spec 2.7, step 3). Repeats of the same operation get the same bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseResult {
    /// The operation.
    pub op_id: OperationId,
    /// How it ended.
    pub status: UseStatus,
    /// What the action gave; only when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_result: Option<Value>,
    /// The credential's next form; only when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_package: Option<CredentialPackage>,
    /// Attempts ever, right and wrong; never falls, so a rolled-back vault shows.
    pub attempts_total: u64,
    /// Earliest next try, in milliseconds; only when waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Usable transaction keys; only when the one named was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live_key_ids: Vec<KeyId>,
}

/// `CONFIRM`: the app has stored the package durably (spec 2.7, step 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The operation.
    pub op_id: OperationId,
    /// The version that is stored.
    pub cek_version: u64,
    /// SHA-256 of the stored blob bytes.
    pub blob_hash: Digest,
}

/// `CONFIRMED`: the issuer has wiped the version before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// The operation.
    pub op_id: OperationId,
    /// The version that is now the only one.
    pub cek_version: u64,
}

/// Answer to a `CONFIRM`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfirmReply {
    /// The version is the only one now.
    Confirmed(Confirmed),
    /// It is not the version that waits: a result with a stale status.
    Stale(Box<UseResult>),
}

/// Asks a vault for the first Vault Credential. The password proof, with the inner key, travels under a transaction key;
/// it is bound to operation, key and [`FirstTerms`], with version, blob and token of zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateCredential {
    /// The operation; the same over retries.
    pub op_id: OperationId,
    /// The transaction key that is used up.
    pub key_id: KeyId,
    /// `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`, 168 bytes.
    pub encrypted_password_hash: Base64,
    /// What the member chose.
    pub terms: FirstTerms,
}

/// What the member chooses for a first credential; the `params` that its password proof is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstTerms {
    /// Salt of the password, 16 bytes.
    pub password_salt: Base64,
    /// Longest grant in minutes: 5 to 60, or 0 for none; absent: 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u32>,
}

/// `params` of a change of the password of a Vault Credential. The vault seals the secrets anew; it needs the old inner key
/// for that, which comes with the password proof, and the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// PHC string of the new password.
    pub hash: String,
    /// The new inner key, boxed under the old one.
    pub sealed_inner_key: Base64,
}

/// How a credential stands at its issuer; before the first one, all of it is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialStatus {
    /// Whether there is one.
    pub exists: bool,
    /// Version that was confirmed last; 0 before the first.
    pub cek_version: u64,
    /// Its epoch; 0 before the first.
    pub credential_epoch: u64,
    /// Wrong passwords in a row.
    pub attempts: u32,
    /// Attempts ever; never falls.
    pub attempts_total: u64,
    /// Whether too many wrong passwords locked it.
    pub locked: bool,
    /// Milliseconds until the next try, where one has to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Transaction keys that the issuer takes.
    pub transaction_keys: u32,
    /// Open grants; only a vault gives any.
    pub grants: u32,
    /// Last commit of the vault's journal before this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<JournalHead>,
    /// The recovery by which this app came, while what is of high value waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryHold>,
}

/// Asks for fresh transaction keys, inside a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplenishKeys {
    /// Keys that the app still holds.
    pub live_key_ids: Vec<KeyId>,
}

/// Fresh transaction keys, and which older ones the issuer still takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplenishedKeys {
    /// New keys.
    pub new_transaction_keys: Vec<TransactionKey>,
    /// Every key that the issuer takes, the new ones included.
    pub live_key_ids: Vec<KeyId>,
}

#[cfg(test)]
mod tests;
