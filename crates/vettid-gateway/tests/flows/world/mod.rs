//! A broker, the operator's desk where services register, a gateway in a runtime of its own (so that it can be killed),
//! and members.

pub(crate) mod desk;
pub(crate) mod member;
pub(crate) mod process;
pub(crate) mod receiver;

use desk::Desk;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vettid_gateway::config::{Broker, Config, Http, InvitationStyle, Limits, Login, Postgres, Services, Webhooks};
use vettid_gateway::gateway::StartError;
use vettid_gateway::view::ConnectionView;
use vettid_gateway::{Gateway, question};
use vettid_store::state::Rows;
use vettid_store::state::sqlite::SqliteState;
use vettid_testkit::broker::TestServer;
use vettid_testkit::postgres::Cluster;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, InviteId};

/// Longer than anything should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) broker: TestServer,
    pub(crate) desk: Desk,
    /// The database server that has the state of the gateway, if it is not in a file.
    pub(crate) database: Option<Cluster>,
    /// Holds the files of the gateway until the end of the test.
    folder: TempDir,
    pub(crate) config: Config,
}

impl World {
    pub(crate) async fn start() -> Self {
        let broker = TestServer::start().await.unwrap();
        let folder = TempDir::new().unwrap();
        let desk = Desk::open(&broker, folder.path()).await;
        let config = config(&broker, &desk, &folder);
        Self { broker, desk, database: None, folder, config }
    }

    /// The same with the state in PostgreSQL.
    pub(crate) async fn start_on_postgres() -> Self {
        let mut world = Self::start().await;
        let database = Cluster::start().unwrap();
        let url_file = world.folder.path().join("postgres.url");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&url_file).unwrap();
        file.write_all(database.address().as_bytes()).unwrap();
        world.config.postgres = Some(Postgres { url_file });
        world.database = Some(database);
        world
    }

    /// Starts the gateway; one that was killed may take a moment to let go of its state.
    pub(crate) async fn gateway(&self) -> Running {
        tokio::time::timeout(PATIENCE, async {
            loop {
                match Running::start(self.config.clone()).await {
                    Ok(running) => return running,
                    Err(StartError::State(error)) if error.to_string().contains("in use") => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await
        .unwrap()
    }

    /// The file that every commit writes to, or the folder of several.
    pub(crate) fn log_path(&self) -> PathBuf {
        match &self.database {
            Some(database) => database.cluster().join("pg_wal"),
            None => self.config.state.join("state.sqlite-wal"),
        }
    }

    /// Is another one after each commit.
    pub(crate) fn log_mark(&self) -> (u64, std::time::SystemTime) {
        mark(&self.log_path()).unwrap()
    }

    /// The rows of the state as they lie on the disk.
    pub(crate) async fn rows(&self) -> Rows {
        SqliteState::look(&self.config.state.join("state.sqlite")).await.unwrap().rows
    }

    pub(crate) async fn shut(self) {
        self.desk.close();
        self.broker.shut().await;
    }
}

/// Length and time of the last change of a file, or of the file of a folder that changed last.
pub(crate) fn mark(path: &Path) -> Option<(u64, std::time::SystemTime)> {
    if path.is_dir() {
        let files = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        return files.filter_map(|file| mark(&file)).max_by_key(|(_, changed)| *changed);
    }
    let file = std::fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

fn config(broker: &TestServer, desk: &Desk, folder: &TempDir) -> Config {
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("broker.pem"), broker.server().unwrap().authority_pem()).unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop/contract.json"), path("contract.json"))
        .unwrap();
    Config {
        version: 1,
        name: "Demo Shop".to_owned(),
        origins: vec!["https://shop.example".to_owned()],
        category: None,
        contract: path("contract.json"),
        state: path("state"),
        postgres: None,
        key_file: path("state.key"),
        services: Services { url: desk.url(), ca_file: path("desk.pem"), join_token_file: Some(path("join.token")) },
        broker: Broker { ca_file: Some(path("broker.pem")), peers: vec![] },
        http: Some(Http { listen: "127.0.0.1:0".parse().unwrap(), api_key_file: path("api.key"), demo_page: true }),
        oidc: None,
        webhooks: Webhooks { loopback: true, ca_file: None },
        invitation: InvitationStyle { life_seconds: 600, page: Some("https://app.vettid.example/c".to_owned()) },
        login: Login { numbers: true, ..Login::default() },
        limits: Limits { ask_again_ms: 400, webhook_again_ms: 50, ..Limits::default() },
    }
}

/// A gateway in a runtime of its own.
pub(crate) struct Running {
    runtime: Option<Runtime>,
    gateway: Gateway,
}

impl Running {
    pub(crate) async fn start(config: Config) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let started = runtime.spawn(Gateway::start(config)).await.unwrap();
        match started {
            Ok(gateway) => Ok(Self { runtime: Some(runtime), gateway }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Runs something in the gateway's runtime.
    pub(crate) async fn run<T, F>(&self, action: impl FnOnce(Gateway) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.begin(action).await.unwrap()
    }

    /// The same without waiting for it.
    pub(crate) fn begin<T, F>(&self, action: impl FnOnce(Gateway) -> F) -> tokio::task::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.runtime.as_ref().unwrap().spawn(action(self.gateway.clone()))
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) async fn invite(&self) -> vettid_gateway::view::Invitation {
        self.run(|gateway| async move { gateway.invite().await.unwrap() }).await
    }

    pub(crate) async fn connection(&self, id: ConnectionId) -> ConnectionView {
        self.run(move |gateway| async move { gateway.connection(id).await.unwrap() }).await
    }

    /// Waits until a connection is in this state.
    pub(crate) async fn until(&self, id: ConnectionId, state: ConnectionState) -> ConnectionView {
        let reached = async {
            loop {
                let view = self.run(move |gateway| async move { gateway.connection(id).await }).await;
                match view {
                    Some(view) if view.state == state => return view,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap()
    }

    /// Waits until an invitation was answered.
    pub(crate) async fn until_answered(&self, invite_id: InviteId) -> ConnectionId {
        let reached = async {
            loop {
                match self.gateway.connection_of(invite_id) {
                    Some(id) => return id,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap()
    }

    pub(crate) async fn data(
        &self,
        id: ConnectionId,
        field: &str,
        wait: Duration,
    ) -> vettid_gateway::view::RequestView {
        let field = field.to_owned();
        self.run(move |gateway| async move { gateway.request_data(id, &field, "delivery", wait).await.unwrap() }).await
    }

    pub(crate) fn begin_login(
        &self,
        id: ConnectionId,
        wait: Duration,
    ) -> tokio::task::JoinHandle<vettid_gateway::view::RequestView> {
        self.begin(move |gateway| async move { gateway.request_login(id, login(), wait).await.unwrap() })
    }

    /// Ends the gateway in good order.
    pub(crate) async fn stop(mut self) {
        self.run(|gateway| async move { gateway.stop().await }).await;
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Kills the gateway: nothing that it is doing goes on.
    pub(crate) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn login() -> question::LoginRequest {
    let display = vettid_wire::auth::Display {
        browser: "Firefox on Linux".to_owned(),
        city: "Bern".to_owned(),
        ip_prefix: "192.0.2".to_owned(),
    };
    question::LoginRequest { number: Some(42), ..question::LoginRequest::new("https://shop.example", [7; 32], display) }
}

/// Waits until something holds.
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}
