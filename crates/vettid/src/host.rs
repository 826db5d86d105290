//! `vettid host`: runs vaults, one or many.

use crate::failure::Failure;
use crate::https::Operator;
use crate::server_process::{beside, log, read_config, say_ready, stop_on_signal};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vettid_core::allowance::Limits;
use vettid_nats::tls::ClientTls;
use vettid_vault::host::config::HostConfig;
use vettid_vault::host::{Host, JoinFailed, Joining};
use vettid_wire::enrolment::{HostJoined, JoinHost};
use vettid_wire::id::{HostId, MemberId};

/// Options of `vettid host`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vettid host --config /etc/vettid/host.toml")]
pub(crate) struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// The configuration file. Relative paths count from its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Form of the file: 1.
    pub(crate) version: u32,
    /// The name of this host.
    pub(crate) host_id: HostId,
    /// Everything of the host lies below this folder.
    pub(crate) state: PathBuf,
    /// The key that seals the vaults' storage keys, mode 0600; made at the first start.
    pub(crate) key_file: PathBuf,
    /// Address of services.
    pub(crate) services_url: String,
    /// The authority that certifies services and broker (PEM).
    pub(crate) ca_file: PathBuf,
    /// The token with which hosts join, mode 0600.
    pub(crate) join_token_file: PathBuf,
    /// Further brokers on which peers of these vaults may live.
    #[serde(default)]
    pub(crate) peer_brokers: Vec<String>,
    /// The broker's address as other parties reach it; absent: the one that services name.
    #[serde(default)]
    pub(crate) public_endpoint: Option<String>,
    /// What is logged, such as `info`.
    #[serde(default = "default_log")]
    pub(crate) log: String,
}

fn default_log() -> String {
    "info".into()
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: &'static str,
    host_id: &'a HostId,
    vaults: Vec<MemberId>,
    /// Vaults that lie here and cannot start; the log says why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<MemberId>,
}

/// Services over HTTPS.
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

/// Runs until told to stop.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    Ok(serve(&arguments.config).await?)
}

async fn serve(path: &Path) -> Result<()> {
    let file: File = read_config(path)?;
    if file.version != 1 {
        bail!("{}: this program reads version 1 of the file", path.display());
    }
    log(&file.log)?;
    let stop = stop_on_signal()?;
    let authority = read(&beside(path, &file.ca_file))?;
    let token = read(&beside(path, &file.join_token_file))?.trim().to_owned();
    let joining = HttpsJoining { operator: Operator::new(&file.services_url, &authority)?, token };
    let config = HostConfig {
        host_id: file.host_id.clone(),
        state: beside(path, &file.state),
        key_file: beside(path, &file.key_file),
        broker_tls: ClientTls::trusting(&authority)?,
        public_endpoint: file.public_endpoint,
        peers: Arc::new(file.peer_brokers),
        limits: Limits::default(),
    };
    let host = Host::start_patiently(config, &joining).await.context("the host does not start")?;
    let broken = host.broken().keys().copied().collect();
    say_ready(&Ready { ready: "host", host_id: &file.host_id, vaults: host.members(), broken })?;
    host.run(&joining, stop).await.context("the host failed")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
