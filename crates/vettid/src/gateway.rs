//! `vettid gateway`: a service's side, with an HTTP API for its own programs and an OpenID provider for everybody's; and the calls
//! to a running one that operators make.

mod api_key;
mod client;
mod contract;
mod keys;
mod program;
mod verify;
mod webhook;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::server_process::{log, say_ready, stop_on_signal};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use vettid_gateway::config::Config;
use vettid_gateway::gateway::{Gateway, Lost};
use vettid_wire::id::{Fingerprint, MemberId};

const ROTATE_EXAMPLES: &str = "\
Examples:
  vettid gateway keys --config /etc/vettid/gateway.toml rotate
  vettid gateway keys --config /etc/vettid/gateway.toml rotate --cut-off";

/// Options of `vettid gateway`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  vettid gateway --config /etc/vettid/gateway.toml
  vettid gateway contract lint contract.json
  vettid gateway api-key list --config /etc/vettid/gateway.toml",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// What is logged, such as `info`
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sites and programs that let people log in with VettID
    Client(client::Arguments),
    /// What programs show when they call a running gateway
    #[command(subcommand, visible_alias = "key")]
    ApiKey(api_key::Command),
    /// The service's contract as a file: make, change, check, compare and publish it
    #[command(subcommand)]
    Contract(contract::Command),
    /// The keys of the running gateway: what each is for, how old it is, what replaces it
    #[command(mut_subcommand("rotate", |rotate| rotate.after_help(ROTATE_EXAMPLES)))]
    Keys(keys::Arguments),
    /// How members see who the service is: prove a domain
    Verify(verify::Arguments),
    /// Where a running gateway sends events
    #[command(subcommand)]
    Webhook(webhook::Command),
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: &'static str,
    name: &'a str,
    guid: MemberId,
    fingerprint: Fingerprint,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<SocketAddr>,
}

/// Runs until told to stop, or makes one call.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    match (arguments.command, arguments.config) {
        (Some(Command::Client(client)), _) => client::run(client, output),
        (Some(Command::ApiKey(command)), _) => api_key::run(command, output).await,
        (Some(Command::Keys(arguments)), _) => keys::run(arguments, output).await,
        (Some(Command::Verify(arguments)), _) => verify::run(arguments, output).await,
        (Some(Command::Contract(command)), _) => contract::run(&command, output),
        (Some(Command::Webhook(command)), _) => webhook::run(command, output).await,
        (None, Some(config)) => serve(&config, &arguments.log).await,
        (None, None) => Err(Failure::usage("no configuration is named").next("see --help")),
    }
}

async fn serve(path: &Path, level: &str) -> Result<(), Failure> {
    log(level)?;
    let stop = stop_on_signal()?;
    let config = Config::read(path).context("the gateway does not start")?;
    let gateway = Gateway::start(config).await.context("the gateway does not start")?;
    let (guid, fingerprint) = (gateway.guid(), gateway.fingerprint());
    let (http, oidc) = (gateway.http_address(), gateway.oidc_address());
    say_ready(&Ready { ready: "gateway", name: gateway.name(), guid, fingerprint, http, oidc })?;
    let lost = tokio::select! {
        () = stop.cancelled() => None,
        why = gateway.lost() => Some(why),
    };
    gateway.stop().await;
    lost.map_or(Ok(()), |why| {
        let (exit, next) = match why {
            Lost::State(_) => (Exit::State, "check its disk and its database, and start it again"),
            Lost::Task(_) => (Exit::Other, "start it again, and report what its log says of the fault"),
        };
        Err(Failure::new(exit, why.to_string()).next(format!("{next}; it goes on with what is stored")))
    })
}
