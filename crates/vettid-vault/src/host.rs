//! The host: the process that runs vaults. It joins the operator's services, serves its vaults through its own two
//! connections to the broker, and commits for them. It can read nothing of a vault that is sealed for somebody else.

pub mod actor;
pub mod brokers;
pub mod clock;
pub mod config;
mod control;
pub mod storage_key;
pub mod ways;

use crate::manager::{CannotStart, Vault};
use actor::{Actor, QUEUE, Stopped, Work};
use brokers::Brokers;
use bytes::Bytes;
use config::HostConfig;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use storage_key::{KeyFile, StorageKeyError, StorageKeys};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::Receiver;
use vettid_core::grants::mint::OperatorIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::identity::{IdentityError, VerifyingKey};
use vettid_crypto::nats::key::{InvalidKey, UserKey};
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, SuiteError};
use vettid_handler::handlers::{BuildError, Handlers};
use vettid_nats::connection::{ConnectError, Connection, Endpoint, RequestError, Subscription};
use vettid_nats::inbox::{Inbox, InboxError, InboxMessage, Members};
use vettid_nats::journal::{Journal, JournalError};
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::profiles;
use vettid_wire::enrolment::{HostJoined, JoinHost};
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, Subject};
use ways::{Sender, ServicesKeys};

/// Largest stored state of one vault, in bytes.
const MAX_SNAPSHOT_BYTES: u64 = 1 << 30;
/// A vault that stopped is loaded again after this time.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// An inbox that failed is opened again after this time.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// A host whose broker is only just coming up tries again so often, with pauses up to this long.
const START_ATTEMPTS: u32 = 12;
const LONGEST_START_PAUSE: Duration = Duration::from_secs(4);
/// An event for a vault that is full or being loaded comes again after this time.
const LATER: Duration = Duration::from_millis(500);
/// How often a host fetches fresh credentials; they live thirty days.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How a host asks services for its credentials.
pub trait Joining: Send + Sync {
    /// Asks for fresh credentials for these public keys.
    fn join(&self, asked: JoinHost) -> impl Future<Output = Result<HostJoined, JoinFailed>> + Send;
}

/// Services gave no credentials.
#[derive(Debug, thiserror::Error)]
#[error("services do not let this host join: {0}")]
pub struct JoinFailed(pub String);

/// Why a host does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostFailed {
    /// Services do not let it join.
    #[error(transparent)]
    Join(#[from] JoinFailed),
    /// The broker does not let it in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker forbids something, or is gone.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The inbox gives nothing.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// A journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A stored state cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A storage key is not at hand.
    #[error(transparent)]
    StorageKey(#[from] StorageKeyError),
    /// A vault cannot start.
    #[error(transparent)]
    Vault(#[from] CannotStart),
    /// The table of handlers is not sound.
    #[error(transparent)]
    Handlers(#[from] BuildError),
    /// An own key cannot be made.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A kept key of the host has another size.
    #[error("a kept key of this host cannot be used")]
    KeptKey,
    /// A credential is not about the own keys.
    #[error("services gave a credential that does not fit")]
    Credential(#[from] TokenError),
    /// The control key is not a key.
    #[error("services gave a control key that is not one")]
    ControlKey(#[from] IdentityError),
    /// The key for requests to services is not a key.
    #[error("services gave a key for requests that is not one")]
    ServicesKey(#[from] SuiteError),
    /// The record of carried out commands cannot be used.
    #[error("the record of control commands cannot be used: {0}")]
    Control(String),
}

impl HostFailed {
    /// Whether the same start may succeed a moment later.
    fn may_pass(&self) -> bool {
        let unreachable = matches!(self, Self::Connect(ConnectError::Unreachable(_)));
        unreachable || matches!(self, Self::Request(_) | Self::Inbox(_) | Self::Journal(_) | Self::Object(_))
    }
}

/// A host that runs.
pub struct Host {
    config: HostConfig,
    /// Address of the broker, as other parties reach it.
    endpoint: String,
    brokers: Arc<Brokers>,
    subscriber: Connection,
    publisher: Connection,
    storage_keys: StorageKeys,
    journal: Journal,
    objects: Objects,
    services: Arc<ServicesKeys>,
    control_key: VerifyingKey,
    handlers: Handlers,
    inbox: Inbox,
    vaults: HashMap<MemberId, Running>,
    running: JoinSet<(MemberId, Result<(), Stopped>)>,
    best_effort: mpsc::Sender<(Subject, Bytes)>,
    arrived: mpsc::Receiver<(Subject, Bytes)>,
    listening: JoinSet<()>,
    heard: HashSet<MemberId>,
    keys: HostKeys,
}

/// A vault that runs here.
struct Running {
    work: mpsc::Sender<Work>,
}

/// The two user keys of a host, kept sealed over restarts; each start fetches fresh tokens for them.
struct HostKeys {
    subscriber: Arc<UserKey>,
    publisher: Arc<UserKey>,
}

impl HostKeys {
    fn open_or_make(storage_keys: &StorageKeys) -> Result<Self, HostFailed> {
        let subscriber = kept_key(storage_keys, "subscriber")?;
        Ok(Self { subscriber, publisher: kept_key(storage_keys, "publisher")? })
    }

    async fn join(&self, config: &HostConfig, joining: &impl Joining) -> Result<HostJoined, HostFailed> {
        let asked = JoinHost {
            host_id: config.host_id.clone(),
            subscriber_nkey: self.subscriber.public().as_str().to_owned(),
            publisher_nkey: self.publisher.public().as_str().to_owned(),
        };
        Ok(joining.join(asked).await?)
    }

    fn credentials(&self, config: &HostConfig, joined: &HostJoined) -> Result<(Credential, Credential), HostFailed> {
        let one = |role, key: &Arc<UserKey>, jwt: &str| {
            let identity = OperatorIdentity { role, process: config.host_id.clone() };
            Credential::operator(&identity, key.clone(), UserJwt::unchecked(jwt.to_owned()), clock::now())
        };
        let subscriber = one(OperatorRole::HostSubscribing, &self.subscriber, &joined.subscriber_jwt)?;
        let publisher = one(OperatorRole::HostPublishing, &self.publisher, &joined.publisher_jwt)?;
        Ok((subscriber, publisher))
    }
}

/// A user key that is made once and kept.
fn kept_key(storage_keys: &StorageKeys, name: &str) -> Result<Arc<UserKey>, HostFailed> {
    let mut rng = UnwrapErr(SysRng);
    let secret = match storage_keys.kept(name)? {
        Some(bytes) => Secret32::from_slice(&bytes).ok_or(HostFailed::KeptKey)?,
        None => {
            let secret = Secret32::random(&mut rng);
            storage_keys.keep(name, secret.expose(), &mut rng)?;
            secret
        }
    };
    Ok(Arc::new(UserKey::from_secret(secret)?))
}

impl Host {
    /// Starts, and tries again for a while as long as services or broker are only just coming up themselves.
    pub async fn start_patiently(config: HostConfig, joining: &impl Joining) -> Result<Self, HostFailed> {
        let mut pause = REOPEN_AFTER;
        for _ in 0..START_ATTEMPTS {
            match Self::start(config.clone(), joining).await {
                Err(error) if error.may_pass() => tracing::warn!(%error, "the host cannot start yet"),
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_START_PAUSE);
        }
        Self::start(config, joining).await
    }

    /// Joins services, connects, and starts every vault whose storage key lies here.
    pub async fn start(config: HostConfig, joining: &impl Joining) -> Result<Self, HostFailed> {
        let sealer = KeyFile::open_or_create(&config.key_file, &mut UnwrapErr(SysRng))?;
        let storage_keys = StorageKeys::new(config.state.join("vaults"), Box::new(sealer))?;
        let keys = HostKeys::open_or_make(&storage_keys)?;
        let joined = keys.join(&config, joining).await?;
        let (subscriber, publisher) = keys.credentials(&config, &joined)?;
        let endpoint = Endpoint { address: joined.nats_endpoint.clone(), tls: config.broker_tls.clone() };
        let subscriber = Connection::open(&endpoint, subscriber).await?;
        let publisher = Connection::open(&endpoint, publisher).await?;
        let public = config.public_endpoint.clone().unwrap_or(endpoint.address);
        let own = Endpoint { address: public.clone(), tls: config.broker_tls.clone() };
        let brokers = Arc::new(Brokers::open(&storage_keys, own, config.peers.clone())?);
        let members = storage_keys.members()?;
        let host_name = config.host_id.as_str().to_owned();
        // Without members the old consumer is deleted: what a killed process had in hand comes at once to the new one.
        Inbox::open(&subscriber, &host_name, Members::Only(BTreeSet::new())).await?;
        let inbox = Inbox::open(&subscriber, &host_name, Members::Only(members.iter().copied().collect())).await?;
        let control_key = VerifyingKey::from_typed(&joined.control_key)?;
        let services = ServicesKeys {
            fingerprint: control_key.fingerprint(),
            kem: KemPublicKey::from_typed(&joined.services_kem)?,
        };
        let (best_effort, arrived) = mpsc::channel(QUEUE);
        let mut host = Self {
            config,
            endpoint: public,
            brokers,
            journal: Journal::new(publisher.clone()),
            objects: Objects::open(&publisher).await?,
            subscriber,
            publisher,
            storage_keys,
            services: Arc::new(services),
            control_key,
            handlers: vettid_handlers::native().build()?,
            inbox,
            vaults: HashMap::new(),
            running: JoinSet::new(),
            best_effort,
            arrived,
            listening: JoinSet::new(),
            heard: HashSet::new(),
            keys,
        };
        for member in members {
            host.load(member).await?;
        }
        host.subscriber.settle().await?;
        Ok(host)
    }

    /// The members whose vaults run here.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        self.vaults.keys().copied().collect()
    }

    /// Serves until told to stop; then finishes what was begun.
    pub async fn run(mut self, joining: &impl Joining, stop: CancellationToken) -> Result<(), HostFailed> {
        let mut control = control::Control::start(&self).await?;
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                message = self.inbox.next() => match message {
                    Ok(message) => self.durable(message).await,
                    Err(error) => self.reopen(&error).await?,
                },
                Some((subject, bytes)) = self.arrived.recv() => self.best_effort(subject, bytes),
                command = control.next() => control.carry_out(&mut self, command).await?,
                _ = renewal.tick() => self.renew(joining).await,
                Some(ended) = self.running.join_next() => self.ended(ended).await?,
            }
        }
        self.stop().await
    }

    /// Fetches fresh credentials. Without them the host goes on until the old ones end, and tries again.
    async fn renew(&self, joining: &impl Joining) {
        let renewed = async {
            let joined = self.keys.join(&self.config, joining).await?;
            let (subscriber, publisher) = self.keys.credentials(&self.config, &joined)?;
            self.subscriber.renew(subscriber).await?;
            self.publisher.renew(publisher).await?;
            Ok::<(), HostFailed>(())
        };
        if let Err(error) = renewed.await {
            tracing::error!(%error, "no fresh credentials; the old ones end soon");
        }
    }

    async fn stop(mut self) -> Result<(), HostFailed> {
        self.vaults.clear();
        while let Some(ended) = self.running.join_next().await {
            if let Ok((_, Err(error))) = ended {
                tracing::error!(%error, "a vault did not stop in good order");
            }
        }
        self.listening.shutdown().await;
        self.inbox.close().await?;
        self.subscriber.close().await?;
        self.publisher.close().await?;
        Ok(())
    }

    async fn durable(&mut self, message: InboxMessage) {
        let vault = message.subject.member().and_then(|member| self.vaults.get(&member));
        let refused = match vault {
            Some(vault) => match vault.work.try_send(Work::Durable(Box::new(message))) {
                Ok(()) => return,
                Err(error) => error.into_inner(),
            },
            None => Work::Durable(Box::new(message)),
        };
        // The vault is full or being loaded: one vault must not hold up the others.
        if let Work::Durable(message) = refused
            && let Err(error) = message.later(LATER).await
        {
            tracing::warn!(%error, "an event was not put off and will come again");
        }
    }

    fn best_effort(&mut self, subject: Subject, bytes: Bytes) {
        let Some(vault) = subject.member().and_then(|member| self.vaults.get(&member)) else {
            return;
        };
        // Whoever misses an answer asks again.
        if vault.work.try_send(Work::BestEffort(subject, bytes)).is_err() {
            tracing::info!("a vault has too much to do; a message was dropped");
        }
    }

    async fn reopen(&mut self, error: &InboxError) -> Result<(), HostFailed> {
        tracing::warn!(%error, "the inbox is opened again");
        let members = Members::Only(self.vaults.keys().copied().collect());
        let name = self.config.host_id.as_str().to_owned();
        loop {
            match Inbox::open(&self.subscriber, &name, members.clone()).await {
                Ok(inbox) => {
                    self.inbox = inbox;
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, "the inbox does not open");
                    tokio::time::sleep(REOPEN_AFTER).await;
                }
            }
        }
    }

    /// A vault stopped: its journal decides what it is, so it is loaded again.
    async fn ended(
        &mut self,
        ended: Result<(MemberId, Result<(), Stopped>), tokio::task::JoinError>,
    ) -> Result<(), HostFailed> {
        let (member, why) = match ended {
            Ok(ended) => ended,
            Err(error) => return Err(HostFailed::Control(format!("a vault failed: {error}"))),
        };
        self.vaults.remove(&member);
        if let Err(error) = why {
            tracing::error!(%error, "a vault stopped and is loaded again");
        }
        loop {
            tokio::time::sleep(RESTART_AFTER).await;
            match self.load(member).await {
                Ok(()) => return Ok(()),
                Err(error @ (HostFailed::Journal(_) | HostFailed::Request(_) | HostFailed::Object(_))) => {
                    tracing::warn!(%error, "a vault cannot be loaded yet");
                }
                // Its journal does not open or is not whole: this one stays down, the others run.
                Err(HostFailed::Vault(error)) => {
                    tracing::error!(%error, "a vault cannot be loaded and stays down");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Loads a vault from its journal and lets it run.
    async fn load(&mut self, member: MemberId) -> Result<(), HostFailed> {
        let key = || self.storage_keys.get(member)?.ok_or(HostFailed::Vault(CannotStart::NoIdentity));
        let records = self.journal.load(member).collect().await?;
        let sequence = records.last().map_or(0, |record| record.sequence);
        let bytes: Vec<Vec<u8>> = records.iter().map(|record| record.bytes.to_vec()).collect();
        if bytes.is_empty() {
            return self.found(member, key()?).await;
        }
        let stored = match bytes.first() {
            Some(first) => Vault::snapshot_name(member, key()?, first)?,
            None => None,
        };
        let snapshot = match &stored {
            Some(name) => Some(self.objects.get(name, MAX_SNAPSHOT_BYTES).await?),
            None => None,
        };
        let endpoint = self.endpoint.clone();
        let vault = Vault::load(member, key()?, self.handlers.clone(), endpoint, &bytes, snapshot.as_deref())?;
        self.run_vault(vault.limited_to(self.config.limits), sequence, stored).await
    }

    /// A new vault: its first commit is its identity.
    async fn found(&mut self, member: MemberId, key: vettid_crypto::at_rest::StorageKey) -> Result<(), HostFailed> {
        let endpoint = self.endpoint.clone();
        let (mut vault, first) =
            Vault::found(member, key, self.handlers.clone(), endpoint, clock::now(), &mut UnwrapErr(SysRng))?;
        let sequence = self.journal.commit(member, 0, Bytes::copy_from_slice(&first.sealed)).await?;
        vault.committed(&first).map_err(CannotStart::from)?;
        self.run_vault(vault.limited_to(self.config.limits), sequence, None).await
    }

    /// Makes a vault for a member, unless one runs here.
    async fn deploy(&mut self, member: MemberId) -> Result<(), HostFailed> {
        if self.vaults.contains_key(&member) {
            return Ok(());
        }
        if self.storage_keys.get(member)?.is_none() {
            self.storage_keys.create(member, &mut UnwrapErr(SysRng))?;
        }
        self.load(member).await?;
        Ok(self.inbox.attach(member).await?)
    }

    async fn run_vault(&mut self, vault: Vault, sequence: u64, stored: Option<String>) -> Result<(), HostFailed> {
        let member = vault.guid();
        let (work, queue) = mpsc::channel(QUEUE);
        let sender = Sender {
            publisher: self.publisher.clone(),
            brokers: self.brokers.clone(),
            services: self.services.clone(),
            work: work.downgrade(),
        };
        let actor = Actor::new(vault, sequence, self.journal.clone(), self.objects.clone(), sender, queue, stored);
        self.running.spawn(async move { (member, actor.run().await) });
        self.vaults.insert(member, Running { work });
        self.publish_event_types(member).await;
        self.listen(member).await
    }

    /// Tells the app what the vault can do. An app that misses it learns from the refusal of an event.
    async fn publish_event_types(&self, member: MemberId) {
        let event_types = serde_json::json!({ "event_types": self.handlers.event_types() });
        let published =
            profiles::publish_event_types(&self.publisher, member, Bytes::from(event_types.to_string())).await;
        if let Err(error) = published {
            tracing::warn!(%error, "the event types of a vault were not published");
        }
    }

    /// Hears what comes for a vault by best effort; once, also when the vault is loaded again.
    async fn listen(&mut self, member: MemberId) -> Result<(), HostFailed> {
        if !self.heard.insert(member) {
            return Ok(());
        }
        for pattern in best_effort_of(member) {
            let subscription = self.subscriber.subscribe(&pattern).await?;
            self.listening.spawn(forward(subscription, self.best_effort.clone()));
        }
        Ok(())
    }
}

/// What comes for a member's vault by best effort.
fn best_effort_of(member: MemberId) -> Vec<Pattern> {
    let patterns = Receiver::Vault.best_effort().into_iter();
    patterns.map(|pattern| vettid_core::grants::delivery::of_member(pattern, member)).collect()
}

async fn forward(mut subscription: Subscription, to: mpsc::Sender<(Subject, Bytes)>) {
    while let Some(incoming) = subscription.next().await {
        let Ok(incoming) = incoming else { break };
        if to.send((incoming.subject, incoming.payload)).await.is_err() {
            break;
        }
    }
}
