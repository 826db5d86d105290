//! The sealer over a TPM 2.0: a key that only this TPM unseals, under a primary key of its owner hierarchy. The disk alone is
//! worth nothing. Must never go on without the TPM, nor make a new key where something was sealed before.

use super::{Sealer, SealerError};
use crate::host::storage_key::write_new;
use rand_core::CryptoRng;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;
use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::SessionType;
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::structures::{
    Digest, EccPoint, KeyedHashScheme, Private, Public, PublicBuilder, PublicEccParametersBuilder,
    PublicKeyedHashParameters, SensitiveData, SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::{Context, TctiNameConf};
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::lock::SealerKind;
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"VTP\x01";

/// Which TPM, and where the sealed key lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmConfig {
    /// The way to the TPM, such as `device:/dev/tpmrm0`.
    pub tcti: String,
    /// The key that the TPM sealed; made at the first start. Without this TPM it is worth nothing.
    pub key_file: PathBuf,
}

/// A key that a TPM released.
pub struct Tpm(StorageKey);

impl Tpm {
    /// Lets the TPM unseal the key. Where nothing was sealed before (`is_new`), a missing key is made.
    ///
    /// # Errors
    /// [`SealerError::Failed`], with what to do.
    pub fn open(config: &TpmConfig, is_new: bool, rng: &mut dyn CryptoRng) -> Result<Self, SealerError> {
        let tcti = TctiNameConf::from_str(&config.tcti)
            .map_err(|error| failed(format_args!("{:?} names no way to a TPM: {error}", config.tcti)))?;
        let mut context = Context::new(tcti)
            .map_err(|error| failed(format_args!("the TPM at {:?} cannot be reached: {error}", config.tcti)))?;
        guard(&mut context).map_err(told)?;
        let primary = primary(&mut context).map_err(told)?;
        match fs::read(&config.key_file) {
            Ok(stored) => unseal(&mut context, primary, &stored, config),
            Err(error) if error.kind() == ErrorKind::NotFound && is_new => {
                let key = StorageKey::random(rng);
                let sealed = seal_key(&mut context, primary, &key).map_err(told)?;
                write_new(&config.key_file, &sealed).map_err(|error| failed(format_args!("{error}")))?;
                // What was written is what the next start finds.
                unseal(&mut context, primary, &sealed, config)
            }
            Err(error) => Err(failed(format_args!(
                "the sealed key {}: {error}; this host sealed its vaults before, so restore that file",
                config.key_file.display()
            ))),
        }
    }
}

impl std::fmt::Debug for Tpm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tpm")
    }
}

impl Sealer for Tpm {
    fn kind(&self) -> SealerKind {
        SealerKind::Tpm
    }

    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealerError> {
        Ok(seal_file(&self.0, purpose, plaintext, rng))
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBytes, SealerError> {
        open_file(&self.0, purpose, sealed).map_err(|_| SealerError::NotOpened)
    }
}

fn failed(what: std::fmt::Arguments<'_>) -> SealerError {
    SealerError::Failed(what.to_string())
}

fn told(error: tss_esapi::Error) -> SealerError {
    failed(format_args!("the TPM: {error}"))
}

/// A session whose parameters are encrypted: whoever listens on the bus of the TPM does not see the key.
fn guard(context: &mut Context) -> Result<(), tss_esapi::Error> {
    let cipher = SymmetricDefinition::AES_128_CFB;
    let session = context.start_auth_session(None, None, None, SessionType::Hmac, cipher, HashingAlgorithm::Sha256)?;
    if let Some(session) = session {
        let (attributes, mask) = SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
        context.tr_sess_set_attributes(session, attributes, mask)?;
    }
    context.set_sessions((session, None, None));
    Ok(())
}

/// The storage key of the owner hierarchy: the same at every start, as long as the TPM has the same owner.
fn primary(context: &mut Context) -> Result<KeyHandle, tss_esapi::Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_restricted(true)
        .with_decrypt(true)
        .with_no_da(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    )
    .build()?;
    let public = PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()?;
    Ok(context.create_primary(Hierarchy::Owner, public, None, None, None, None)?.key_handle)
}

/// `"VTP" ‖ u8 1 ‖ u16 length ‖ public ‖ private`.
fn seal_key(context: &mut Context, primary: KeyHandle, key: &StorageKey) -> Result<Vec<u8>, tss_esapi::Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .build()?;
    let public = PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()?;
    let content = SensitiveData::try_from(key.expose().to_vec())?;
    let made = context.create(primary, public, None, Some(content), None, None)?;
    let (public, private) = (made.out_public.marshall()?, made.out_private.value().to_vec());
    let length = u16::try_from(public.len()).unwrap_or(u16::MAX).to_be_bytes();
    Ok([MAGIC.as_slice(), &length, &public, &private].concat())
}

fn unseal(context: &mut Context, primary: KeyHandle, stored: &[u8], config: &TpmConfig) -> Result<Tpm, SealerError> {
    let other = || failed(format_args!("{} is not a key that this TPM sealed", config.key_file.display()));
    let (public, private) = parts(stored).ok_or_else(other)?;
    let object = context.load(primary, private, public).map_err(|error| {
        failed(format_args!(
            "this TPM did not seal {}, or its owner changed since ({error}); restore the vaults from a backup",
            config.key_file.display()
        ))
    })?;
    let content = Zeroizing::new(context.unseal(object.into()).map_err(told)?.value().to_vec());
    Secret32::from_slice(&content).map(|secret| Tpm(StorageKey::from_secret(secret))).ok_or_else(other)
}

fn parts(stored: &[u8]) -> Option<(Public, Private)> {
    let (length, rest) = stored.strip_prefix(MAGIC)?.split_first_chunk::<2>()?;
    let (public, private) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((Public::unmarshall(public).ok()?, Private::try_from(private.to_vec()).ok()?))
}
