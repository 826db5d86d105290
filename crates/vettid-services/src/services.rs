//! Services as one running thing: start in order, say where they are, stop in order. Must never answer a request before
//! keys, ledger, broker and subscriptions are there.

use crate::broker::{Broker, BrokerError, BrokerPlan};
use crate::certificate::{self, CertificateError};
use crate::config::Config;
use crate::control_plane::{ControlPlane, Parts};
use crate::http::{self, listener};
use crate::keys::{self, Keys, KeysError};
use crate::member_keys::MemberKeys;
use crate::randomness;
use crate::registry::Registry;
use crate::resolver::DnsServers;
use crate::sealed::{self, SealedError};
use axum_server::Handle;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vettid_nats::clock;
use vettid_nats::connection::{RequestError, Subscription};
use vettid_nats::server::{Ports, ServerError, ServerState};
use vettid_store::ledger::{Ledger, LedgerError};
use vettid_store::recovery::Recoveries as _;
use vettid_store::sqlite::{OpenError, SqliteLedger};
use vettid_wire::id::Fingerprint;

/// Requests under way at a stop have this long to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why services did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness(#[source] getrandom::Error),
    /// Members could not use this address.
    #[error("the public address must be `https://` and a name, without a slash at the end")]
    PublicUrl,
    /// Folders and join tokens.
    #[error(transparent)]
    Folder(#[from] SealedError),
    /// The sealed keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The ledger opened, but does not answer.
    #[error("the ledger does not answer")]
    LedgerAnswer(#[from] LedgerError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The certificate of the API.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The API cannot listen there.
    #[error("the api cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why services did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The API ended with an error.
    #[error("the api failed")]
    Api(#[source] io::Error),
    /// A task ended in a way that is a bug.
    #[error("a task of services was lost")]
    Task,
    /// The broker.
    #[error(transparent)]
    Broker(#[from] ServerError),
}

/// What failed in running services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The broker, for good.
    Broker,
    /// A task, over a fault of the program or of the system.
    Task,
}

/// Running services.
pub struct Services {
    plane: Arc<ControlPlane>,
    ledger: SqliteLedger,
    address: SocketAddr,
    authority_pem: String,
    http: Handle<SocketAddr>,
    api: JoinHandle<io::Result<()>>,
    tasks: [JoinHandle<()>; 3],
    stop: CancellationToken,
    /// One of the tasks ended.
    lost: CancellationToken,
}

/// Begins a task that services cannot do without.
fn keep<T: Send + 'static>(lost: &CancellationToken, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let end = lost.clone().drop_guard();
    tokio::spawn(async move {
        let _end = end;
        task.await
    })
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Services {
    /// Starts the broker and the API; ready when this returns. The first start makes all keys.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(config: Config) -> Result<Self, StartError> {
        randomness::check().map_err(StartError::Randomness)?;
        let public_url = config.public_url.as_deref();
        if public_url.is_some_and(|url| !url.starts_with("https://") || url.ends_with('/')) {
            return Err(StartError::PublicUrl);
        }
        sealed::make_folder(&config.data_dir)?;
        let (keys, bootstraps) = keys::load_or_make(&config.data_dir, &config.key_file, clock::now())?;
        write_join_tokens(&config.data_dir, &keys)?;
        let ledger = SqliteLedger::open(&config.data_dir.join("ledger.sqlite")).await?;
        let member_keys = MemberKeys::load_or_make(&bootstraps, ledger.holds_sealed().await?)?;
        let authority = keys.authority().map_err(CertificateError::from)?;
        let tls = certificate::server_config(&authority, &config.certificate_names, clock::now())?;
        let listener = listen(&config)?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        let broker = start_broker(&config, &keys, &ledger).await?;
        let from_vaults = broker.hear_vaults().await.map_err(BrokerError::from)?;
        let public_url = config.public_url.unwrap_or_else(|| format!("https://{address}"));
        let registry = Registry::default();
        let (resolver, periods) = (Box::new(resolver(&config.dns.servers)), config.dns.periods);
        let limits = config.limits;
        let parts = Parts { keys, bootstraps, member_keys, broker, registry, resolver, periods, public_url, limits };
        let plane = Arc::new(ControlPlane::new(Arc::new(ledger.clone()), parts));
        let (http, stop, lost) = (Handle::new(), CancellationToken::new(), CancellationToken::new());
        let router = http::router(plane.clone());
        let api = keep(&lost, listener::serve(listener, tls, router, http.clone()));
        let tasks = [
            keep(&lost, serve_vaults(plane.clone(), from_vaults, stop.clone())),
            keep(&lost, keep_identities(plane.clone(), stop.clone())),
            keep(&lost, keep_verified(plane.clone(), stop.clone())),
        ];
        let authority_pem = authority.certificate_pem().to_owned();
        Ok(Self { plane, ledger, address, authority_pem, http, api, tasks, stop, lost })
    }

    /// The address of the HTTP API as members reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.plane.public_url
    }

    /// Where the HTTP API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the broker.
    #[must_use]
    pub fn nats_endpoint(&self) -> String {
        self.plane.broker.address()
    }

    /// Where the broker listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.plane.broker.ports()
    }

    /// The certificate of the authority that API and broker are trusted by, PEM; not secret.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The identity of the registry: what members are told when it changes.
    #[must_use]
    pub fn registry_fingerprint(&self) -> Fingerprint {
        self.plane.keys.registry_identity.verifying_key().fingerprint()
    }

    /// Lets hosts join. A bearer secret of the operator.
    #[must_use]
    pub fn host_token(&self) -> String {
        self.plane.keys.host_token.expose()
    }

    /// Lets services register. A bearer secret of the operator.
    #[must_use]
    pub fn service_token(&self) -> String {
        self.plane.keys.service_token.expose()
    }

    /// Waits until services cannot go on and should be stopped: the broker has failed for good, or a task ended, of which
    /// [`Self::stop`] says what became.
    pub async fn failed(&self) -> Failed {
        let mut state = self.plane.broker.state();
        tokio::select! {
            // An error means that the supervisor is gone, which is a failure too.
            _ = state.wait_for(|state| *state == ServerState::Failed) => Failed::Broker,
            () = self.lost.cancelled() => Failed::Task,
        }
    }

    /// Ends running requests within a few seconds, then connections, broker and ledger.
    ///
    /// # Errors
    /// [`StopError`]; everything that could be stopped was.
    pub async fn stop(self) -> Result<(), StopError> {
        self.http.graceful_shutdown(Some(GRACE));
        let api = self.api.await;
        self.stop.cancel();
        let mut lost = false;
        for task in self.tasks {
            lost |= task.await.is_err();
        }
        let broker = self.plane.broker.stop().await;
        self.ledger.close().await;
        broker?;
        match api {
            Ok(Ok(())) if !lost => Ok(()),
            Ok(Err(source)) => Err(StopError::Api(source)),
            _ => Err(StopError::Task),
        }
    }
}

async fn start_broker(config: &Config, keys: &Keys, ledger: &SqliteLedger) -> Result<Broker, StartError> {
    let revoked_hosts = ledger.revocations(keys.accounts.vault_host.as_str()).await?;
    let plan = BrokerPlan {
        program: &config.nats_server,
        data_dir: &config.data_dir,
        websocket_origins: &config.websocket_origins,
        disk_bytes: config.broker_disk_bytes,
        revoked_hosts,
    };
    Ok(Broker::start(plan, keys).await?)
}

async fn keep_identities(plane: Arc<ControlPlane>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = plane.broker.keep_identities(&plane.keys) => {}
    }
}

async fn keep_verified(plane: Arc<ControlPlane>, stop: CancellationToken) {
    plane.keep_verified(&stop).await;
}

/// Without servers nothing is found out, and nobody is verified; everything else works.
fn resolver(servers: &[SocketAddr]) -> DnsServers {
    DnsServers::new(servers).unwrap_or_else(|error| {
        tracing::error!(%error, "no domain of a service can be looked at");
        DnsServers::none()
    })
}

/// Serves vaults one request after the other; a lost subscription is made anew. A fault of the program costs the request that meets it.
async fn serve_vaults(plane: Arc<ControlPlane>, mut subscription: Subscription, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            incoming = subscription.next() => match incoming {
                Some(Ok(incoming)) => {
                    let plane = plane.clone();
                    let served = tokio::spawn(async move { plane.serve_vault(incoming).await }).await;
                    if served.is_err() {
                        tracing::error!("the program fell over a request of a vault, which stays without an answer");
                    }
                }
                lost => {
                    tracing::error!(?lost, "services do not hear vaults any more; subscribing again");
                    let Some(again) = resubscribed(&plane, &stop).await else { return };
                    subscription = again;
                }
            },
        }
    }
}

async fn resubscribed(plane: &ControlPlane, stop: &CancellationToken) -> Option<Subscription> {
    loop {
        match plane.broker.hear_vaults().await {
            Ok(subscription) => return Some(subscription),
            Err(RequestError::Closed) => return None,
            Err(error) => tracing::error!(%error, "services cannot subscribe to vaults"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// The port of the first start, when the operator leaves the choice to the system.
fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let failure = |address| move |source| StartError::Listen { address, source };
    let remembered = config.data_dir.join("api.port");
    let mut address = config.listen;
    if address.port() == 0 {
        let last = std::fs::read_to_string(&remembered).ok().and_then(|text| text.trim().parse().ok());
        address.set_port(last.unwrap_or(0));
    }
    let listener = match TcpListener::bind(address) {
        Err(error) if config.listen.port() == 0 && address.port() != 0 => {
            tracing::warn!(%error, port = address.port(), "the port of the last start is taken; choosing another one");
            TcpListener::bind(config.listen).map_err(failure(config.listen))?
        }
        bound => bound.map_err(failure(address))?,
    };
    if config.listen.port() == 0 {
        remember(&remembered, &listener).map_err(failure(address))?;
    }
    Ok(listener)
}

fn remember(path: &Path, listener: &TcpListener) -> io::Result<()> {
    std::fs::write(path, format!("{}\n", listener.local_addr()?.port()))
}

/// At the first start the operator finds the join tokens as files that only the operator's own user may read.
fn write_join_tokens(data_dir: &Path, keys: &Keys) -> Result<(), SealedError> {
    let folder = data_dir.join("join");
    if folder.exists() {
        return Ok(());
    }
    sealed::make_folder(&folder)?;
    for (name, token) in [("host.token", &keys.host_token), ("service.token", &keys.service_token)] {
        let path: PathBuf = folder.join(name);
        let text = format!("{}\n", token.expose());
        sealed::write_new(&path, text.as_bytes()).map_err(|source| SealedError::File { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_missed_whatever_it_ended_with() {
        let lost = CancellationToken::new();
        let task = keep(&lost, std::future::pending::<()>());
        tokio::task::yield_now().await;
        assert!(!lost.is_cancelled());
        task.abort();
        task.await.unwrap_err();
        assert!(lost.is_cancelled());

        let fallen = CancellationToken::new();
        keep(&fallen, async { panic!("a fault of the program") }).await.unwrap_err();
        assert!(fallen.is_cancelled());
    }
}
