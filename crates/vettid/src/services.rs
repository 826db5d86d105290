//! `vettid services`: the operator's control plane with its broker.

mod certify;

use crate::failure::Failure;
use crate::output::Output;
use crate::server_process::{beside, log, read_config, say_ready, stop_on_signal};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use vettid_services::config::{Config, DEFAULT_BROKER_DISK_BYTES, Dns, Limits};
use vettid_services::services::{Failed, Services};
use vettid_wire::contract::Rate;
use vettid_wire::id::Fingerprint;

/// Options of `vettid services`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  vettid services --config /etc/vettid/services.toml
  vettid services certify demo-shop --config /etc/vettid/services.toml --until 2027-11-30 \\
    --reason 'Register of companies'",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give your word for a service whose domain is verified, or take it back
    Certify(certify::Arguments),
}

/// The configuration file. Relative paths count from its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Form of the file: 1.
    pub(crate) version: u32,
    /// Everything of services lies below this folder.
    pub(crate) data: PathBuf,
    /// The key of the sealed files, mode 0600; made at the first start.
    pub(crate) key_file: PathBuf,
    /// The `nats-server` program, 2.12 or newer.
    pub(crate) nats_server: PathBuf,
    /// Where the HTTP API listens; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// The address of the API as members reach it; absent: `listen`.
    #[serde(default)]
    pub(crate) public_url: Option<String>,
    /// Further names in the certificate of the API.
    #[serde(default)]
    pub(crate) certificate_names: Vec<String>,
    /// Browser origins that may speak to the broker by WebSocket.
    #[serde(default)]
    pub(crate) websocket_origins: Vec<String>,
    /// Room for the broker's streams, in bytes.
    #[serde(default = "default_disk_bytes")]
    pub(crate) broker_disk_bytes: u64,
    /// New enrolments an hour from one address.
    #[serde(default)]
    pub(crate) enrolments_per_hour: Option<u32>,
    /// Requests without a token a minute from one address.
    #[serde(default)]
    pub(crate) requests_per_minute: Option<u32>,
    /// The DNS servers that are asked for the domains of services, each by itself; most of them must say the same. Absent: those of the
    /// system.
    #[serde(default)]
    pub(crate) dns_servers: Vec<SocketAddr>,
    /// What is logged, such as `info`.
    #[serde(default = "default_log")]
    pub(crate) log: String,
}

fn default_disk_bytes() -> u64 {
    DEFAULT_BROKER_DISK_BYTES
}

fn default_log() -> String {
    "info".into()
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: &'static str,
    url: &'a str,
    nats: String,
    websocket: u16,
    monitor: u16,
    ca_file: &'a Path,
    registry: Fingerprint,
}

/// Runs until told to stop, or gives one command.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    match (arguments.command, arguments.config) {
        (Some(Command::Certify(certify)), _) => certify::run(certify, output).await,
        (None, Some(config)) => Ok(serve(&config).await?),
        (None, None) => Err(Failure::usage("no configuration is named").next("see --help")),
    }
}

async fn serve(path: &Path) -> Result<()> {
    let file: File = read_config(path)?;
    log(&file.log)?;
    let stop = stop_on_signal()?;
    let config = checked(path, file)?;
    let ca_file = config.data_dir.join("ca.pem");
    let services = Services::start(config).await.context("services do not start")?;
    std::fs::write(&ca_file, services.authority_pem())
        .with_context(|| format!("cannot write {}", ca_file.display()))?;
    let ports = services.ports();
    let nats = services.nats_endpoint();
    say_ready(&Ready {
        ready: "services",
        url: services.url(),
        nats,
        websocket: ports.websocket,
        monitor: ports.monitoring,
        ca_file: &ca_file,
        registry: services.registry_fingerprint(),
    })?;
    let failed = tokio::select! {
        () = stop.cancelled() => None,
        failed = services.failed() => Some(failed),
    };
    services.stop().await.context("services did not stop in good order")?;
    match failed {
        None => Ok(()),
        Some(Failed::Broker) => bail!("the broker failed for good; see its log in the data folder"),
        Some(Failed::Task) => bail!("a task of services ended; see their log, and start them again"),
    }
}

fn checked(path: &Path, file: File) -> Result<Config> {
    if file.version != 1 {
        bail!("{}: this program reads version 1 of the file", path.display());
    }
    let mut limits = Limits::default();
    if let Some(count) = file.enrolments_per_hour {
        limits.enrolments = Rate { count, per_seconds: 3600 };
    }
    if let Some(count) = file.requests_per_minute {
        limits.open = Rate { count, per_seconds: 60 };
    }
    Ok(Config {
        data_dir: beside(path, &file.data),
        key_file: beside(path, &file.key_file),
        nats_server: beside(path, &file.nats_server),
        listen: file.listen,
        public_url: file.public_url,
        certificate_names: file.certificate_names,
        websocket_origins: file.websocket_origins,
        broker_disk_bytes: file.broker_disk_bytes,
        limits,
        dns: Dns { servers: file.dns_servers, ..Dns::default() },
    })
}
