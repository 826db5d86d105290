//! `vettid gateway`: a service's side, with an HTTP API for its own programs.

mod keys;

use crate::failure::Failure;
use crate::output::Output;
use crate::server_process::{log, say_ready, stop_on_signal};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use vettid_gateway::config::Config;
use vettid_gateway::gateway::Gateway;
use vettid_wire::id::{Fingerprint, MemberId};

/// Options of `vettid gateway`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  vettid gateway --config /etc/vettid/gateway.toml"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// What is logged, such as `info`
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The keys of the running gateway: what each is for, how old it is, what replaces it
    Keys(keys::Arguments),
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: &'static str,
    name: &'a str,
    guid: MemberId,
    fingerprint: Fingerprint,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
}

/// Runs until told to stop, or does what a command below says.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    match (arguments.command, arguments.config) {
        (Some(Command::Keys(arguments)), _) => keys::run(arguments, output).await,
        (None, config) => Ok(serve(&config.context("--config is needed")?, &arguments.log).await?),
    }
}

async fn serve(path: &Path, level: &str) -> Result<()> {
    log(level)?;
    let stop = stop_on_signal()?;
    let config = Config::read(path)?;
    let gateway = Gateway::start(config).await.context("the gateway does not start")?;
    let (guid, fingerprint) = (gateway.guid(), gateway.fingerprint());
    say_ready(&Ready { ready: "gateway", name: gateway.name(), guid, fingerprint, http: gateway.http_address() })?;
    stop.cancelled().await;
    gateway.stop().await;
    Ok(())
}
