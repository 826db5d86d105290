//! What an operator who means harm has: the key file of services, and with it every key of the operator. The form of
//! the sealed files is read here once more, on purpose: a change of it that leaves old files unreadable shows up.

use crate::canary::Canary;
use crate::stack::Place;
use async_nats::{Auth, Client, ConnectError, ConnectOptions};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, OperatorIdentity};
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::nats::key::{Account, AccountKey, AccountPublic, Kind, OperatorKey, SecretKey, UserKey};
use vettid_crypto::secret::Secret32;
use vettid_nats::clock;
use vettid_nats::connection::{Connection, Endpoint};
use vettid_nats::provisioner::Provisioner;
use vettid_nats::tls::ClientTls;
use vettid_testkit::operator::fresh_key;
use vettid_wire::base64::decode;

/// Whoever is thrown out tries again soon.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The operator's keys.
pub(crate) struct OperatorKeys {
    pub(crate) signing: OperatorKey,
    pub(crate) system: AccountPublic,
    provisioner: AccountKey,
    /// Every secret in the file, by its name.
    pub(crate) secrets: Vec<Canary>,
}

/// The key in a key file: 32 bytes, in base64 on the first line or as they are.
pub(crate) fn key_of(path: &Path) -> StorageKey {
    let bytes = fs::read(path).unwrap();
    let decoded = std::str::from_utf8(&bytes).ok().and_then(|text| decode(text.lines().next()?).ok());
    StorageKey::from_secret(Secret32::from_slice(&decoded.unwrap_or(bytes)).unwrap())
}

/// The content of a sealed file.
pub(crate) fn open_sealed(key_file: &Path, purpose: &str, path: &Path) -> Value {
    let opened = at_rest::open_file(&key_of(key_file), purpose, &fs::read(path).unwrap()).unwrap();
    serde_json::from_slice(opened.expose()).unwrap()
}

fn secret<K: Kind>(stored: &Value, name: &str) -> SecretKey<K> {
    let seed = decode(stored[name].as_str().unwrap()).unwrap();
    SecretKey::from_secret(Secret32::from_slice(&seed).unwrap()).unwrap()
}

impl OperatorKeys {
    /// Opens the sealed keys of services.
    pub(crate) fn of(place: &Place) -> Self {
        let data = place.data();
        let stored = open_sealed(&data.join("services.key"), "services", &data.join("services/keys/services.sealed"));
        let fields = stored.as_object().unwrap().iter();
        let secrets = fields.filter_map(|(name, value)| {
            // The other fields are no secrets: a version, a time, an id, a certificate.
            let bytes = decode(value.as_str()?).ok().filter(|bytes| bytes.len() >= 16)?;
            Some(Canary::new(format!("services' {name}"), bytes))
        });
        Self {
            secrets: secrets.collect(),
            signing: secret(&stored, "operator_signing"),
            system: secret::<Account>(&stored, "system").public().clone(),
            provisioner: secret(&stored, "provisioner"),
        }
    }

    /// Connects as the one who stores accounts in the broker.
    pub(crate) async fn provisioner(&self, broker: &Broker) -> Provisioner {
        let identity = OperatorIdentity { role: OperatorRole::Provisioner, process: "spy".parse().unwrap() };
        let user: Arc<UserKey> = Arc::new(fresh_key().unwrap());
        let minted = mint::operator(&identity, user.public(), &self.system, &self.provisioner, clock::now()).unwrap();
        let credential = Credential::operator(&identity, user, minted.jwt, clock::now()).unwrap();
        Provisioner::new(Connection::open(&broker.0, credential).await.unwrap())
    }
}

/// The broker as everybody reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Broker(Endpoint);

impl Broker {
    /// The one of this stack, where it listens now.
    pub(crate) fn of(place: &Place) -> Self {
        let authority = fs::read_to_string(place.data().join("services/ca.pem")).unwrap();
        let address = format!("tls://127.0.0.1:{}", place.broker_ports()["client"]);
        Self(Endpoint { address, tls: ClientTls::trusting(&authority).unwrap() })
    }

    /// Connects with a client that does whatever it likes, as far as the broker lets it.
    pub(crate) async fn connect(&self, credential: &Credential) -> Result<Client, ConnectError> {
        let (inbox, credential) = (credential.inbox().to_owned(), credential.clone());
        let auth = move |nonce: Vec<u8>| {
            let mut auth = Auth::new();
            auth.jwt = Some(credential.jwt().as_str().to_owned());
            auth.signature = credential.sign(&nonce).map(|signature| signature.to_vec());
            async move { Ok(auth) }
        };
        let options = ConnectOptions::with_auth_callback(auth).require_tls(true).tls_first();
        let options = options.reconnect_delay_callback(|_| RECONNECT_PAUSE).custom_inbox_prefix(inbox);
        let options = options.tls_client_config(self.0.tls.config());
        options.connect(&self.0.address).await
    }
}
