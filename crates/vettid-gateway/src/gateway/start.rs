//! The start of a gateway, in the order in which nothing is told before it is stored and nothing arrives before somebody
//! listens.

use super::restoring::Outlived;
use super::{
    CONNECTIONS, Connections, Gateway, INVITATIONS, Shared, api_keys, arrivals, asking, channel_key, lock, posts,
    publishing, purging, records, restoring, signing, upkeep, values, verification, webhooks,
};
use crate::api_key::ApiKeys;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::connection::{Connection, Live, OpenInvitation};
use crate::files::{self, FileError};
use crate::home::{Arrivals, Home, HomeError};
use crate::http::{self, HttpError};
use crate::identity::{Identity, IdentityFailed};
use crate::key_file::{self, KeyFileError, StateKey};
use crate::login::{Desk, Rules};
use crate::metrics::Metrics;
use crate::offer::{Offer, OfferError};
use crate::oidc::{self, OidcError};
use crate::once::{self, Calls};
use crate::peers::{Brokers, Peers};
use crate::profile::{self, Presentation, ProfileFailed};
use crate::random;
use crate::registration::{self, Registration, RegistrationError};
use crate::requests::Requests;
use crate::state::{Loaded, Place, State, StateError};
use crate::tasks::Tasks;
use crate::versions::{self, NotNewer, Version, Versions};
use crate::webhook::sender::{Sender, SenderError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use vettid_crypto::nats::key::InvalidKey;
use vettid_nats::connection::Endpoint;
use vettid_nats::tls::{ClientTls, TlsError};
use vettid_store::state::postgres::DatabaseAddress;
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::ConnectionState;
use vettid_wire::handshake::{InvalidInvitation, SpaceUri};
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

/// Between two rounds of tidying up.
const ROUND: Duration = Duration::from_secs(10);
/// The profile is published again after this time, long before it is stale (7 days).
const PUBLISH_AGAIN: Duration = Duration::from_secs(7 * 24 * 3600);
/// After a failed renewal.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

pub(super) const IDENTITY: &str = "identity";
const REGISTRATION: &str = "registration";
const PUBLISHED: &str = "published";

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The contract.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The contract was changed and is not newer than the one before, or it is another service's.
    #[error(transparent)]
    NotNewer(#[from] NotNewer),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The file that says where the database is.
    #[error("{0}: the file with the address of the database is missing")]
    NoAddress(PathBuf),
    /// The own keys.
    #[error(transparent)]
    Identity(#[from] IdentityFailed),
    /// An NKey.
    #[error(transparent)]
    Nkey(#[from] InvalidKey),
    /// The registration with the operator.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The address of the broker cannot stand in an invitation.
    #[error("the address of the broker cannot be used")]
    Endpoint(#[from] InvalidInvitation),
    /// TLS towards the broker.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ProfileFailed),
    /// The broker.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The way to webhooks.
    #[error(transparent)]
    Webhooks(#[from] SenderError),
    /// The HTTP face.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The OpenID provider.
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

/// What was published last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Published {
    service_id: ServiceId,
    contract_version: u64,
    contract_hash: Base64Url,
    profile_sequence: u64,
}

pub(super) async fn start(config: Config) -> Result<Gateway, StartError> {
    config.check()?;
    let offer = Offer::read(&config.contract)?;
    let service_id = offer.contract.service_id.clone();
    let presentation = Presentation { name: config.name.clone(), origins: config.origins.clone(), service_id };
    let tls = ClientTls::trusting(&files::read_text(config.broker_ca_file())?)?;
    let place = Place::take(&config.state, database(&config)?.as_ref()).await?;
    let StateKey { key, made_at } = key_file::storage_key(&config.key_file, place.holds_state(), clock::now())?;
    let (state, loaded) = State::open(place, key).await?;
    let prepared = match prepare(&config, &offer, &state, &loaded).await {
        Ok(prepared) => prepared,
        Err(error) => {
            // Whoever tries again in this process finds the state free.
            state.close().await;
            return Err(error);
        }
    };
    let Prepared { identity, registration, published, contracts, mut outlived } = prepared;
    let endpoint = Endpoint { address: registration.nats_endpoint.clone(), tls: tls.clone() };
    let (home, arrivals) = Home::open(&identity, &endpoint, &config.state, config.limits.inbox_bytes).await?;
    let brokers = Brokers::new(&registration.nats_endpoint, &registration.former_endpoints, &config.broker.peers);
    let limits = &config.limits;
    let peers = Peers::new(tls, brokers, limits.peer_connections, limits.peer_idle_ms);
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared {
        space: SpaceUri::new(registration.nats_endpoint, identity.guid)?,
        requests: Requests::new(limits.open_requests),
        logins: SyncMutex::new(Desk::new(login_rules(&config, &presentation))),
        records: SyncMutex::new(records::load(&loaded)?),
        values: SyncMutex::new(std::mem::take(&mut outlived.values)),
        api_keys: ApiKeys::new(loaded.values(api_keys::KEYS)?, limits.calls_per_minute),
        hooks: Arc::new(webhooks::Hooks::load(&loaded, Sender::new(&config.webhooks)?, limits.webhook_waiting)?),
        calls: Calls::new(loaded.values(once::CALLS)?),
        metrics: Metrics::new(),
        invitations: SyncMutex::new(invitations(&loaded)?),
        connections: SyncMutex::new(connections(&loaded)?),
        identity: RwLock::new(identity),
        profile_sequence: AtomicU64::new(published.profile_sequence),
        presentation,
        contracts,
        publishing: Mutex::new(()),
        profiling: Mutex::new(()),
        profile_is_due: AtomicBool::new(false),
        contract_file_problem: SyncMutex::new(None),
        config,
        state,
        home,
        peers,
        healthy: AtomicBool::new(true),
        hearing: SyncMutex::default(),
        dropped_events: AtomicU64::new(0),
        http_address: SyncMutex::new(None),
        oidc_address: SyncMutex::new(None),
        started_at: clock::now(),
        state_key_made_at: made_at,
        signing_wanted: Notify::new(),
        tasks: Tasks::new(stop.clone()),
        stop,
    });
    let kept = Restored { outlived, oidc: oidc::Kept::load(&loaded)? };
    run(&shared, arrivals, kept).await
}

/// The database server that the configuration names, if it names one.
fn database(config: &Config) -> Result<Option<DatabaseAddress>, StartError> {
    let Some(postgres) = &config.postgres else {
        return Ok(None);
    };
    let path = &postgres.url_file;
    let text = files::read_secret_text(path)?.ok_or_else(|| StartError::NoAddress(path.clone()))?;
    Ok(Some(text.trim().parse().map_err(StateError::from)?))
}

/// What goes on where it was.
struct Restored {
    outlived: Outlived,
    oidc: oidc::Kept,
}

/// Sets everything going. What fails here ends what runs already.
async fn run(shared: &Arc<Shared>, arrivals: Arrivals, restored: Restored) -> Result<Gateway, StartError> {
    let gateway = Gateway(Arc::clone(shared));
    let outcome = set_going(shared, &gateway, arrivals, restored).await;
    if outcome.is_err() {
        gateway.stop().await;
    }
    outcome.map(|()| gateway)
}

async fn set_going(
    shared: &Arc<Shared>,
    gateway: &Gateway,
    arrivals: Arrivals,
    restored: Restored,
) -> Result<(), StartError> {
    let open = restoring::know(shared, restored.outlived);
    publish(shared).await?;
    shared.tasks.keep("the inbox", arrivals::serve_inbox(Arc::clone(shared), arrivals.inbox));
    for subscription in arrivals.subscriptions {
        shared.tasks.keep("taking of answers", arrivals::serve_subscription(Arc::clone(shared), subscription));
    }
    restoring::go_on(shared, open).await;
    resume_posts(shared).await;
    shared.tasks.keep("sending of events", webhooks::serve(Arc::clone(shared)));
    shared.tasks.keep("tidying up", keep_tidy(Arc::clone(shared)));
    shared.tasks.keep("renewal of the credential", keep_credential(Arc::clone(shared)));
    shared.tasks.keep("publication", keep_published(Arc::clone(shared)));
    shared.tasks.keep("renewal of signing keys", signing::keep(Arc::clone(shared)));
    shared.tasks.keep("the entry in the directory", verification::keep_listed(Arc::clone(shared)));
    if let Some(http) = &shared.config.http {
        let address = http::serve(gateway.clone(), http, &shared.tasks, shared.stop.clone()).await?;
        *lock(&shared.http_address) = Some(address);
    }
    if let Some(oidc) = &shared.config.oidc {
        let address = oidc::serve(gateway.clone(), oidc, restored.oidc, &shared.tasks, shared.stop.clone()).await?;
        *lock(&shared.oidc_address) = Some(address);
    }
    Ok(())
}

async fn resume_posts(shared: &Arc<Shared>) {
    let all: Vec<_> = lock(&shared.connections).all.values().cloned().collect();
    for live in all {
        let live = live.lock().await;
        for post in &live.record.outbox {
            posts::spawn(shared, live.record.connection_id, post.clone());
        }
    }
}

struct Prepared {
    identity: Identity,
    registration: Registration,
    published: Published,
    contracts: Versions,
    outlived: Outlived,
}

/// Identity, registration, what is about to be published and what outlived the program; each is stored before it is used.
async fn prepare(config: &Config, offer: &Offer, state: &State, loaded: &Loaded) -> Result<Prepared, StartError> {
    let now = clock::now();
    let last: Option<Published> = loaded.value(PUBLISHED)?;
    let (contracts, new) = Versions::with(now, offer, known_versions(now, loaded)?)?;
    check_last(last.as_ref(), &contracts)?;
    let published = next_published(&contracts, last);
    let mut identity = match loaded.value::<Identity>(IDENTITY)? {
        Some(identity) => identity,
        None => Identity::new(now, &mut random::system())?,
    };
    identity.renew_record(now)?;
    let mut draft = state.draft();
    draft.put(IDENTITY.to_owned(), &identity)?;
    draft.put(PUBLISHED.to_owned(), &published)?;
    if let Some(version) = &new {
        versions::store(&mut draft, version)?;
    }
    let outlived = restoring::load(loaded, &mut draft)?;
    let owed = purging::owed(loaded)?;
    if outlived.purges || !owed.is_empty() {
        purging::purge(state, draft, owed).await?;
    } else {
        state.commit(draft).await?;
    }
    let registration = match loaded.value(REGISTRATION)? {
        Some(last) if config.services.join_token_file.is_none() => last,
        Some(last) => again(config, state, &identity, &published.service_id, last).await,
        None => register(config, state, &identity, &published.service_id, None).await?,
    };
    settle_keys(config, state, &mut identity, &published.service_id).await?;
    Ok(Prepared { identity, registration, published, contracts, outlived })
}

/// Keys that services were told of may be the only ones that the broker takes by now, if the gateway ended before it heard that.
async fn settle_keys(
    config: &Config,
    state: &State,
    identity: &mut Identity,
    service_id: &ServiceId,
) -> Result<(), StartError> {
    let told = signing::tell(&config.services, service_id, || &*identity).await;
    match told {
        Ok(Some(confirmed)) => {
            identity.succeed(confirmed, clock::now());
            let mut draft = state.draft();
            draft.put(IDENTITY.to_owned(), &*identity)?;
            state.commit(draft).await?;
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "services did not confirm the new signing keys yet"),
    }
    Ok(())
}

/// Asks services again where the broker is, which may have moved; if they do not answer, the last place counts.
async fn again(
    config: &Config,
    state: &State,
    identity: &Identity,
    service_id: &ServiceId,
    last: Registration,
) -> Registration {
    match register(config, state, identity, service_id, Some(&last)).await {
        Ok(registration) => registration,
        Err(error) => {
            tracing::warn!(%error, "services did not confirm the registration; the last one is used");
            last
        }
    }
}

async fn register(
    config: &Config,
    state: &State,
    identity: &Identity,
    service_id: &ServiceId,
    last: Option<&Registration>,
) -> Result<Registration, StartError> {
    let request = identity.registration(service_id.clone())?;
    let registration = registration::register(&config.services, &request, clock::now()).await?;
    let registration = match last {
        Some(last) => registration.after(last),
        None => registration,
    };
    let mut draft = state.draft();
    draft.put(REGISTRATION.to_owned(), &registration)?;
    state.commit(draft).await?;
    Ok(registration)
}

/// The versions that the state holds; and, from a state of before they were kept, those that connections were made under.
fn known_versions(now: Timestamp, loaded: &Loaded) -> Result<Vec<Version>, StartError> {
    let known = versions::load(loaded)?;
    let records: Vec<Connection> = if known.is_empty() { loaded.values(CONNECTIONS)? } else { Vec::new() };
    let of_record = |record: Connection| Version {
        contract: record.contract,
        contract_hash: record.contract_hash,
        published_at: record.created_at.min(now),
    };
    Ok(known.into_iter().chain(records.into_iter().map(of_record)).collect())
}

/// Nothing that was published may be missing or changed, whatever the file says.
fn check_last(last: Option<&Published>, contracts: &Versions) -> Result<(), StartError> {
    let Some(last) = last else {
        return Ok(());
    };
    let newest = contracts.newest();
    if newest.contract.service_id != last.service_id {
        return Err(NotNewer::OtherService(last.service_id.clone()).into());
    }
    let kept = contracts.get(last.contract_version).map(|version| version.contract_hash == last.contract_hash);
    let is_newer = newest.number() > last.contract_version;
    if kept.unwrap_or(is_newer) { Ok(()) } else { Err(NotNewer::Version(last.contract_version).into()) }
}

impl Published {
    fn of(contracts: &Versions, profile_sequence: u64) -> Self {
        let newest = contracts.newest();
        Self {
            service_id: newest.contract.service_id.clone(),
            contract_version: newest.number(),
            contract_hash: newest.contract_hash.clone(),
            profile_sequence,
        }
    }
}

/// The profile counts up.
fn next_published(contracts: &Versions, last: Option<Published>) -> Published {
    Published::of(contracts, last.map_or(0, |last| last.profile_sequence) + 1)
}

fn invitations(loaded: &Loaded) -> Result<HashMap<vettid_wire::id::InviteId, OpenInvitation>, StateError> {
    let all: Vec<OpenInvitation> = loaded.values(INVITATIONS)?;
    Ok(all.into_iter().map(|invitation| (invitation.invite_id, invitation)).collect())
}

fn login_rules(config: &Config, presentation: &Presentation) -> Rules {
    Rules {
        service_id: presentation.service_id.clone(),
        origins: presentation.origins.clone(),
        link_page: config.login.link_page.clone(),
        numbers: config.login.numbers,
        key_kind: config.login.browser_key,
        most: config.login.waiting,
    }
}

fn connections(loaded: &Loaded) -> Result<Connections, StateError> {
    let mut connections = Connections::default();
    for record in loaded.values::<Connection>(CONNECTIONS)? {
        let id = record.connection_id;
        let channel = loaded.value(&channel_key(id))?;
        connections.by_invitation.insert(record.invite_id, id);
        if record.state == ConnectionState::Active {
            record.browsers.iter().for_each(|key| connections.know_browser(id, key.clone()));
        }
        connections.members.push((id, record.member.fingerprint));
        connections.all.insert(id, Arc::new(Mutex::new(Live::new(record, channel))));
    }
    connections.members.sort_unstable_by_key(|(id, _)| *id);
    Ok(connections)
}

/// Signs the profile and publishes it.
async fn publish(shared: &Shared) -> Result<(), StartError> {
    let profile = {
        let identity = shared.identity();
        let sequence = shared.profile_sequence.load(Ordering::Relaxed);
        profile::signed(clock::now(), &identity, &shared.presentation, &shared.contracts.newest().contract, sequence)?
    };
    Ok(shared.home.publish(&profile).await?)
}

async fn keep_tidy(shared: Arc<Shared>) {
    while slept(&shared, ROUND).await {
        publishing::look_at_file(&shared).await;
        publishing::renew_profile(&shared).await;
        asking::sweep(&shared).await;
        values::sweep(&shared).await;
        upkeep::sweep(&shared).await;
        shared.peers.close_idle().await;
    }
}

async fn keep_credential(shared: Arc<Shared>) {
    let mut pause = shared.home.renew_after();
    while slept(&shared, pause).await {
        pause = match renew(&shared).await {
            Ok(()) => shared.home.renew_after(),
            Err(error) => {
                tracing::warn!(%error, "the own credential could not be renewed yet");
                RENEW_AGAIN
            }
        };
    }
}

pub(super) async fn renew(shared: &Shared) -> Result<(), HomeError> {
    let credential = {
        let identity = shared.identity();
        shared.home.fresh_credential(&identity)?
    };
    shared.home.renew(credential).await
}

async fn keep_published(shared: Arc<Shared>) {
    let mut pause = PUBLISH_AGAIN;
    while slept(&shared, pause).await {
        pause = match publish_next(&shared).await {
            Ok(()) => PUBLISH_AGAIN,
            Err(error) => {
                tracing::warn!(%error, "the profile could not be published yet");
                RENEW_AGAIN
            }
        };
    }
}

/// The same profile under a new sequence and for another thirty days, with a key record that does not end soon.
pub(super) async fn publish_next(shared: &Shared) -> Result<(), StartError> {
    let _one_at_a_time = shared.profiling.lock().await;
    let mut draft = shared.state.draft();
    let sequence = shared.profile_sequence.load(Ordering::Relaxed) + 1;
    {
        let mut identity = shared.identity.write().unwrap_or_else(PoisonError::into_inner);
        identity.renew_record(clock::now())?;
        draft.put(IDENTITY.to_owned(), &*identity)?;
    }
    let published = Published::of(&shared.contracts, sequence);
    draft.put(PUBLISHED.to_owned(), &published)?;
    shared.commit(draft).await?;
    shared.profile_sequence.store(sequence, Ordering::Relaxed);
    publish(shared).await
}

/// Sleeps; `false` when the gateway stops.
pub(super) async fn slept(shared: &Shared, pause: Duration) -> bool {
    tokio::select! {
        () = shared.stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}
