//! The broker under the control of services: the supervised server, the streams of the hosts, and the identities of
//! services, whose tokens of one hour are renewed at half time. Must never push an account that was read before a
//! revocation and signed after it.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use crate::keys::Keys;
use crate::randomness;
use crate::service::SERVICE_DISK_BYTES;
use bytes::Bytes;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, watch};
use vettid_core::control::{self, Order};
use vettid_core::grants::account;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, OperatorIdentity};
use vettid_core::grants::role::OperatorRole;
use vettid_core::grants::trust::{ServerTrust, SignedAccount};
use vettid_crypto::nats::account::{AccountClaims, EVERYBODY};
use vettid_crypto::nats::key::{AccountKey, AccountPublic, InvalidKey, UserKey, UserPublic};
use vettid_crypto::nats::token::TokenError;
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, ConnectionState, Endpoint, RequestError, Subscription};
use vettid_nats::provisioner::Provisioner;
use vettid_nats::server::{Ports, Server, ServerError, ServerPlan, ServerState};
use vettid_nats::streams::{self, InitialisationMark, StreamError, StreamLimits, StreamPlan};
use vettid_nats::tls::TlsError;
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::{Counter, LedgerError};
use vettid_store::revocation::Revocation;
use vettid_wire::control::{ControlCommand, ControlOutcome, ControlResult, Target};
use vettid_wire::id::HostId;
use vettid_wire::json;
use vettid_wire::subject::Pattern;

/// The name of the one process that services are.
const PROCESS: &str = "services";
/// How long a host may take for one attempt of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// A command without answer is sent again, byte for byte: the host answers the second time what it did the first time.
const COMMAND_ATTEMPTS: u32 = 2;
const COMMAND_LIFE_MS: i64 = 60_000;
/// How often an identity looks whether its token is due.
const RENEWAL_CHECK: Duration = Duration::from_secs(30);
const RENEWAL_RETRY: Duration = Duration::from_secs(2);

/// Why the broker is not there.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The certificate authority.
    #[error(transparent)]
    Authority(#[from] TlsError),
    /// A key of an identity could not be made.
    #[error("an identity of services has no key")]
    Key(#[from] InvalidKey),
    /// A token of an identity could not be made.
    #[error("an identity of services has no token")]
    Token(#[from] TokenError),
    /// An identity could not connect.
    #[error("services cannot connect to their own broker")]
    Connect(#[from] ConnectError),
    /// A subscription or a flush failed.
    #[error("services cannot use their own broker")]
    Request(#[from] RequestError),
    /// The streams of the hosts.
    #[error(transparent)]
    Streams(#[from] StreamError),
    /// The revocations of the hosts could not be read.
    #[error("the ledger does not tell who was cut off")]
    Ledger(#[from] LedgerError),
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    /// Taken out when it is stopped.
    server: Mutex<Option<Server>>,
    endpoint: Endpoint,
    ports: Ports,
    state: watch::Receiver<ServerState>,
    control: Identity,
    provisioner: Identity,
    disk_bytes: i64,
    service_places: u64,
    /// Commands for one host go out one after the other: their numbers rise in the order of sending.
    turns: Mutex<HashMap<HostId, Arc<AsyncMutex<()>>>>,
    /// Accounts are read, signed and pushed one after the other, so that no revocation is lost.
    pushing: AsyncMutex<()>,
}

/// What a broker is started with.
pub(crate) struct BrokerPlan<'a> {
    pub(crate) program: &'a Path,
    pub(crate) data_dir: &'a Path,
    pub(crate) websocket_origins: &'a [String],
    pub(crate) disk_bytes: u64,
    /// Hosts' identities that were cut off.
    pub(crate) revoked_hosts: Vec<Revocation>,
}

/// Three quarters of the room are for hosts, the rest for services.
fn host_disk_bytes(disk_bytes: u64) -> i64 {
    i64::try_from(disk_bytes / 4 * 3).unwrap_or(i64::MAX)
}

fn service_places(disk_bytes: u64) -> u64 {
    let rest = disk_bytes.saturating_sub(u64::try_from(host_disk_bytes(disk_bytes)).unwrap_or(u64::MAX));
    rest / u64::try_from(SERVICE_DISK_BYTES).unwrap_or(u64::MAX)
}

/// Adds revocations to a claim. An unreadable key in the ledger cuts off nobody, so it is an error.
fn revoke(claims: &mut AccountClaims, revocations: &[Revocation]) -> Result<(), InvalidKey> {
    for revocation in revocations {
        if revocation.user_nkey == EVERYBODY {
            claims.revoke_everybody(revocation.revoked_at);
            continue;
        }
        let user: UserPublic = revocation.user_nkey.parse()?;
        claims.revoke(&user, revocation.revoked_at);
    }
    Ok(())
}

impl Broker {
    /// Starts the server with the operator's accounts, makes the hosts' streams and connects services' identities.
    pub(crate) async fn start(plan: BrokerPlan<'_>, keys: &Keys) -> Result<Self, BrokerError> {
        let disk_bytes = host_disk_bytes(plan.disk_bytes);
        let folder = plan.data_dir.join("broker");
        let server = Server::start(ServerPlan {
            program: plan.program.to_owned(),
            folder: folder.clone(),
            trust: trust(keys, disk_bytes, &plan.revoked_hosts)?,
            store_key: keys.store_key(),
            authority: keys.authority()?,
            websocket_origins: plan.websocket_origins.to_vec(),
            disk_bytes: plan.disk_bytes,
        })
        .await?;
        let endpoint = server.endpoint();
        let admin = Identity::connect(OperatorRole::HostAdmin, &endpoint, keys).await?;
        let limits = StreamLimits { inbox_bytes: disk_bytes / 4, ..StreamLimits::default() };
        let mark = InitialisationMark::at(folder.join("streams.made"));
        streams::initialise(&admin.connection, &StreamPlan::hosts(limits), &mark).await?;
        admin.connection.close().await?;
        let control = Identity::connect(OperatorRole::ServicesControl, &endpoint, keys).await?;
        let provisioner = Identity::connect(OperatorRole::Provisioner, &endpoint, keys).await?;
        Ok(Self {
            ports: server.ports(),
            state: server.state(),
            server: Mutex::new(Some(server)),
            endpoint,
            control,
            provisioner,
            disk_bytes,
            service_places: service_places(plan.disk_bytes),
            turns: Mutex::default(),
            pushing: AsyncMutex::default(),
        })
    }

    /// The address for clients.
    pub(crate) fn address(&self) -> String {
        self.endpoint.address.clone()
    }

    /// Where the server listens.
    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// How the server is, and how that changes.
    pub(crate) fn state(&self) -> watch::Receiver<ServerState> {
        self.state.clone()
    }

    /// Room for the hosts' streams.
    pub(crate) fn disk_bytes(&self) -> i64 {
        self.disk_bytes
    }

    /// For how many services there is room.
    pub(crate) fn service_places(&self) -> u64 {
        self.service_places
    }

    /// Whether server and identities work now.
    pub(crate) fn is_ready(&self) -> bool {
        let connected = |identity: &Identity| *identity.connection.state().borrow() == ConnectionState::Connected;
        *self.state.borrow() == ServerState::Ready && connected(&self.control) && connected(&self.provisioner)
    }

    /// What vaults tell services. Live once this returns.
    pub(crate) async fn hear_vaults(&self) -> Result<Subscription, RequestError> {
        let subscription = self.control.connection.subscribe(&Pattern::ForServices(None, None)).await?;
        self.control.connection.settle().await?;
        Ok(subscription)
    }

    /// Keeps the identities of services alive. Ends only when it is dropped.
    pub(crate) async fn keep_identities(&self, keys: &Keys) {
        tokio::join!(self.control.keep(keys), self.provisioner.keep(keys));
    }

    /// Closes the connections and stops the server. A second time does nothing.
    pub(crate) async fn stop(&self) -> Result<(), ServerError> {
        for identity in [&self.control, &self.provisioner] {
            if let Err(error) = identity.connection.clone().close().await {
                tracing::warn!(%error, "a connection of services did not close in time");
            }
        }
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        match server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    fn turn(&self, host: &HostId) -> Arc<AsyncMutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(host.clone()).or_default().clone()
    }

    /// Sends a command and waits for the host's answer to it.
    async fn command(&self, command: &ControlCommand, bytes: &Bytes) -> Result<ControlResult, ApiError> {
        let subject = control::subject_of(command);
        let mut attempt = 1;
        let answer = loop {
            match self.control.connection.request(&subject, bytes.clone(), COMMAND_TIMEOUT).await {
                Err(RequestError::TimedOut) if attempt < COMMAND_ATTEMPTS => attempt += 1,
                Err(error) => return Err(ApiError::unavailable(&error)),
                Ok(answer) => break answer,
            }
        };
        let result: ControlResult = json::read(&answer).map_err(|error| ApiError::unavailable(&error))?;
        if result.command_id == command.command_id { Ok(result) } else { Err(ApiError::Unavailable) }
    }
}

fn trust(keys: &Keys, disk_bytes: i64, revoked_hosts: &[Revocation]) -> Result<ServerTrust, BrokerError> {
    let accounts = &keys.accounts;
    let mut hosts = account::vault_host(accounts, &keys.host_keys(), disk_bytes);
    revoke(&mut hosts, revoked_hosts)?;
    let claims = [
        (&accounts.system, account::system(keys.provisioner.public())),
        (&accounts.vault_services, account::vault_services(accounts, keys.control.public())),
        (&accounts.service_registry, account::service_registry(keys.registry.public())),
        (&accounts.vault_host, hosts),
    ];
    let now = clock::now();
    let signed = claims.iter().map(|(key, claims)| SignedAccount::sign(claims, key, now, &keys.operator_signing));
    Ok(ServerTrust::sign(&keys.operator, &keys.operator_signing, signed.collect::<Result<_, _>>()?, now)?)
}

impl ControlPlane {
    /// Signs an account with everybody who was cut off from it, and stores it in the broker.
    pub(crate) async fn push(&self, account: &AccountPublic, mut claims: AccountClaims) -> Result<(), ApiError> {
        let _turn = self.broker.pushing.lock().await;
        let revocations = self.ledger.revocations(account.as_str()).await?;
        revoke(&mut claims, &revocations).map_err(|error| ApiError::internal(&error))?;
        let signed = SignedAccount::sign(&claims, account, self.now(), &self.keys.operator_signing);
        let signed = signed.map_err(|error| ApiError::internal(&error))?;
        let provisioner = Provisioner::new(self.broker.provisioner.connection.clone());
        provisioner.push(&signed).await.map_err(|error| ApiError::unavailable(&error))
    }

    /// Has one host carry out a command.
    pub(crate) async fn order(
        &self,
        host: &HostId,
        command: &str,
        params: &impl Serialize,
    ) -> Result<ControlOutcome, ApiError> {
        let turn = self.broker.turn(host);
        let _turn = turn.lock().await;
        let target = Target::Enclave(host.clone());
        let counter = Counter::Control(self.keys.command_signing.key_id(), target.clone());
        let sequence = self.ledger.next_number(&counter).await?;
        let order = Order {
            command: command.parse().map_err(|error| ApiError::internal(&error))?,
            target,
            params: serde_json::to_value(params).map_err(|error| ApiError::internal(&error))?,
            issued_by: PROCESS.to_owned(),
            life_ms: COMMAND_LIFE_MS,
        };
        let command = control::issue(order, self.event_id(), sequence, self.now(), &self.keys.command_signing);
        let command = command.map_err(|error| ApiError::internal(&error))?;
        let act = Act::ControlCommand { command_id: command.command_id, command: command.command.to_string() };
        self.ledger.note(&self.entry(Actor::Services, act)).await?;
        let bytes = json::canonical(&command).map_err(|error| ApiError::internal(&error))?;
        let result = self.broker.command(&command, &bytes.into()).await?;
        self.ledger.host_seen(host, self.now()).await?;
        Ok(result.outcome)
    }
}

/// One identity of services on the broker.
#[derive(Debug)]
struct Identity {
    role: OperatorRole,
    user: UserPublic,
    connection: Connection,
}

/// What mints the users of a role.
fn issuer(role: OperatorRole, keys: &Keys) -> (&AccountPublic, &AccountKey) {
    let accounts = &keys.accounts;
    match role {
        OperatorRole::Provisioner => (&accounts.system, &keys.provisioner),
        OperatorRole::ServicesControl => (&accounts.vault_services, &keys.control),
        OperatorRole::Registry => (&accounts.service_registry, &keys.registry),
        OperatorRole::HostAdmin => (&accounts.vault_host, &keys.host_admin),
        OperatorRole::HostSubscribing => (&accounts.vault_host, &keys.host_subscribing),
        OperatorRole::HostPublishing => (&accounts.vault_host, &keys.host_publishing),
    }
}

fn identity(role: OperatorRole) -> Result<OperatorIdentity, BrokerError> {
    let process = PROCESS.parse().map_err(|_| TokenError::InvalidClaim("name of a process"))?;
    Ok(OperatorIdentity { role, process })
}

impl Identity {
    async fn connect(role: OperatorRole, endpoint: &Endpoint, keys: &Keys) -> Result<Self, BrokerError> {
        let key = Arc::new(UserKey::random(&mut randomness::system())?);
        let user = key.public().clone();
        let (account, scoped) = issuer(role, keys);
        let who = identity(role)?;
        let minted = mint::operator(&who, &user, account, scoped, clock::now())?;
        let credential = Credential::operator(&who, key, minted.jwt, clock::now())?;
        let connection = Connection::open(endpoint, credential).await?;
        Ok(Self { role, user, connection })
    }

    /// Renews the token at half of its life, and at once when the server does not take it any more.
    async fn keep(&self, keys: &Keys) {
        let mut state = self.connection.state();
        loop {
            // Either the time has come, or the state has changed; both are looked at below.
            let _ = tokio::time::timeout(RENEWAL_CHECK, state.changed()).await;
            if self.is_due() && !self.renew(keys).await {
                tokio::time::sleep(RENEWAL_RETRY).await;
            }
        }
    }

    fn is_due(&self) -> bool {
        let half_ms = self.role.lifetime_ms() / 2;
        let refused = *self.connection.state().borrow() == ConnectionState::Refused;
        refused || self.connection.credential().expires_at().since_ms(clock::now()) <= half_ms
    }

    async fn renew(&self, keys: &Keys) -> bool {
        let (account, scoped) = issuer(self.role, keys);
        let renewed = identity(self.role).and_then(|who| {
            let minted = mint::operator(&who, &self.user, account, scoped, clock::now())?;
            Ok(self.connection.credential().renewed(minted.jwt, clock::now())?)
        });
        let outcome = match renewed {
            Ok(credential) => self.connection.renew(credential).await.map_err(BrokerError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            tracing::warn!(%error, role = self.role.name(), "an identity of services was not renewed");
        }
        outcome.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;
    use tempfile::TempDir;
    use vettid_wire::event::{EventRow as _, RevokeUser};
    use vettid_wire::subject::Subject;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_renewed_identity_keeps_its_subscriptions() {
        let folder = TempDir::new().unwrap();
        let (data_dir, key_file) = (folder.path().join("data"), folder.path().join("key"));
        let (keys, _) = keys::load_or_make(&data_dir, &key_file, clock::now()).unwrap();
        let program = vettid_testkit::program::nats_server().unwrap();
        let plan = BrokerPlan {
            program: &program,
            data_dir: &data_dir,
            websocket_origins: &[],
            disk_bytes: 1 << 30,
            revoked_hosts: Vec::new(),
        };
        let broker = Broker::start(plan, &keys).await.unwrap();
        let mut from_vaults = broker.hear_vaults().await.unwrap();
        let first = broker.control.connection.credential();
        assert!(!broker.control.is_due() && broker.is_ready());
        assert!(broker.control.renew(&keys).await);
        assert!(broker.control.connection.credential().expires_at() >= first.expires_at());
        assert!(broker.is_ready());

        let host = Identity::connect(OperatorRole::HostPublishing, &broker.endpoint, &keys).await.unwrap();
        let subject = Subject::ForServices(keys.registry_guid, RevokeUser::ROW.event_type());
        host.connection.publish(&subject, "x".into()).await.unwrap();
        let arrived = tokio::time::timeout(COMMAND_TIMEOUT, from_vaults.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(arrived.subject, subject);
        broker.stop().await.unwrap();
    }
}
