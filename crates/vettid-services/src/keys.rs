//! Every secret that services hold: made at the first start, sealed in one file, read at each later start. Must never
//! be made anew beside what older keys signed or sealed.

use crate::randomness;
use crate::sealed::{self, SealedError, SealedFolder};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use vettid_core::enrolment::BearerToken;
use vettid_core::grants::account::{HostKeys, OperatorAccounts};
use vettid_core::grants::store_key::StoreKey;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::nats::key::{AccountKey, AccountPublic, InvalidKey, Kind, OperatorKey, SecretKey};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::suite::{KemSecretKey, Suite, SuiteError};
use vettid_nats::tls::{CertificateAuthority, TlsError};
use vettid_wire::id::MemberId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

const FILE: &str = "services";
const BOOTSTRAP: &str = "bootstrap";

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The sealed files.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The data folder was used before, but its keys are gone.
    #[error("the data folder has a ledger, but the keys that belong to it are missing; bring them back")]
    Lost,
    /// The file opens, but holds something else.
    #[error("the sealed keys are not those of this version")]
    Form(#[source] JsonError),
    /// A key in the file is no key.
    #[error("a sealed key cannot be used")]
    Key(#[from] InvalidKey),
    /// The key of envelopes could not be made.
    #[error("the key of envelopes cannot be made")]
    Suite(#[from] SuiteError),
    /// The certificate authority could not be made or read.
    #[error("the certificate authority cannot be used")]
    Authority(#[from] TlsError),
}

/// The form of the sealed file.
#[derive(Serialize, Deserialize)]
enum Version {
    #[serde(rename = "1")]
    One,
}

/// What is in the sealed file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: Version,
    #[serde(with = "vettid_crypto::stored")]
    operator: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    operator_signing: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    system: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    vault_services: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    service_registry: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    vault_host: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    provisioner: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    control: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    registry: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    host_subscribing: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    host_publishing: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    host_admin: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    broker_store: Secret32,
    #[serde(with = "vettid_crypto::stored")]
    command_signing: SigningKey,
    #[serde(with = "vettid_crypto::stored")]
    registry_identity: SigningKey,
    #[serde(with = "vettid_crypto::stored")]
    envelopes: KemSecretKey,
    #[serde(with = "vettid_crypto::stored")]
    registry_kem: KemSecretKey,
    registry_guid: MemberId,
    made_at: Timestamp,
    #[serde(with = "vettid_crypto::stored")]
    host_token: SecretBytes,
    #[serde(with = "vettid_crypto::stored")]
    service_token: SecretBytes,
    authority_certificate: String,
    #[serde(with = "vettid_crypto::stored")]
    authority_key: SecretBytes,
}

/// The keys of services, ready for use.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Names the operator; signs the operator's own claim.
    pub(crate) operator: OperatorKey,
    /// Signs every account.
    pub(crate) operator_signing: OperatorKey,
    /// The operator's accounts.
    pub(crate) accounts: OperatorAccounts,
    /// Mints the provisioner.
    pub(crate) provisioner: AccountKey,
    /// Mints the control identity.
    pub(crate) control: AccountKey,
    /// Mints the registry.
    pub(crate) registry: AccountKey,
    /// Mints hosts, receiving.
    pub(crate) host_subscribing: AccountKey,
    /// Mints hosts, sending.
    pub(crate) host_publishing: AccountKey,
    /// Mints the creator of the hosts' streams.
    pub(crate) host_admin: AccountKey,
    /// The broker's key at rest.
    pub(crate) broker_store: Secret32,
    /// Signs control commands; the identity of services towards hosts and vaults.
    pub(crate) command_signing: SigningKey,
    /// The registry's identity.
    pub(crate) registry_identity: SigningKey,
    /// Opens what vaults tell services.
    pub(crate) envelopes: KemSecretKey,
    /// The registry's key for what is sealed to it.
    pub(crate) registry_kem: KemSecretKey,
    /// The registry's own id.
    pub(crate) registry_guid: MemberId,
    /// When the keys were made.
    pub(crate) made_at: Timestamp,
    /// Lets hosts join.
    pub(crate) host_token: BearerToken,
    /// Lets services register.
    pub(crate) service_token: BearerToken,
    authority_certificate: String,
    authority_key: Zeroizing<String>,
}

/// Opens the sealed folder of `data_dir`; at the very first start the key file and the keys are made.
///
/// # Errors
/// [`KeysError`]
pub(crate) fn load_or_make(data_dir: &Path, key_file: &Path, now: Timestamp) -> Result<(Keys, Bootstraps), KeysError> {
    let folder = data_dir.join("keys");
    let used = data_dir.join("ledger.sqlite").exists() || folder.join(format!("{FILE}.sealed")).exists();
    let key = match sealed::read_key(key_file) {
        Err(SealedError::KeyMissing(_)) if !used => sealed::make_key(key_file, &mut randomness::system())?,
        read => read?,
    };
    let folder = SealedFolder::open(folder, key)?;
    let stored = match folder.read(FILE)? {
        Some(content) => read(&content)?,
        None if used => return Err(KeysError::Lost),
        None => make(&folder, now)?,
    };
    Ok((Keys::new(stored)?, Bootstraps { folder, making: Mutex::default() }))
}

/// Opens the sealed folder of `data_dir` beside running services; makes nothing.
///
/// # Errors
/// [`KeysError`]
pub(crate) fn load(data_dir: &Path, key_file: &Path) -> Result<Keys, KeysError> {
    let folder = SealedFolder::open(data_dir.join("keys"), sealed::read_key(key_file)?)?;
    Keys::new(read(&folder.read(FILE)?.ok_or(KeysError::Lost)?)?)
}

fn read(content: &SecretBytes) -> Result<Stored, KeysError> {
    json::read(content.expose()).map_err(KeysError::Form)
}

fn make(folder: &SealedFolder, now: Timestamp) -> Result<Stored, KeysError> {
    let rng = &mut randomness::system();
    let authority = CertificateAuthority::generate(now)?;
    let stored = fresh(&authority, now, rng)?;
    let content = serde_json::to_vec(&stored).map_err(|error| KeysError::Form(JsonError::Shape(error)))?;
    folder.write(FILE, &SecretBytes::new(content), rng)?;
    Ok(stored)
}

fn fresh(authority: &CertificateAuthority, now: Timestamp, rng: &mut dyn CryptoRng) -> Result<Stored, KeysError> {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    Ok(Stored {
        version: Version::One,
        operator: Secret32::random(rng),
        operator_signing: Secret32::random(rng),
        system: Secret32::random(rng),
        vault_services: Secret32::random(rng),
        service_registry: Secret32::random(rng),
        vault_host: Secret32::random(rng),
        provisioner: Secret32::random(rng),
        control: Secret32::random(rng),
        registry: Secret32::random(rng),
        host_subscribing: Secret32::random(rng),
        host_publishing: Secret32::random(rng),
        host_admin: Secret32::random(rng),
        broker_store: Secret32::random(rng),
        command_signing: SigningKey::random(rng),
        registry_identity: SigningKey::random(rng),
        envelopes: KemSecretKey::generate(Suite::X25519, rng)?,
        registry_kem: KemSecretKey::generate(Suite::X25519, rng)?,
        registry_guid: MemberId::v7(now, random),
        made_at: now,
        host_token: SecretBytes::new(BearerToken::random(rng).expose().into_bytes()),
        service_token: SecretBytes::new(BearerToken::random(rng).expose().into_bytes()),
        authority_certificate: authority.certificate_pem().to_owned(),
        authority_key: SecretBytes::copied_from(authority.expose_key_pem().as_bytes()),
    })
}

fn key<K: Kind>(seed: Secret32) -> Result<SecretKey<K>, InvalidKey> {
    SecretKey::from_secret(seed)
}

fn account(seed: Secret32) -> Result<AccountPublic, InvalidKey> {
    Ok(key(seed)?.public().clone())
}

fn text(secret: &SecretBytes) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(secret.expose()).into_owned())
}

impl Keys {
    fn new(stored: Stored) -> Result<Self, KeysError> {
        Ok(Self {
            operator: key(stored.operator)?,
            operator_signing: key(stored.operator_signing)?,
            accounts: OperatorAccounts {
                system: account(stored.system)?,
                vault_services: account(stored.vault_services)?,
                service_registry: account(stored.service_registry)?,
                vault_host: account(stored.vault_host)?,
            },
            provisioner: key(stored.provisioner)?,
            control: key(stored.control)?,
            registry: key(stored.registry)?,
            host_subscribing: key(stored.host_subscribing)?,
            host_publishing: key(stored.host_publishing)?,
            host_admin: key(stored.host_admin)?,
            broker_store: stored.broker_store,
            command_signing: stored.command_signing,
            registry_identity: stored.registry_identity,
            envelopes: stored.envelopes,
            registry_kem: stored.registry_kem,
            registry_guid: stored.registry_guid,
            made_at: stored.made_at,
            host_token: BearerToken::presented(&text(&stored.host_token)),
            service_token: BearerToken::presented(&text(&stored.service_token)),
            authority_certificate: stored.authority_certificate,
            authority_key: text(&stored.authority_key),
        })
    }

    /// The keys that mint the hosts' identities.
    pub(crate) fn host_keys(&self) -> HostKeys {
        HostKeys {
            subscribing: self.host_subscribing.public().clone(),
            publishing: self.host_publishing.public().clone(),
            admin: self.host_admin.public().clone(),
        }
    }

    /// The key of the broker's store.
    pub(crate) fn store_key(&self) -> StoreKey {
        StoreKey::new(self.broker_store.duplicate())
    }

    /// The authority of every certificate here.
    ///
    /// # Errors
    /// [`TlsError`] if the kept authority is not readable.
    pub(crate) fn authority(&self) -> Result<CertificateAuthority, TlsError> {
        CertificateAuthority::from_pem(self.authority_certificate.clone(), self.authority_key.clone())
    }

    /// Whether this key is one of the operator's own, which nobody else may bring.
    pub(crate) fn is_own(&self, nkey: &AccountPublic) -> bool {
        let accounts = &self.accounts;
        let identities = [&accounts.system, &accounts.vault_services, &accounts.service_registry, &accounts.vault_host];
        let signing = [
            &self.provisioner,
            &self.control,
            &self.registry,
            &self.host_subscribing,
            &self.host_publishing,
            &self.host_admin,
        ];
        identities.contains(&nkey) || signing.iter().any(|key| key.public() == nkey)
    }
}

/// The signing keys for apps before the handshake, one for each member.
#[derive(Debug)]
pub(crate) struct Bootstraps {
    pub(crate) folder: SealedFolder,
    /// Keys are made one after the other, so that a member who asks twice at once gets one.
    making: Mutex<()>,
}

impl Bootstraps {
    /// The member's key; made if there is none yet.
    ///
    /// # Errors
    /// [`KeysError`]
    pub(crate) fn load_or_make(&self, guid: MemberId) -> Result<AccountKey, KeysError> {
        let _turn = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.load(guid)? {
            return Ok(key);
        }
        let rng = &mut randomness::system();
        let seed = SecretBytes::random(rng, 32);
        self.folder.write(&name(guid), &seed, rng)?;
        self.load(guid)?.ok_or(KeysError::Lost)
    }

    /// The member's key, if it was made.
    ///
    /// # Errors
    /// [`KeysError`]
    pub(crate) fn load(&self, guid: MemberId) -> Result<Option<AccountKey>, KeysError> {
        let Some(seed) = self.folder.read(&name(guid))? else {
            return Ok(None);
        };
        let seed = Secret32::from_slice(seed.expose()).ok_or(KeysError::Lost)?;
        Ok(Some(key(seed)?))
    }
}

fn name(guid: MemberId) -> String {
    format!("{BOOTSTRAP}-{guid}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }

    fn places(folder: &TempDir) -> (PathBuf, PathBuf) {
        (folder.path().join("data"), folder.path().join("services.key"))
    }

    #[test]
    fn later_starts_have_the_same_keys() {
        let folder = TempDir::new().unwrap();
        let (data, key) = places(&folder);
        let (first, bootstraps) = load_or_make(&data, &key, now()).unwrap();
        let guid = first.registry_guid;
        let bootstrap = bootstraps.load_or_make(guid).unwrap();
        let (second, again) = load_or_make(&data, &key, now()).unwrap();
        assert_eq!(first.operator.public(), second.operator.public());
        assert_eq!(first.accounts, second.accounts);
        assert_eq!(first.registry_identity.key_id(), second.registry_identity.key_id());
        assert_eq!(first.host_token.hash(), second.host_token.hash());
        assert_ne!(first.host_token.hash(), first.service_token.hash());
        assert_eq!(first.store_key().fingerprint(), second.store_key().fingerprint());
        assert_eq!(again.load(guid).unwrap().unwrap().public(), bootstrap.public());
        assert_eq!(again.load_or_make(guid).unwrap().public(), bootstrap.public());
    }

    #[test]
    fn keys_are_never_made_anew_beside_what_older_ones_signed() {
        let folder = TempDir::new().unwrap();
        let (data, key) = places(&folder);
        load_or_make(&data, &key, now()).unwrap();
        fs::rename(&key, folder.path().join("elsewhere")).unwrap();
        let missing = load_or_make(&data, &key, now()).unwrap_err();
        assert!(matches!(missing, KeysError::Sealed(SealedError::KeyMissing(_))), "{missing}");
        sealed::make_key(&key, &mut randomness::system()).unwrap();
        let wrong = load_or_make(&data, &key, now()).unwrap_err();
        assert!(matches!(wrong, KeysError::Sealed(SealedError::Unopened { .. })), "{wrong}");
        assert!(wrong.to_string().contains("does not open with this key file"));
        fs::write(data.join("ledger.sqlite"), "").unwrap();
        fs::remove_file(data.join("keys/services.sealed")).unwrap();
        assert!(matches!(load_or_make(&data, &key, now()), Err(KeysError::Lost)));
    }

    #[test]
    fn no_secret_lies_on_disk_in_clear() {
        let folder = TempDir::new().unwrap();
        let (data, key) = places(&folder);
        let (keys, _) = load_or_make(&data, &key, now()).unwrap();
        let on_disk = fs::read(data.join("keys/services.sealed")).unwrap();
        let seed = keys.operator.seed().unwrap();
        for secret in [seed.expose(), keys.host_token.expose().as_bytes(), b"PRIVATE KEY"] {
            assert!(!on_disk.windows(secret.len()).any(|window| window == secret));
        }
    }

    #[test]
    fn a_member_gets_one_key_however_many_ask_at_once() {
        let folder = TempDir::new().unwrap();
        let (data, key) = places(&folder);
        let (keys, bootstraps) = load_or_make(&data, &key, now()).unwrap();
        let ask = || bootstraps.load_or_make(keys.registry_guid).unwrap().public().clone();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }

    #[test]
    fn the_operators_own_keys_are_known() {
        let folder = TempDir::new().unwrap();
        let (data, key) = places(&folder);
        let (keys, bootstraps) = load_or_make(&data, &key, now()).unwrap();
        assert!(keys.is_own(&keys.accounts.vault_host) && keys.is_own(keys.host_admin.public()));
        assert!(!keys.is_own(bootstraps.load_or_make(keys.registry_guid).unwrap().public()));
    }
}
