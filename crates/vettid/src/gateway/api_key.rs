//! `vettid gateway api-key`: the keys of programs.

use super::program::{Target, failed, keep, refuse_present};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use vettid_gateway::http::Scope;
use vettid_gateway_client::{ApiKey, ApiKeyPage, CreatedApiKey, NewApiKey, Page as Part};

const CREATE_EXAMPLES: &str = "\
Examples:
  vettid gateway api-key create --config gateway.toml --name shop --scope data:read --scope login \\
    --out shop.key
  vettid gateway api-key create --config gateway.toml --name prometheus --scope metrics";

fn with_scopes() -> String {
    format!("{CREATE_EXAMPLES}\n\nScopes: {}.", Scope::ALL.map(Scope::name).join(", "))
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key with scopes of its own; it is shown this once
    #[command(after_help = with_scopes())]
    Create {
        /// What it is for
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// Calls a minute; as the configuration says if it is not given
        #[arg(long, value_name = "NUMBER")]
        calls_per_minute: Option<u32>,
        /// Write the key into this new file of mode 0600 instead of showing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// List the keys, the revoked ones among them
    #[command(after_help = "Example:\n  vettid gateway api-key list --config gateway.toml")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Take a key back, at once and for good
    #[command(after_help = "Example:\n  vettid gateway api-key revoke --config gateway.toml vgk_0123456789abcdef")]
    Revoke {
        /// The id of the key
        #[arg(value_name = "KEY")]
        key_id: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, scopes, calls_per_minute, out, target } => {
            refuse_present(out.as_deref())?;
            let scopes = scopes.iter().map(ToString::to_string).collect();
            let made =
                target.client()?.create_api_key(&NewApiKey { name, scopes, calls_per_minute }).await.map_err(failed)?;
            let CreatedApiKey { key, secret } = made;
            if let Some(path) = &out {
                keep(path, &secret)?;
            }
            Ok(output.result(&Created { secret: out.is_none().then_some(secret), file: out, key })?)
        }
        Command::List { target } => {
            let client = target.client()?;
            let mut list = Keys { keys: Vec::new() };
            let mut part = Part::default();
            loop {
                let ApiKeyPage { api_keys: keys, next_cursor } = client.api_keys(&part).await.map_err(failed)?;
                list.keys.extend(keys);
                match next_cursor {
                    Some(cursor) => part.cursor = Some(cursor),
                    None => return Ok(output.result(&list)?),
                }
            }
        }
        Command::Revoke { key_id, target } => {
            target.client()?.revoke_api_key(&key_id).await.map_err(failed)?;
            Ok(output.result(&Revoked { key_id })?)
        }
    }
}

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    key: ApiKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<ApiKey>,
}

#[derive(Serialize)]
struct Revoked {
    key_id: String,
}

impl Show for Created {
    fn show(&self, page: &mut Page) {
        page.line(format!("Key {} ({}): {}", self.key.key_id, self.key.name, self.key.scopes.join(", ")));
        match (&self.secret, &self.file) {
            (Some(secret), _) => {
                page.line("It is shown this once:");
                page.line(secret);
            }
            (None, Some(file)) => page.line(format!("It is in {}.", file.display())),
            (None, None) => {}
        }
    }
}

impl Show for Keys {
    fn show(&self, page: &mut Page) {
        if self.keys.is_empty() {
            page.line("No keys but the one in the gateway's key file.");
        }
        for key in &self.keys {
            let state = key.revoked_at.map_or_else(|| "valid".to_owned(), |at| format!("revoked {}", minute(at)));
            page.line(format!("{}  {}  {}  ({state})", key.key_id, key.name, key.scopes.join(", ")));
        }
    }
}

impl Show for Revoked {
    fn show(&self, page: &mut Page) {
        page.line(format!("Key {} is not valid any more.", self.key_id));
    }
}
