//! A running gateway: the handle for the binary, for benches and for the HTTP face. Everything below is driven by tasks
//! that it owns and joins. What is told to anybody was stored before.

mod api_keys;
mod arrivals;
mod asking;
mod ending;
mod hearing;
mod invitations;
mod levels;
mod logins;
mod posts;
mod publishing;
mod purging;
mod records;
mod restoring;
mod signing;
mod start;
mod upkeep;
mod values;
mod verification;
mod webhooks;

pub use crate::api_key::{ApiKeyView, NewApiKey};
pub use crate::tasks::Lost;
pub use api_keys::{ApiKeyError, MadeApiKey};
pub use asking::RequestError;
pub use invitations::InviteError;
pub use logins::LoginFailed;
pub use publishing::PublishError;
pub use signing::NotChanged;
pub use start::StartError;
pub use values::ValueView;
pub use verification::ClaimFailed;
pub use webhooks::{NewWebhook, WebhookError, WebhookSecret};

use crate::api_key::ApiKeys;
use crate::clock;
use crate::config::Config;
use crate::connection::{Live, OpenInvitation};
use crate::handshake::Own;
use crate::home::Home;
use crate::identity::Identity;
use crate::login::Desk;
use crate::metrics::Metrics;
use crate::once::{self, Calls};
use crate::peers::Peers;
use crate::profile::Presentation;
use crate::question::{Ask, LoginRequest};
use crate::requests::Requests;
use crate::state::{Draft, State, StateError};
use crate::tasks::Tasks;
use crate::versions::Versions;
use crate::view::{ConnectionView, RequestView};
use crate::webhook::{Event, EventKind};
use hearing::Hearing;
use serde_json::json;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use values::Values;
use vettid_wire::contract::Contract;
use vettid_wire::handshake::SpaceUri;
use vettid_wire::id::{ConnectionId, Fingerprint, InviteId, MemberId, RequestId, ServiceId};
use vettid_wire::key::TypedKey;
use vettid_wire::time::Timestamp;

/// A running gateway. Clones share it.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    presentation: Presentation,
    contracts: Versions,
    publishing: Mutex<()>,
    profiling: Mutex<()>,
    /// The profile does not show the newest contract yet.
    profile_is_due: AtomicBool,
    /// Why the contract in the file is not published, as it was logged last.
    contract_file_problem: SyncMutex<Option<String>>,
    identity: RwLock<Identity>,
    profile_sequence: AtomicU64,
    space: SpaceUri,
    state: State,
    home: Home,
    peers: Peers,
    invitations: SyncMutex<HashMap<InviteId, OpenInvitation>>,
    connections: SyncMutex<Connections>,
    requests: Requests,
    logins: SyncMutex<Desk>,
    records: SyncMutex<records::Records>,
    values: SyncMutex<Values>,
    api_keys: ApiKeys,
    hooks: Arc<webhooks::Hooks>,
    calls: Calls,
    metrics: Metrics,
    healthy: AtomicBool,
    hearing: SyncMutex<Hearing>,
    dropped_events: AtomicU64,
    http_address: SyncMutex<Option<SocketAddr>>,
    oidc_address: SyncMutex<Option<SocketAddr>>,
    started_at: Timestamp,
    /// Of the key that seals the state, if it is recorded.
    state_key_made_at: Option<Timestamp>,
    /// Somebody asked for new signing keys.
    signing_wanted: Notify,
    stop: CancellationToken,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct Connections {
    all: HashMap<ConnectionId, Arc<Mutex<Live>>>,
    by_invitation: HashMap<InviteId, ConnectionId>,
    by_browser: HashMap<TypedKey, Vec<ConnectionId>>,
    /// Every connection and its member, in the order in which they were made.
    members: Vec<(ConnectionId, Fingerprint)>,
}

impl Connections {
    fn know_browser(&mut self, id: ConnectionId, key: TypedKey) {
        let known = self.by_browser.entry(key).or_default();
        if !known.contains(&id) {
            known.push(id);
        }
    }

    fn forget_browser(&mut self, id: ConnectionId, key: &TypedKey) {
        if let Some(known) = self.by_browser.get_mut(key) {
            known.retain(|other| *other != id);
        }
        self.by_browser.retain(|_, known| !known.is_empty());
    }
}

impl Gateway {
    /// Starts a gateway: reads its state, registers it if it is new, connects, publishes its profile, listens.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        start::start(config).await
    }

    /// Ends all tasks, closes all connections and the state.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        // Tasks may wait for a commit.
        self.0.state.wait_no_more();
        self.0.tasks.wait().await;
        self.0.peers.close_all().await;
        self.0.home.clone().close().await;
        self.0.state.close().await;
    }

    /// Waits until the gateway can only go on after its next start; says why. A database that is away and may come back is
    /// waited for instead.
    pub async fn lost(&self) -> Lost {
        tokio::select! {
            why = self.0.state.lost() => Lost::State(why),
            what = self.0.tasks.fallen() => Lost::Task(what),
        }
    }

    /// Whether the database is away and waited for. Nothing is begun meanwhile.
    #[must_use]
    pub(crate) fn is_away(&self) -> bool {
        self.0.state.is_away()
    }

    /// Where the HTTP face listens, if there is one.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        *lock(&self.0.http_address)
    }

    /// Where the OpenID provider listens, if there is one.
    #[must_use]
    pub fn oidc_address(&self) -> Option<SocketAddr> {
        *lock(&self.0.oidc_address)
    }

    /// Begins a commit of a part of the gateway that keeps its own values.
    pub(crate) fn draft(&self) -> Draft {
        self.0.state.draft()
    }

    /// Makes its changes durable. A failure is final: the gateway is not healthy any more.
    pub(crate) async fn commit(&self, draft: Draft) -> Result<(), StateError> {
        self.0.commit(draft).await
    }

    /// The service's own id as an owner of a space.
    #[must_use]
    pub fn guid(&self) -> MemberId {
        self.0.identity().guid
    }

    /// What members know this service by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.identity().fingerprint()
    }

    /// The name that members see.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.presentation.name
    }

    /// The contract on offer.
    #[must_use]
    pub fn contract(&self) -> Contract {
        self.0.contracts.newest().contract.clone()
    }

    /// Whether it can reach the broker, hear what arrives there and store what it must.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.0.is_sound() && self.0.home.is_connected() && !self.0.is_deaf()
    }

    /// Messages that were dropped without an answer since the start.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        self.0.dropped_events.load(Ordering::Relaxed)
    }

    /// Connections to members' accounts that are held open now.
    #[must_use]
    pub fn member_connections(&self) -> usize {
        self.0.peers.held()
    }

    /// Every connection, oldest first.
    pub async fn connections(&self) -> Vec<ConnectionView> {
        let all: Vec<_> = lock(&self.0.connections).all.values().cloned().collect();
        let mut views = Vec::with_capacity(all.len());
        for live in all {
            views.push(live.lock().await.record.view());
        }
        views.sort_by_key(|view| view.connection_id);
        views
    }

    /// One connection.
    pub async fn connection(&self, id: ConnectionId) -> Option<ConnectionView> {
        let live = self.0.live(id)?;
        let live = live.lock().await;
        Some(live.record.view())
    }

    /// The connection that came from an invitation, once the invitation was answered.
    #[must_use]
    pub fn connection_of(&self, invitation: InviteId) -> Option<ConnectionId> {
        lock(&self.0.connections).by_invitation.get(&invitation).copied()
    }

    /// Asks a member for a field of personal data and waits for the answer, at most `wait`. A request that is still open
    /// then goes on; its later outcome is had by [`request`](Self::request).
    ///
    /// # Errors
    /// See [`RequestError`]. What the member's vault refuses is an outcome.
    pub async fn request_data(
        &self,
        connection: ConnectionId,
        field: &str,
        purpose: &str,
        wait: Duration,
    ) -> Result<RequestView, RequestError> {
        let ask = Ask::Data { field: field.to_owned(), purpose: purpose.to_owned(), retention: None };
        self.ask(connection, ask, wait).await
    }

    /// Asks a member to log in and waits for the signed answer, at most `wait`.
    ///
    /// # Errors
    /// See [`RequestError`]. What the member denies or the member's vault refuses is an outcome.
    pub async fn request_login(
        &self,
        connection: ConnectionId,
        login: LoginRequest,
        wait: Duration,
    ) -> Result<RequestView, RequestError> {
        self.ask(connection, Ask::Login(login), wait).await
    }

    /// Asks a member and waits for the answer, at most `wait`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn ask(&self, connection: ConnectionId, ask: Ask, wait: Duration) -> Result<RequestView, RequestError> {
        asking::ask(&self.0, connection, ask, wait).await
    }

    /// A request that was still open when it was last spoken of; waits for its end, at most `wait`. `None`: no such
    /// request, or it ended long ago.
    pub async fn request(&self, id: RequestId, wait: Duration) -> Option<RequestView> {
        let request = self.0.requests.get(id).filter(|request| !request.is_over(clock::now()))?;
        Some(asking::wait_for(&self.0, &request, wait).await)
    }

    /// The values that a member's vault handed out unasked and that may be kept now, by name of the field. `None`: no such
    /// connection.
    #[must_use]
    pub fn values(&self, connection: ConnectionId) -> Option<Vec<ValueView>> {
        self.0.is_known(connection).then(|| values::list(&self.0, connection))
    }

    /// Requests that are open or ended a short time ago.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestView> {
        self.0.requests.all().iter().map(|request| asking::present(request)).collect()
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// Stores that a call with a name was begun, or what came of it.
    pub(crate) async fn store_call(&self, call: &Arc<once::Call>, effect: once::Effect) -> Result<(), StateError> {
        let mut draft = self.0.state.draft();
        call.note(&mut draft, effect)?;
        self.0.commit(draft).await
    }

    /// Forgets a call with a name that had no effect.
    pub(crate) async fn forget_call(&self, call: &once::Call) -> Result<(), StateError> {
        let mut draft = self.0.state.draft();
        call.remove(&mut draft);
        self.0.commit(draft).await
    }
}

impl Shared {
    fn identity(&self) -> RwLockReadGuard<'_, Identity> {
        self.identity.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn service_id(&self) -> &ServiceId {
        &self.presentation.service_id
    }

    fn own<'a>(&'a self, identity: &'a Identity) -> Own<'a> {
        Own {
            identity,
            presentation: &self.presentation,
            contracts: &self.contracts,
            profile_sequence: self.profile_sequence.load(Ordering::Relaxed),
            space: &self.space,
            brokers: self.peers.brokers(),
        }
    }

    fn live(&self, id: ConnectionId) -> Option<Arc<Mutex<Live>>> {
        lock(&self.connections).all.get(&id).cloned()
    }

    async fn lock_live(&self, id: ConnectionId) -> Option<OwnedMutexGuard<Live>> {
        Some(self.live(id)?.lock_owned().await)
    }

    fn is_known(&self, id: ConnectionId) -> bool {
        lock(&self.connections).all.contains_key(&id)
    }

    /// Whether nothing failed, and what is to be stored can be.
    fn is_sound(&self) -> bool {
        self.healthy.load(Ordering::Acquire) && self.state.is_open() && !self.state.is_away()
    }

    /// Whether durable events have not been heard for long.
    fn is_deaf(&self) -> bool {
        lock(&self.hearing).is_deaf(clock::now())
    }

    /// Makes changes durable. A failure is final: the gateway is not healthy any more.
    async fn commit(&self, draft: Draft) -> Result<(), StateError> {
        let committed = self.state.commit(draft).await;
        if committed.is_err() {
            self.healthy.store(false, Ordering::Release);
        }
        committed
    }

    /// As [`commit`](Self::commit), and nothing that the changes removed is left on the disk.
    async fn purge(&self, draft: Draft) -> Result<(), StateError> {
        if draft.is_empty() {
            return self.commit(draft).await;
        }
        let committed = purging::purge(&self.state, draft, Vec::new()).await;
        if committed.is_err() {
            self.healthy.store(false, Ordering::Release);
        }
        committed
    }

    /// Stores a connection and its channel.
    async fn store(&self, live: &mut Live) -> Result<(), StateError> {
        let mut draft = self.state.draft();
        put(&mut draft, live)?;
        self.commit(draft).await
    }

    fn add(&self, live: Live) {
        let (id, invite_id) = (live.record.connection_id, live.record.invite_id);
        let mut connections = lock(&self.connections);
        connections.by_invitation.insert(invite_id, id);
        connections.members.push((id, live.record.member.fingerprint));
        connections.all.insert(id, Arc::new(Mutex::new(live)));
    }

    /// Puts into the commit of a connection that became active that it did.
    fn tell_active(&self, draft: &mut Draft, live: &Live) -> Result<(), StateError> {
        let (now, id) = (clock::now(), live.record.connection_id);
        let body = json!({"invite_id": live.record.invite_id});
        self.tell(draft, now, &Event::of(EventKind::ConnectionActive, id, body))?;
        self.tell_accepted(draft, live)
    }

    /// Puts into the commit of a contract that is in force that it is.
    fn tell_accepted(&self, draft: &mut Draft, live: &Live) -> Result<(), StateError> {
        let (now, id) = (clock::now(), live.record.connection_id);
        let body = json!({"contract_version": live.record.contract.contract_version});
        self.tell(draft, now, &Event::of(EventKind::ContractAccepted, id, body))
    }

    fn count_dropped(&self) {
        self.dropped_events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Puts a connection and its channel into a commit.
fn put(draft: &mut Draft, live: &mut Live) -> Result<(), StateError> {
    let id = live.record.connection_id;
    draft.put(connection_key(id), &live.record)?;
    put_channel(draft, id, live)
}

/// Puts the channel alone into a commit.
fn put_channel(draft: &mut Draft, id: ConnectionId, live: &mut Live) -> Result<(), StateError> {
    match &mut live.channel {
        Some(channel) => {
            channel.stored();
            draft.put(channel_key(id), channel)
        }
        None => {
            draft.remove(channel_key(id));
            Ok(())
        }
    }
}

/// Puts the acceptance in force into a commit, beside all before it.
fn put_acceptance(draft: &mut Draft, live: &Live) -> Result<(), StateError> {
    let Some(accepted) = &live.record.accepted else {
        return Ok(());
    };
    draft.put(format!("acceptance/{}/{:020}", live.record.connection_id, accepted.acceptance.sequence), accepted)
}

const INVITATIONS: &str = "invitation/";
const CONNECTIONS: &str = "connection/";
const REQUESTS: &str = "request/";

fn invitation_key(id: InviteId) -> String {
    format!("{INVITATIONS}{id}")
}

fn connection_key(id: ConnectionId) -> String {
    format!("{CONNECTIONS}{id}")
}

fn channel_key(id: ConnectionId) -> String {
    format!("channel/{id}")
}

/// The end of a request that is stored.
fn ended_key(id: RequestId) -> String {
    format!("ended/{id}")
}

fn request_key(id: RequestId) -> String {
    format!("{REQUESTS}{id}")
}

fn lock<T>(mutex: &SyncMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
