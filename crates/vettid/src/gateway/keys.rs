//! `vettid gateway keys`: the keys of a running gateway, asked over its HTTP face on this machine: the sealed state is in the hands of the running
//! process alone. Shows nothing secret.

use crate::app::keys::Inventory;
use crate::failure::Failure;
use crate::output::Output;
use anyhow::{Context as _, Result, bail};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vettid_gateway::config::{Config, Http};
use vettid_wire::inventory::{KeyInventory, SigningKeysMade};
use zeroize::Zeroizing;

/// How long the gateway may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  vettid gateway keys --config /etc/vettid/gateway.toml
  vettid --json gateway keys --config /etc/vettid/gateway.toml
  vettid gateway keys --config /etc/vettid/gateway.toml rotate
  vettid gateway keys --config /etc/vettid/gateway.toml rotate --cut-off";

/// `vettid gateway keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The configuration file (TOML) of the running gateway, with a section [http]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// New keys for signing what lets the gateway itself, members and holders of invitations in
    ///
    /// That happens by itself every ninety days. What the keys before them let in goes on until the next rotation.
    Rotate {
        /// Somebody may know the keys: end at once what they let in, open invitations too. Members go on with what the new keys
        /// sign
        #[arg(long)]
        cut_off: bool,
    },
}

pub(super) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let face = Face::of(&arguments.config, None)?;
    match arguments.command {
        None => {
            let inventory = face.ask::<KeyInventory>(face.get("/v1/keys")).await?;
            Ok(output.result(&Inventory::of(&inventory))?)
        }
        Some(Command::Rotate { cut_off }) => {
            let request = face.post("/v1/keys/rotate").json(&json!({"cuts_off": cut_off}));
            Ok(output.result(&face.ask::<SigningKeysMade>(request).await?)?)
        }
    }
}

/// The HTTP face of the running gateway.
pub(super) struct Face {
    client: Client,
    base: String,
    key: Zeroizing<String>,
}

impl Face {
    /// The face of the gateway with this configuration; `address` stands for the one that it names.
    pub(super) fn of(path: &Path, address: Option<String>) -> Result<Self> {
        let Some(Http { listen, api_key_file, .. }) = Config::read(path)?.http else {
            bail!("{}: has no section [http], and a running gateway can be asked over HTTP only", path.display());
        };
        let base = match address {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None if listen.port() == 0 => {
                bail!("{}: [http] names no port, so the gateway cannot be found", path.display())
            }
            None => format!("http://{listen}"),
        };
        let key = std::fs::read_to_string(&api_key_file).map(Zeroizing::new);
        let key = key.with_context(|| format!("{}: the API key cannot be read", api_key_file.display()))?;
        // Without a provider there is no TLS; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(TIME_LIMIT).build()?;
        Ok(Self { client, base, key: Zeroizing::new(key.trim_end().to_owned()) })
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    pub(super) async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let answer = request.bearer_auth(self.key.as_str()).send().await;
        let answer = answer.with_context(|| format!("no gateway answers at {}: start it first", self.base))?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        if !status.is_success() {
            bail!("the gateway answered with status {status}");
        }
        serde_json::from_slice(&bytes).context("the gateway gave an answer that cannot be read")
    }
}
