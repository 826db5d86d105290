//! The supervised `nats-server`: its configuration, its store, its life. Loopback only, TLS 1.3 only, operator mode only.
//! Must never start on a store that another server uses or that was sealed with another key.

mod configuration;
mod ports;
mod program;
mod store;
mod supervisor;

use std::path::PathBuf;

use tokio::sync::{oneshot, watch};
use vettid_core::grants::store_key::StoreKey;
use vettid_core::grants::trust::ServerTrust;

use crate::clock;
use crate::connection::Endpoint;
use crate::tls::{CertificateAuthority, ClientTls, TlsError};

pub use ports::Ports;

/// What to run, and where.
#[derive(Debug)]
pub struct ServerPlan {
    /// The `nats-server` program, 2.12 or newer.
    pub program: PathBuf,
    /// Everything of the server lies below this folder; it is made if it is missing.
    pub folder: PathBuf,
    /// The operator and the accounts that the server knows from the start.
    pub trust: ServerTrust,
    /// What the streams are sealed with on disk.
    pub store_key: StoreKey,
    /// Signs the server's certificate.
    pub authority: CertificateAuthority,
    /// Browser origins that may connect by WebSocket; without any there is no WebSocket listener.
    pub websocket_origins: Vec<String>,
    /// Room for streams, in bytes.
    pub disk_bytes: u64,
}

/// Why a server is not running.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is missing or does not run.
    #[error("nats-server at {path} does not run")]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program is too old.
    #[error("nats-server {found} is too old: 2.12 or newer is needed")]
    TooOld {
        /// What it said about itself.
        found: String,
    },
    /// Another server uses the store.
    #[error("the broker's store is in use by another server")]
    InUse,
    /// The store was sealed with another key. Starting would lose its streams.
    #[error("the broker's store was sealed with another key")]
    WrongKey,
    /// There is a store, but nothing says which key it was sealed with. Starting could lose its streams.
    #[error("the broker's store has lost the fingerprint of its key")]
    UnknownKey,
    /// A file could not be read or written.
    #[error("file of the broker: {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something in the plan cannot be put into a configuration, or the server does not accept it.
    #[error("configuration of nats-server: {0}")]
    Configuration(String),
    /// It ended before it was ready, each time; its log says why.
    #[error("nats-server does not get ready; see {log}")]
    NotReady {
        /// The log of the server.
        log: PathBuf,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The supervising thread is gone. This is a bug.
    #[error("the supervisor of nats-server ended")]
    Supervisor,
}

/// How the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// On its way up, for the first time or again.
    Starting,
    /// Accepts connections.
    Ready,
    /// It ended on its own and will be started again after a pause.
    Ended,
    /// Stopped on purpose.
    Stopped,
    /// Given up: it ended too often before it was ready.
    Failed,
}

/// A running server. Dropping it stops the server too.
#[derive(Debug)]
pub struct Server {
    ports: Ports,
    authority_pem: String,
    client_tls: ClientTls,
    state: watch::Receiver<ServerState>,
    process: watch::Receiver<Option<u32>>,
    stop: Option<oneshot::Sender<()>>,
    supervisor: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn start(plan: ServerPlan) -> Result<Self, ServerError> {
        let authority_pem = plan.authority.certificate_pem().to_owned();
        let client_tls = ClientTls::trusting(&authority_pem)?;
        let prepared = tokio::task::spawn_blocking(move || supervisor::Prepared::new(plan, clock::now()))
            .await
            .map_err(|_| ServerError::Supervisor)??;
        let links = supervisor::Links::new();
        let (stop, stopped) = oneshot::channel();
        let (ready, first) = oneshot::channel();
        let (state, process) = (links.state.subscribe(), links.process.subscribe());
        let supervisor = supervisor::spawn(prepared, links, ready, stopped)?;
        let mut server = Self {
            ports: Ports::default(),
            authority_pem,
            client_tls,
            state,
            process,
            stop: Some(stop),
            supervisor: Some(supervisor),
        };
        server.ports = first.await.map_err(|_| ServerError::Supervisor)??;
        Ok(server)
    }

    /// Where it listens. The ports stay the same when the server is started again.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The certificate that clients trust, PEM; not secret.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Where and how clients of this machine connect.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { address: format!("tls://127.0.0.1:{}", self.ports.client), tls: self.client_tls.clone() }
    }

    /// How it is, and how that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ServerState> {
        self.state.clone()
    }

    /// The process id, while there is a process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        *self.process.borrow()
    }

    /// Stops the server: it writes everything down, ends, and gives up its store.
    ///
    /// # Errors
    /// If the supervising thread is gone.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        let supervisor = self.order_stop().ok_or(ServerError::Supervisor)?;
        let joined = tokio::task::spawn_blocking(move || supervisor.join().is_ok()).await;
        if joined.is_ok_and(|fine| fine) { Ok(()) } else { Err(ServerError::Supervisor) }
    }

    fn order_stop(&mut self) -> Option<std::thread::JoinHandle<()>> {
        if let Some(stop) = self.stop.take() {
            // The supervisor may have given up already; then there is nobody to tell.
            let _ = stop.send(());
        }
        self.supervisor.take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(supervisor) = self.order_stop() {
            // A thread that failed has nothing more to say, and the process it watched ends with it.
            let _ = supervisor.join();
        }
    }
}
