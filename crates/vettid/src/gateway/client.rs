//! `vettid gateway client …`: sites and programs that let people log in through this gateway. A secret is shown once. Changes the
//! file of clients alone; a running gateway hears of nothing.

use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show};
use serde::Serialize;
use std::path::{Path, PathBuf};
use vettid_gateway::config::Config;
use vettid_gateway::oidc::client::{CibaMode, Client, ClientAuth, ClientError, ClientFile};
use vettid_gateway::oidc::settings::Oidc;
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
    #[command(after_help = "\
Example:
  vettid gateway client add --config gateway.toml --name \"My site\" \\
    --redirect-uri http://localhost:5000/callback

A gateway reads its clients when it starts: start it again, and the client can be used.")]
    Add(Box<Add>),
    /// List the clients, without their secrets
    #[command(after_help = "\
Examples:
  vettid gateway client list --config gateway.toml
  vettid --json gateway client list --config gateway.toml")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Give a client a new secret, which is not shown again; the old one ends when the gateway is started again
    #[command(after_help = "\
Example:
  vettid gateway client new-secret --config gateway.toml c_pK3nQzV0m2Cq1bV8

A gateway reads its clients when it starts. Until then the old secret counts and the new one does not; after it, the new one alone.
Who is logged in stays so.")]
    NewSecret(One),
    /// Remove a client; nobody can log in to it from when the gateway is started again
    #[command(after_help = "\
Example:
  vettid gateway client remove --config gateway.toml c_pK3nQzV0m2Cq1bV8

A gateway reads its clients when it starts. After that the client's tokens are worth nothing, and what the client sends is refused.")]
    Remove(One),
}

/// Where the clients are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration file of the gateway (TOML), with a section [oidc]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// One client of a gateway.
#[derive(Debug, clap::Args)]
struct One {
    /// The id of the client; `vettid gateway client list` shows it
    #[arg(value_name = "CLIENT")]
    client_id: String,
    #[command(flatten)]
    place: Place,
}

/// `vettid gateway client add`.
#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    place: Place,
    /// The name that members see
    #[arg(long)]
    name: String,
    /// Register it although another client has this name: members cannot tell the two apart
    #[arg(long)]
    same_name: bool,
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
    /// Its requests without a `nonce` are refused
    #[arg(long)]
    require_nonce: bool,
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

/// Does what the command says.
pub(super) fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    match arguments.command {
        Command::Add(add) => Ok(output.result(&register(*add)?)?),
        Command::List { place } => {
            let clients = ClientFile::read(&place.provider()?.clients_file).map_err(failed)?.client;
            // Whoever reads a list has no use for hashes.
            let clients = clients.into_iter().map(|client| Client { secret_hash: None, ..client }).collect();
            Ok(output.result(&Clients { clients })?)
        }
        Command::NewSecret(One { client_id, place }) => {
            let path = place.provider()?.clients_file;
            let renewed = oidc::renew_secret(&path, &client_id).map_err(|error| with_known(error, &path))?;
            Ok(output.result(&Renewed { client_id: renewed.client_id, client_secret: renewed.secret })?)
        }
        Command::Remove(One { client_id, place }) => {
            let path = place.provider()?.clients_file;
            let Client { client_id, name, .. } =
                oidc::remove(&path, &client_id).map_err(|error| with_known(error, &path))?;
            Ok(output.result(&Removed { client_id, name })?)
        }
    }
}

impl Place {
    fn config(&self) -> Result<(Config, Oidc), Failure> {
        let mut config = Config::read(&self.config).map_err(|error| Failure::usage(in_full(error)))?;
        let provider = config.oidc.take();
        let none = || {
            let failure = Failure::usage("the configuration has no section [oidc]");
            failure.next("add one that names issuer, listen and clients_file")
        };
        Ok((config, provider.ok_or_else(none)?))
    }

    fn provider(&self) -> Result<Oidc, Failure> {
        self.config().map(|(_, provider)| provider)
    }
}

fn register(add: Add) -> Result<Added, Failure> {
    let (config, settings) = add.place.config()?;
    let unreadable = |error| Failure::usage(format_args!("the JWK set cannot be read: {error}"));
    let jwks = add.jwks_file.map(std::fs::read_to_string).transpose().map_err(unreadable)?;
    let ciba = match (add.ciba_poll, &add.ciba_ping) {
        (_, Some(_)) => Some(CibaMode::Ping),
        (true, None) => Some(CibaMode::Poll),
        (false, None) => None,
    };
    if ciba.is_some() && !config.login.numbers {
        let failure = Failure::usage("a question without a browser is tied by a number alone, and numbers are off");
        return Err(failure.next("set `numbers = true` in [login], having read what that gives away"));
    }
    let registration = Registration {
        name: add.name,
        redirect_uris: add.redirect_uri,
        scopes: add.scope.iter().flat_map(|all| all.split_whitespace()).map(str::to_owned).collect(),
        public: add.public,
        jwks,
        require_nonce: add.require_nonce,
        pushed_only: add.pushed_only,
        post_logout_redirect_uris: add.post_logout_redirect_uri,
        backchannel_logout_uri: add.backchannel_logout_uri,
        sector: add.sector,
        ciba,
        notification_endpoint: add.ciba_ping,
        same_name: add.same_name,
    };
    let registered = oidc::register(&settings.clients_file, registration).map_err(failed)?;
    let discovery = format!("{}/.well-known/openid-configuration", settings.issuer);
    Ok(Added { client_id: registered.client_id, client_secret: registered.secret, issuer: settings.issuer, discovery })
}

/// What a person does after the file of clients was not changed.
fn failed(error: ClientError) -> Failure {
    let (exit, next) = match &error {
        ClientError::Unusable { .. } => (Exit::Usage, None),
        ClientError::SameName { .. } => (
            Exit::Refused,
            Some("for a new secret of that one: vettid gateway client new-secret; for two of one name: --same-name"),
        ),
        ClientError::NoSuchClient { .. } => (Exit::Refused, None),
        ClientError::NoSecret { .. } => {
            (Exit::Refused, Some("one with a secret is registered anew: vettid gateway client add"))
        }
        ClientError::File(_) | ClientError::Form { .. } | ClientError::Unsound { .. } => (Exit::State, None),
        ClientError::Unwritable(_) => (Exit::Other, None),
    };
    let failure = Failure::new(exit, in_full(error));
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// As [`failed`], with the clients that there are if the one that was named is none of them.
fn with_known(error: ClientError, path: &Path) -> Failure {
    let is_unknown = matches!(error, ClientError::NoSuchClient { .. });
    let failure = failed(error);
    if !is_unknown {
        return failure;
    }
    let clients = ClientFile::read(path).map(|file| file.client).unwrap_or_default();
    if clients.is_empty() {
        return failure.next("no client is registered: vettid gateway client add");
    }
    let known: Vec<_> = clients.iter().map(|client| format!("{} ({})", client.client_id, client.name)).collect();
    failure.next(format!("name one of these: {}", known.join(", ")))
}

/// On one line, with its causes, which say where; lines that draw what they say are left out.
fn in_full(error: impl std::error::Error + Send + Sync + 'static) -> String {
    let text = format!("{:#}", anyhow::Error::from(error));
    let is_drawn =
        |line: &&str| line.trim_start_matches(|letter: char| letter == ' ' || letter.is_ascii_digit()).starts_with('|');
    text.lines().filter(|line| !is_drawn(line)).collect::<Vec<_>>().join(": ")
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

#[derive(Serialize)]
struct Clients {
    clients: Vec<Client>,
}

#[derive(Serialize)]
struct Renewed {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Zeroizing<String>>,
}

#[derive(Serialize)]
struct Removed {
    client_id: String,
    name: String,
}

impl Show for Added {
    fn show(&self, page: &mut Page) {
        page.field("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            page.field("client_secret", secret.as_str());
        }
        page.field("issuer", &self.issuer);
        page.field("discovery", &self.discovery);
        page.gap();
        page.line("A gateway that runs already knows it when it is started again.");
    }
}

impl Show for Clients {
    fn show(&self, page: &mut Page) {
        if self.clients.is_empty() {
            page.line("No clients.");
        }
        for client in &self.clients {
            let kind = match client.auth {
                ClientAuth::None => "public",
                ClientAuth::Secret => "a secret",
                ClientAuth::PrivateKeyJwt => "keys of its own",
            };
            page.line(format!("{}  {}  ({kind})", client.client_id, client.name));
            client.redirect_uris.iter().for_each(|address| page.field("browsers to", address));
            if !client.scopes.is_empty() {
                page.field("scopes", client.scopes.join(" "));
            }
            for (is_so, what) in [
                (client.require_nonce, "a nonce"),
                (client.require_pushed_authorization_requests, "requests that were pushed"),
            ] {
                if is_so {
                    page.field("needs", what);
                }
            }
            match client.ciba {
                Some(CibaMode::Poll) => page.field("no browser", "asks for the answer"),
                Some(CibaMode::Ping) => page.field("no browser", "is told of the answer"),
                None => {}
            }
        }
    }
}

impl Show for Renewed {
    fn show(&self, page: &mut Page) {
        page.field("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            page.field("client_secret", secret.as_str());
        }
        page.gap();
        page.line("The secret is shown this once. It counts, and the old one ends, when the gateway is started again.");
    }
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format!("Client {} ({}) is removed.", self.client_id, self.name));
        page.line("A gateway that runs already serves it until it is started again.");
    }
}
