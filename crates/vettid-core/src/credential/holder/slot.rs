//! One slot of the app: a package and what the password needs besides itself to use it, with length and digest, so that a
//! write that was cut off shows. Must never come back from a torn file.

use serde::{Deserialize, Serialize};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, PasswordSalt};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::stored::{InvalidStored, Stored};
use vettid_wire::base64::Base64;
use vettid_wire::credential::CredentialPackage;
use vettid_wire::digest::Digest;
use vettid_wire::id::OperationId;
use vettid_wire::time::Timestamp;

use super::record::SlotEntry;

/// `"VSLOT" ‖ u8 1 ‖ u32 length ‖ SHA-256 ‖ JSON`.
const MAGIC: &[u8; 6] = b"VSLOT\x01";

/// What a password needs besides itself: both change with it, so each package carries its own.
#[derive(Debug)]
pub struct PasswordParts {
    /// The salt.
    pub salt: PasswordSalt,
    /// The app's half.
    pub device_secret: DeviceSecret,
    /// When both were made; `None` if that was not recorded.
    pub made_at: Option<Timestamp>,
}

impl PasswordParts {
    /// A second copy, for the slot of the next version.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let device_secret = DeviceSecret::from_secret(Secret32::copied_from(self.device_secret.expose()));
        Self { salt: self.salt, device_secret, made_at: self.made_at }
    }
}

/// `{salt, device_secret, made_at}`; earlier programs wrote no time.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredPasswordParts {
    salt: Base64,
    device_secret: <DeviceSecret as Stored>::Form,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
}

impl Stored for PasswordParts {
    type Form = StoredPasswordParts;

    fn to_form(&self) -> StoredPasswordParts {
        let (salt, device_secret) = (Base64::new(*self.salt.as_bytes()), self.device_secret.to_form());
        StoredPasswordParts { salt, device_secret, made_at: self.made_at }
    }

    fn from_form(form: StoredPasswordParts) -> Result<Self, InvalidStored> {
        let salt = form.salt.as_bytes().try_into().map_err(|_| InvalidStored)?;
        let device_secret = DeviceSecret::from_form(form.device_secret)?;
        Ok(Self { salt: PasswordSalt::from_bytes(salt), device_secret, made_at: form.made_at })
    }
}

/// The content of one slot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The operation that made the package.
    pub op_id: OperationId,
    /// The package, without its transaction keys.
    pub package: CredentialPackage,
    /// What its password needs.
    #[serde(with = "vettid_crypto::stored")]
    pub password: PasswordParts,
    /// The `attempts_total` that came with the package.
    #[serde(default)]
    pub attempts_total: u64,
}

impl Slot {
    /// The bytes to write; they hold secrets in clear: seal them at once.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn to_bytes(&self) -> Result<SecretBytes, serde_json::Error> {
        let content = SecretBytes::new(serde_json::to_vec(self)?);
        let length = u32::try_from(content.expose().len()).map_err(serde::ser::Error::custom)?;
        let digest = h256(content.expose());
        Ok(SecretBytes::new([MAGIC.as_slice(), &length.to_be_bytes(), &digest, content.expose()].concat()))
    }

    /// The content of a slot; `None` if the bytes are not a whole one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (digest, content) = rest.split_first_chunk::<32>()?;
        let whole = usize::try_from(u32::from_be_bytes(*length)).ok()? == content.len() && h256(content) == *digest;
        if whole { serde_json::from_slice(content).ok() } else { None }
    }

    /// The slot as the rules see it.
    #[must_use]
    pub fn entry(&self) -> SlotEntry {
        entry(self.op_id, &self.package)
    }
}

pub(super) fn entry(op_id: OperationId, package: &CredentialPackage) -> SlotEntry {
    SlotEntry {
        epoch: package.credential_epoch,
        version: package.cek_version,
        derived_from: package.prev_cek_version,
        blob_hash: Digest::from_bytes(h256(package.encrypted_blob.as_bytes())),
        op_id,
    }
}
