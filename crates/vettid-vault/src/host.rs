//! The host: the process that runs vaults. It joins the operator's services, serves its vaults through its own two
//! connections to the broker, and commits for them. It can read nothing of a vault that is sealed for somebody else.

pub mod actor;
mod arrival;
pub mod brokers;
pub mod clock;
pub mod config;
mod control;
mod failures;
mod loader;
mod lock;
mod pieces;
mod presence;
mod removal;
pub mod sealer;
pub mod states;
pub mod storage_key;
mod to_services;
pub mod turns;
mod vaults;
pub mod ways;

use crate::manager::CannotStart;
use actor::{Ended, QUEUE, Work};
use arrival::Arrival;
use brokers::Brokers;
use bytes::Bytes;
use config::HostConfig;
use failures::Failures;
use getrandom::SysRng;
use loader::{Loaded, Loader};
use lock::lane::Lanes;
use rand_core::UnwrapErr;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use storage_key::{StorageKeyError, StorageKeys};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use turns::{Given, Turn, Turns};
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::OperatorIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::identity::{IdentityError, VerifyingKey};
use vettid_crypto::nats::key::{InvalidKey, UserKey};
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, SuiteError};
use vettid_nats::connection::{ConnectError, Connection, Endpoint, RequestError, Unheard, UnheardMessages};
use vettid_nats::inbox::{Inbox, InboxError, Members};
use vettid_nats::journal::{Journal, JournalError};
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::pieces::Pieces;
use vettid_wire::enrolment::{HostJoined, JoinHost};
use vettid_wire::event::{self, Lane};
use vettid_wire::id::{MemberId, ServiceId};
use vettid_wire::subject::Subject;
use ways::ServicesKeys;

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
    /// A member has a journal and no storage key.
    #[error("the storage key of a vault with a journal is not here")]
    StorageKeyLost,
    /// A vault cannot start.
    #[error(transparent)]
    Vault(#[from] CannotStart),
    /// A vault cannot be loaded because of a fault of the program.
    #[error("the program fell over a fault of its own while it loaded the vault")]
    Fell,
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

    /// Whether it is about one vault alone and stays: its key does not open, or its journal is not whole.
    fn is_of_one_vault(&self) -> bool {
        matches!(
            self,
            Self::Vault(_)
                | Self::StorageKey(_)
                | Self::StorageKeyLost
                | Self::Fell
                | Self::Object(ObjectError::NotFound | ObjectError::Damaged | ObjectError::TooLarge(_))
        )
    }
}

/// A host that runs.
pub struct Host {
    config: HostConfig,
    brokers: Arc<Brokers>,
    subscriber: Connection,
    publisher: Connection,
    /// Pushes to apps that nobody heard.
    unheard: UnheardMessages,
    loader: Loader,
    services: Arc<ServicesKeys>,
    control_key: VerifyingKey,
    inbox: Inbox,
    /// Vaults that run.
    vaults: HashMap<MemberId, Running>,
    running: JoinSet<(MemberId, Ended)>,
    /// What went wrong with the events of vaults that stopped.
    failures: HashMap<MemberId, Failures>,
    /// Vaults that stopped and are being loaded again.
    coming_back: BTreeSet<MemberId>,
    returning: JoinSet<(MemberId, Result<Loaded, HostFailed>)>,
    /// How often a vault stopped and was loaded again since the host started.
    reloads: u64,
    /// Vaults that cannot start, and why. They take nothing until the host is started again.
    broken: BTreeMap<MemberId, String>,
    best_effort: mpsc::Sender<(Subject, Bytes)>,
    by_best_effort: mpsc::Receiver<(Subject, Bytes)>,
    listening: JoinSet<()>,
    heard: HashSet<MemberId>,
    keys: HostKeys,
    /// The unlock lanes.
    lanes: Lanes,
    /// What services ask, in fair turns.
    turns: Turns<Arrival>,
    /// Vaults whose members gave the right key, while they are loaded.
    unlocking: HashMap<MemberId, Unlocking>,
}

/// A vault that runs here.
struct Running {
    work: mpsc::Sender<Work>,
    /// The storage key of a vault with a lock, which nobody else could load again.
    key: Option<StorageKey>,
}

/// A vault whose member gave the right key.
struct Unlocking {
    wrong: u32,
    runs: oneshot::Sender<()>,
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
        let folder = config.state.join("vaults");
        let sealer = config.sealer.open(!folder.exists(), &mut UnwrapErr(SysRng))?;
        let storage_keys = StorageKeys::new(folder, sealer)?;
        let keys = HostKeys::open_or_make(&storage_keys)?;
        let joined = keys.join(&config, joining).await?;
        let (subscriber, publisher) = keys.credentials(&config, &joined)?;
        let endpoint = Endpoint { address: joined.nats_endpoint.clone(), tls: config.broker_tls.clone() };
        let subscriber = Connection::open(&endpoint, subscriber).await?;
        let publisher = Connection::open(&endpoint, publisher).await?;
        let unheard = publisher.unheard().await?;
        let public = config.public_endpoint.clone().unwrap_or_else(|| endpoint.address.clone());
        let own = Endpoint { address: public.clone(), tls: config.broker_tls.clone() };
        let brokers = Arc::new(Brokers::open(&storage_keys, own, config.peers.clone())?);
        let loader = Loader {
            storage_keys: Arc::new(storage_keys),
            journal: Journal::new(publisher.clone()),
            objects: Objects::open(&publisher).await?,
            pieces: Pieces::new(publisher.clone(), config.files_bytes),
            handlers: config.handlers.clone(),
            endpoint: public,
            limits: config.limits,
        };
        let host_name = config.host_id.as_str().to_owned();
        // Without members the old consumer is deleted: what a killed process had in hand comes at once to the new one.
        Inbox::open(&subscriber, &host_name, Members::Only(BTreeSet::new())).await?;
        let mut lanes = Lanes::new(loader.storage_keys.clone(), publisher.clone());
        let mut broken = lanes.open_all(loader.storage_keys.members()?);
        let absent: BTreeSet<_> = broken.keys().chain(lanes.locked()).copied().collect();
        let (loaded, unreadable) = loader.every(&absent).await?;
        broken.extend(unreadable);
        let served = loaded.iter().map(|loaded| loaded.vault.guid()).collect();
        let inbox = Inbox::open(&subscriber, &host_name, Members::Only(served)).await?;
        let control_key = VerifyingKey::from_typed(&joined.control_key)?;
        let services = ServicesKeys {
            fingerprint: control_key.fingerprint(),
            kem: KemPublicKey::from_typed(&joined.services_kem)?,
        };
        let (best_effort, by_best_effort) = mpsc::channel(QUEUE);
        let mut host = Self {
            config,
            brokers,
            subscriber,
            publisher,
            unheard,
            loader,
            services: Arc::new(services),
            control_key,
            inbox,
            vaults: HashMap::new(),
            running: JoinSet::new(),
            failures: HashMap::new(),
            coming_back: BTreeSet::new(),
            returning: JoinSet::new(),
            reloads: 0,
            broken,
            best_effort,
            by_best_effort,
            listening: JoinSet::new(),
            heard: HashSet::new(),
            keys,
            lanes,
            turns: Turns::default(),
            unlocking: HashMap::new(),
        };
        for loaded in loaded {
            host.run_vault(loaded).await?;
        }
        for member in host.lanes.locked().clone() {
            host.listen(member).await?;
        }
        host.subscriber.settle().await?;
        Ok(host)
    }

    /// The members whose vaults run here.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        self.vaults.keys().copied().collect()
    }

    /// The members whose vaults lie here and cannot start, and why.
    #[must_use]
    pub fn broken(&self) -> &BTreeMap<MemberId, String> {
        &self.broken
    }

    /// The members whose vaults lie here and wait for their PIN or password.
    #[must_use]
    pub fn locked(&self) -> &BTreeSet<MemberId> {
        self.lanes.locked()
    }

    /// Serves until told to stop; then finishes what was begun.
    pub async fn run(mut self, joining: &impl Joining, stop: CancellationToken) -> Result<(), HostFailed> {
        let mut control = control::Control::start(&self).await?;
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                message = self.inbox.next() => match message {
                    Ok(message) => self.arrived(Arrival::Durable(Box::new(message))).await,
                    Err(error) => self.reopen(&error).await?,
                },
                service = self.turns.ended() => self.next_of(&service).await,
                Some((subject, bytes)) = self.by_best_effort.recv() => self.heard_by_best_effort(subject, bytes).await,
                Some(unheard) = self.unheard.next() => self.not_heard(unheard),
                command = control.next() => control.carry_out(&mut self, command).await?,
                _ = renewal.tick() => self.renew(joining).await,
                Some(ended) = self.running.join_next() => self.ended(ended).await?,
                Some(news) = self.lanes.next() => self.heard(news),
                Some(loaded) = self.returning.join_next() => self.returned(loaded).await?,
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
        self.returning.shutdown().await;
        self.vaults.clear();
        while let Some(ended) = self.running.join_next().await {
            if let Ok((_, (Err(error), _))) = ended {
                tracing::error!(%error, "a vault did not stop in good order");
            }
        }
        self.lanes.stop().await;
        self.listening.shutdown().await;
        self.inbox.close().await?;
        self.subscriber.close().await?;
        self.publisher.close().await?;
        Ok(())
    }

    /// An event goes to its vault, one of a service when it is its turn.
    async fn arrived(&mut self, arrival: Arrival) {
        let Subject::FromService(_, service, _) = arrival.subject() else { return self.hand_over(arrival, None).await };
        match self.turns.arrived(Instant::now(), &service.clone(), arrival) {
            Given::Goes(arrival, turn) => self.hand_over(arrival, Some(turn)).await,
            Given::Waits => {}
            Given::TooMany(arrival) => self.too_many(arrival).await,
        }
    }

    /// An event of a service has ended: the next ones of it go.
    async fn next_of(&mut self, service: &ServiceId) {
        for (arrival, turn) in self.turns.next(Instant::now(), service) {
            self.hand_over(arrival, Some(turn)).await;
        }
    }

    async fn hand_over(&mut self, arrival: Arrival, turn: Option<Turn>) {
        // A vault that is full or being loaded must not hold up the others.
        let Some(vault) = arrival.subject().member().and_then(|member| self.vaults.get(&member)) else {
            return arrival.put_off().await;
        };
        if let Err(error) = vault.work.try_send(arrival.into_work(turn))
            && let Some(arrival) = Arrival::of_refused(error.into_inner())
        {
            tracing::info!("a vault has too much to do; an event is put off");
            arrival.put_off().await;
        }
    }

    /// A service asks more than has room to wait. A question that is worth something only for a while is dropped unopened, and its
    /// service asks again; everything else comes again.
    async fn too_many(&self, arrival: Arrival) {
        let Subject::FromService(_, service, event_type) = arrival.subject() else { return arrival.put_off().await };
        if event::find(Lane::Service, event_type).is_none_or(|row| row.within_ms.is_none()) {
            return arrival.put_off().await;
        }
        tracing::info!(%service, "a service asks too much at once; a question was dropped");
        if let Arrival::Durable(message) = arrival
            && let Err(error) = message.done_soon().await
        {
            tracing::warn!(%error, "a dropped question will come again");
        }
    }

    /// An event that nobody keeps; the lock takes its own.
    async fn heard_by_best_effort(&mut self, subject: Subject, bytes: Bytes) {
        if !self.lanes.take(&subject, &bytes) {
            self.arrived(Arrival::BestEffort(subject, bytes)).await;
        }
    }

    /// A vault that is too busy to be told hears of it with its next push.
    fn not_heard(&self, Unheard { member, number }: Unheard) {
        if let Some(vault) = self.vaults.get(&member) {
            let _ = vault.work.try_send(Work::Unheard(number));
        }
    }

    async fn reopen(&mut self, error: &InboxError) -> Result<(), HostFailed> {
        tracing::warn!(%error, "the inbox is opened again");
        let members = Members::Only(self.vaults.keys().chain(&self.coming_back).copied().collect());
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
}
