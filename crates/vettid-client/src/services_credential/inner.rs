//! The inner layer: the vault access key and the backup keys, sealed under the password by the app. Its bytes in clear live for
//! one step.

use crate::random::SystemRandom;
use crate::vault_credential::CredentialError;
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::password::InnerKey;
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64::Base64;
use vettid_wire::credential::SecretField;
use vettid_wire::json;
use vettid_wire::services_credential::{BackupKeys, SealedSecrets, ServicesSecrets};

/// The form of the content.
const VERSION: u8 = 1;

/// The content of a first credential: fresh keys, nothing retired.
pub(super) fn fresh(random: &mut dyn rand_core::CryptoRng) -> Result<SecretBytes, CredentialError> {
    let mut key = || SecretField::new(Secret32::random(random).expose().to_vec());
    let secrets = ServicesSecrets {
        version: VERSION,
        vault_access_key: key(),
        backup_keys: BackupKeys { active: key(), previous: None, retired: Vec::new() },
    };
    Ok(SecretBytes::new(json::canonical(&secrets)?))
}

/// Seals a content as the layer of this number.
pub(super) fn seal(place: InnerPlace, key: &InnerKey, content: &SecretBytes, mut random: SystemRandom) -> Base64 {
    Base64::new(place.seal(key, content.expose(), &mut random))
}

/// Opens what services gave back.
pub(super) fn open(place: InnerPlace, key: &InnerKey, sealed: &SealedSecrets) -> Result<SecretBytes, CredentialError> {
    let place = InnerPlace { inner_seq: sealed.inner_seq, ..place };
    let content = place.open(key, sealed.secrets.as_bytes()).map_err(|_| CredentialError::NotIntact)?;
    let secrets: ServicesSecrets = json::read(content.expose()).map_err(|_| CredentialError::NotIntact)?;
    if secrets.version == VERSION { Ok(content) } else { Err(CredentialError::NotIntact) }
}
