//! `vettid gateway client …`: sites and programs that let people log in through this gateway. A secret is shown once.

use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;
use vettid_gateway::config::Config;
use vettid_gateway::oidc::client::CibaMode;
use vettid_gateway::oidc::{self, Registration};
use zeroize::Zeroizing;

/// `vettid gateway client`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register a site; prints its id and its secret, which is not shown again
    #[command(after_help = "Example:\n  vettid gateway client add --config gateway.toml --name \"My site\" \\\n    \
                            --redirect-uri http://localhost:5000/callback")]
    Add(Box<Add>),
}

/// `vettid gateway client add`.
#[derive(Debug, clap::Args)]
struct Add {
    /// The configuration file of the gateway (TOML), with a section [oidc]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The name that members see
    #[arg(long)]
    name: String,
    /// Where browsers are sent back to; may be given several times; compared character for character
    #[arg(long, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// What it may ask for, such as `openid email offline_access`; the usual if it is left out
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A program that cannot keep a secret, such as one on the user's machine
    #[arg(long, conflicts_with = "jwks_file")]
    public: bool,
    /// Its public keys as a JWK set, in place of a secret
    #[arg(long, value_name = "FILE")]
    jwks_file: Option<PathBuf>,
    /// Only requests that it pushed before (RFC 9126) are served
    #[arg(long)]
    pushed_only: bool,
    /// Where browsers may be sent after a logout; may be given several times
    #[arg(long, value_name = "URL")]
    post_logout_redirect_uri: Vec<String>,
    /// Where it is told that a session has ended
    #[arg(long, value_name = "URL")]
    backchannel_logout_uri: Option<String>,
    /// Clients of one sector know a member by the same subject
    #[arg(long)]
    sector: Option<String>,
    /// It may ask members without a browser and asks for the answer itself
    #[arg(long, conflicts_with = "ciba_ping")]
    ciba_poll: bool,
    /// It may ask members without a browser and is told at this address that the answer is there
    #[arg(long, value_name = "URL")]
    ciba_ping: Option<String>,
}

/// What is shown of a new client.
#[derive(Serialize)]
struct Added {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Zeroizing<String>>,
    issuer: String,
    discovery: String,
}

impl Show for Added {
    fn show(&self, page: &mut Page) {
        page.field("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            page.field("client_secret", secret.as_str());
        }
        page.field("issuer", &self.issuer);
        page.field("discovery", &self.discovery);
    }
}

/// Does what the command says.
pub(super) fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let Command::Add(add) = arguments.command;
    let added = register(*add)?;
    Ok(output.result(&added)?)
}

fn register(add: Add) -> Result<Added> {
    let config = Config::read(&add.config)?;
    let settings = config.oidc.context("the configuration has no section [oidc]")?;
    let jwks = add.jwks_file.map(std::fs::read_to_string).transpose().context("the JWK set cannot be read")?;
    let ciba = match (add.ciba_poll, &add.ciba_ping) {
        (_, Some(_)) => Some(CibaMode::Ping),
        (true, None) => Some(CibaMode::Poll),
        (false, None) => None,
    };
    anyhow::ensure!(
        ciba.is_none() || config.login.numbers,
        "a question without a browser is tied by a number alone: set `numbers = true` in [login], having read what that gives away"
    );
    let registration = Registration {
        name: add.name,
        redirect_uris: add.redirect_uri,
        scopes: add.scope.iter().flat_map(|all| all.split_whitespace()).map(str::to_owned).collect(),
        public: add.public,
        jwks,
        pushed_only: add.pushed_only,
        post_logout_redirect_uris: add.post_logout_redirect_uri,
        backchannel_logout_uri: add.backchannel_logout_uri,
        sector: add.sector,
        ciba,
        notification_endpoint: add.ciba_ping,
    };
    let registered = oidc::register(&settings.clients_file, registration)?;
    let discovery = format!("{}/.well-known/openid-configuration", settings.issuer);
    Ok(Added { client_id: registered.client_id, client_secret: registered.secret, issuer: settings.issuer, discovery })
}
