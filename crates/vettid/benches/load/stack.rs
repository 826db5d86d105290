//! Broker, services and one host as processes of their own, so that the work of the host can be counted alone; gateways in this
//! process. Started as an operator starts them, with limits of senders that a measurement does not reach. Leaves no process behind.

pub(crate) use crate::https::Operator;
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use vettid_gateway::Gateway;
use vettid_gateway::config::{Broker, Config, InvitationStyle, Limits, Services};
use vettid_nats::connection::Endpoint;
use vettid_nats::tls::ClientTls;

/// Longest wait for anything that a part does.
pub(crate) const WITHIN: Duration = Duration::from_secs(90);
/// More than any run sends.
const HIGH: i64 = 1_000_000_000;

/// The running parts.
pub(crate) struct Stack {
    folder: PathBuf,
    services: Part,
    host: Part,
    operator: Operator,
    authority: String,
}

/// A process that said when it was ready.
struct Part {
    id: u32,
    ready: Value,
    _child: Child,
    // A closed pipe would end it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Stack {
    /// Starts services with their broker, and one host with room for this many members that works on so many threads, or on one for each core.
    pub(crate) async fn start(folder: &Path, members: usize, host_threads: Option<usize>) -> Result<Self> {
        let services = Part::start(folder, "services", &services_config(members)?, None).await?;
        let host = Part::start(folder, "host", &host_config(&services.ready)?, host_threads).await?;
        let authority = fs::read_to_string(said(&services.ready, "ca_file")?)?;
        let operator = Operator::new(said(&services.ready, "url")?, &authority)?;
        Ok(Self { folder: folder.to_owned(), services, host, operator, authority })
    }

    /// Starts the gateway of a service that reads one field, this often at most from each member.
    pub(crate) async fn gateway(&self, service: &str, rate: &str, members: usize) -> Result<Gateway> {
        let contract = self.folder.join(format!("{service}.json"));
        fs::write(&contract, contract_text(service, rate))?;
        let config = Config {
            version: 1,
            name: service.to_owned(),
            origins: vec![format!("https://{service}.example")],
            category: None,
            contract,
            state: self.folder.join(service),
            key_file: self.folder.join(format!("{service}.key")),
            postgres: None,
            services: Services {
                url: said(&self.services.ready, "url")?.to_owned(),
                ca_file: said(&self.services.ready, "ca_file")?.into(),
                join_token_file: Some(self.folder.join("services/join/service.token")),
            },
            broker: Broker::default(),
            http: None,
            oidc: None,
            invitation: InvitationStyle::default(),
            login: Default::default(),
            webhooks: Default::default(),
            limits: Limits { peer_connections: members, peer_idle_ms: 3_600_000, ..Limits::default() },
        };
        Gateway::start(config).await.context("no gateway")
    }

    /// The process of the host.
    pub(crate) fn host(&self) -> u32 {
        self.host.id
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Lets services register.
    pub(crate) fn service_token(&self) -> String {
        fs::read_to_string(self.folder.join("services/join/service.token")).unwrap_or_default().trim().to_owned()
    }

    /// The authority that certifies everything here.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The broker.
    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        let address = said(&self.services.ready, "nats")?.to_owned();
        Ok(Endpoint { address, tls: ClientTls::trusting(&self.authority)? })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The broker belongs to the group of services.
        for part in [&self.host, &self.services] {
            if let Some(group) = i32::try_from(part.id).ok().and_then(Pid::from_raw) {
                // Without a process there is no group.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }
}

impl Part {
    async fn start(folder: &Path, command: &str, config: &toml::Table, threads: Option<usize>) -> Result<Self> {
        let path = folder.join(format!("{command}.toml"));
        fs::write(&path, toml::to_string(config)?)?;
        let log = folder.join(format!("{command}.log"));
        let errors = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut program = Command::new(env!("CARGO_BIN_EXE_vettid"));
        program.arg(command).arg("--config").arg(&path).env_clear().process_group(0).kill_on_drop(true);
        program.envs(threads.map(|threads| ("TOKIO_WORKER_THREADS", threads.to_string())));
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn()?;
        let id = child.id().context("it ended at once")?;
        let mut said = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = timeout(WITHIN, said.next_line()).await.context("it is never ready")??;
        let line = line.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Self { id, ready: serde_json::from_str(&line)?, _child: child, _said: said })
    }
}

fn said<'a>(ready: &'a Value, name: &str) -> Result<&'a str> {
    ready.get(name).and_then(Value::as_str).with_context(|| format!("{name} was not said"))
}

fn services_config(members: usize) -> Result<toml::Table> {
    let server = vettid_testkit::program::nats_server()?;
    let mut file = toml::toml! {
        version = 1
        data = "services"
        key_file = "services.key"
        listen = "127.0.0.1:0"
        log = "warn"
        requests_per_minute = 100000
    };
    file.insert("enrolments_per_hour".into(), i64::try_from(members)?.saturating_add(100).into());
    file.insert("nats_server".into(), server.to_str().context("a path in UTF-8")?.into());
    Ok(file)
}

fn host_config(services: &Value) -> Result<toml::Table> {
    let mut limits = toml::Table::new();
    for limit in ["connection_messages_per_minute", "connection_bytes_per_hour", "session_commands_per_minute"] {
        limits.insert(limit.to_owned(), HIGH.into());
    }
    let mut file = toml::toml! {
        version = 1
        host_id = "host-1"
        state = "host"
        key_file = "host.key"
        join_token_file = "services/join/host.token"
        log = "warn"
    };
    file.insert("services_url".into(), said(services, "url")?.into());
    file.insert("ca_file".into(), said(services, "ca_file")?.into());
    file.insert("limits".into(), limits.into());
    Ok(file)
}

fn contract_text(service: &str, rate: &str) -> String {
    format!(
        r#"{{"service_id": "{service}", "contract_version": 1, "description": "Reads one field.",
  "fields": [{{"field": "address", "tier": "on_demand", "purpose": "To measure", "retention": "session"}}],
  "permissions": [], "rate": {rate}, "terms_url": "https://{service}.example/terms",
  "privacy_url": "https://{service}.example/privacy"}}"#
    )
}
