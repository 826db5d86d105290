//! Everything of an operator and a service on this machine, in this process: broker (a child process, as always), services,
//! one host, a gateway. Started as the binary starts them, with the same configuration.

pub(crate) use crate::https::Operator;
use anyhow::{Context as _, Result, anyhow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vettid_core::allowance::{Limit, Limits as VaultLimits};
use vettid_gateway::Gateway;
use vettid_gateway::config::{
    Broker, Config as GatewayConfig, InvitationStyle, Limits as GatewayLimits, Services as Desk,
};
use vettid_nats::connection::Endpoint;
use vettid_nats::tls::ClientTls;
use vettid_services::config::{Config, DEFAULT_BROKER_DISK_BYTES, Limits};
use vettid_services::services::Services;
use vettid_vault::host::config::HostConfig;
use vettid_vault::host::{Host, HostFailed, JoinFailed, Joining};
use vettid_wire::contract::Rate;
use vettid_wire::enrolment::{HostJoined, JoinHost};

/// As `examples/shop/contract.json` in all but the rates: a measurement asks more often than a shop.
const CONTRACT: &str = r#"{
  "service_id": "bench-shop", "contract_version": 1, "description": "Reads one field, as often as it can.",
  "fields": [{"field": "address", "tier": "on_demand", "purpose": "To measure", "retention": "session"}],
  "permissions": [], "rate": {"count": 1000000000, "per_seconds": 1},
  "terms_url": "https://shop.example/terms", "privacy_url": "https://shop.example/privacy"
}"#;

/// The running parts.
pub(crate) struct Stack {
    plan: Plan,
    running: Running,
    took: Duration,
}

/// Where everything lies.
struct Plan {
    folder: PathBuf,
    nats_server: PathBuf,
}

struct Running {
    services: Services,
    operator: Operator,
    host: JoinHandle<Result<(), HostFailed>>,
    stop_host: CancellationToken,
    gateway: Gateway,
}

/// Services over HTTPS, as a host asks them.
#[derive(Clone)]
struct HttpsJoining {
    operator: Operator,
    token: String,
}

impl Joining for HttpsJoining {
    async fn join(&self, asked: JoinHost) -> Result<HostJoined, JoinFailed> {
        let joined = self.operator.post("/v1/hosts", Some(&self.token), &asked).await;
        joined.map_err(|error| JoinFailed(format!("{error:#}")))
    }
}

impl Stack {
    /// Starts all parts over an empty folder.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let plan = Plan { folder: folder.to_owned(), nats_server: vettid_testkit::program::nats_server()? };
        std::fs::write(plan.path("contract.json"), CONTRACT)?;
        let begin = Instant::now();
        let running = Running::start(&plan).await?;
        Ok(Self { plan, running, took: begin.elapsed() })
    }

    /// Stops all parts and starts them again over the same data.
    pub(crate) async fn start_again(self) -> Result<Self> {
        self.running.stop().await?;
        let begin = Instant::now();
        let running = Running::start(&self.plan).await?;
        Ok(Self { plan: self.plan, running, took: begin.elapsed() })
    }

    /// How long the start took, until every part was ready.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Stops all parts.
    pub(crate) async fn stop(self) -> Result<()> {
        self.running.stop().await
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.plan.folder
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.running.operator
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.running.gateway
    }

    /// Lets services register.
    pub(crate) fn service_token(&self) -> String {
        self.running.services.service_token()
    }

    /// The authority that certifies everything here.
    pub(crate) fn authority(&self) -> &str {
        self.running.services.authority_pem()
    }

    /// The broker.
    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        Ok(Endpoint { address: self.running.services.nats_endpoint(), tls: ClientTls::trusting(self.authority())? })
    }
}

impl Plan {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn services(&self) -> Result<Config> {
        Ok(Config {
            data_dir: self.path("services"),
            key_file: self.path("services.key"),
            nats_server: self.nats_server.clone(),
            listen: "127.0.0.1:0".parse()?,
            public_url: None,
            certificate_names: Vec::new(),
            websocket_origins: vec!["https://localhost".into()],
            broker_disk_bytes: DEFAULT_BROKER_DISK_BYTES,
            limits: many_enrolments(),
            dns: Default::default(),
        })
    }

    fn host(&self, authority: &str) -> Result<HostConfig> {
        Ok(HostConfig {
            host_id: "host-1".parse()?,
            state: self.path("host"),
            sealer: vettid_vault::host::sealer::SealerConfig::KeyFile(self.path("host.key")),
            broker_tls: ClientTls::trusting(authority)?,
            public_endpoint: None,
            peers: Arc::default(),
            files_bytes: vettid_nats::pieces::DEFAULT_MOST_BYTES,
            handlers: vettid_handlers::native().build()?,
            limits: unlimited(),
        })
    }

    fn gateway(&self, services: &Services) -> Result<GatewayConfig> {
        std::fs::write(self.path("ca.pem"), services.authority_pem())?;
        Ok(GatewayConfig {
            version: 1,
            name: "Bench Shop".into(),
            origins: vec!["https://shop.example".into()],
            category: None,
            contract: self.path("contract.json"),
            state: self.path("shop"),
            key_file: self.path("shop.key"),
            postgres: None,
            services: Desk {
                url: services.url().to_owned(),
                ca_file: self.path("ca.pem"),
                join_token_file: Some(self.path("services/join/service.token")),
            },
            broker: Broker::default(),
            http: None,
            oidc: None,
            webhooks: Default::default(),
            invitation: InvitationStyle::default(),
            login: Default::default(),
            limits: GatewayLimits::default(),
        })
    }
}

/// More members come from one address than in an hour of a usual day.
fn many_enrolments() -> Limits {
    let many = |per_seconds| Rate { count: 10_000, per_seconds };
    Limits { open: many(60), enrolments: many(3600), ..Limits::default() }
}

/// A measurement asks more often than any app, member or shop may.
fn unlimited() -> VaultLimits {
    let messages = Rate { count: 1_000_000_000, per_seconds: 1 };
    let limit = Limit { messages, bytes: None, uncommitted: Limit::SESSION.uncommitted };
    VaultLimits { connection: limit, session: limit }
}

impl Running {
    /// Each when the one before is ready.
    async fn start(plan: &Plan) -> Result<Self> {
        let services = Services::start(plan.services()?).await.context("services do not start")?;
        let operator = Operator::new(services.url(), services.authority_pem())?;
        let joining = HttpsJoining { operator: operator.clone(), token: services.host_token() };
        let host = Host::start_patiently(plan.host(services.authority_pem())?, &joining).await.context("no host")?;
        let stop_host = CancellationToken::new();
        let stop = stop_host.clone();
        let host = tokio::spawn(async move { host.run(&joining, stop).await });
        let gateway = Gateway::start(plan.gateway(&services)?).await.context("no gateway")?;
        Ok(Self { services, operator, host, stop_host, gateway })
    }

    async fn stop(self) -> Result<()> {
        self.gateway.stop().await;
        self.stop_host.cancel();
        self.host.await.map_err(|error| anyhow!("the host was lost: {error}"))?.context("the host failed")?;
        self.services.stop().await.context("services did not stop in order")
    }
}
