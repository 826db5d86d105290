//! A running gateway, called as one of its service's programs.

use crate::failure::{Exit, Failure};
use std::fs;
use std::path::{Path, PathBuf};
use vettid_gateway::config::Config;
use vettid_gateway_client::{ClientError, GatewayClient};
use zeroize::Zeroizing;

/// Which gateway is called, and with which key.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The gateway's configuration file: names its address and its first key
    #[arg(long, value_name = "FILE", required_unless_present_all = ["address", "key_file"])]
    config: Option<PathBuf>,
    /// Call the gateway at this address, such as http://127.0.0.1:8090
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// Call it with the key in this file
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Target {
    /// The gateway.
    pub(super) fn client(&self) -> Result<GatewayClient, Failure> {
        let config = self.config.as_deref().map(Config::read).transpose().map_err(Failure::usage)?;
        let http = config.as_ref().and_then(|config| config.http.as_ref());
        let address = match (&self.address, http) {
            (Some(address), _) => address.clone(),
            (None, Some(http)) if http.listen.port() != 0 => format!("http://{}", http.listen),
            _ => {
                return Err(
                    Failure::usage("the configuration does not say where the gateway listens").next("add --address")
                );
            }
        };
        let key_file = self.key_file.as_deref().or_else(|| http.map(|http| http.api_key_file.as_path()));
        let key = key(key_file.ok_or_else(|| Failure::usage("no key is named").next("add --key-file"))?)?;
        // Without a provider there is no TLS; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|error| Failure::new(Exit::Other, error))?;
        GatewayClient::new(http, &address, key).map_err(failed)
    }
}

fn key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| {
        let failure = Failure::new(Exit::State, format_args!("{}: {error}", path.display()));
        failure.next("start the gateway once, which makes the file")
    })?;
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

/// What a person does after a call that failed.
pub(super) fn failed(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused { code, message, .. } => {
            Failure::new(Exit::Refused, format_args!("the gateway refused: {code}")).next(message.as_str())
        }
        ClientError::Address => Failure::usage(&error),
        ClientError::Unreachable(_) => {
            Failure::new(Exit::Unreachable, &error).next("start it with `vettid gateway --config FILE`")
        }
        _ => Failure::new(Exit::Other, &error),
    }
}

/// Writes something that is told once into a new file of mode 0600.
pub(super) fn keep(path: &Path, text: &str) -> Result<(), Failure> {
    let line = Zeroizing::new(format!("{text}\n"));
    crate::app::private_file::write(path, line.as_bytes())
}

/// Refuses before anything is made whose secret could not be kept.
pub(super) fn refuse_present(path: Option<&Path>) -> Result<(), Failure> {
    match path.filter(|path| path.exists()) {
        Some(path) => Err(Failure::usage(format_args!("{} exists already", path.display())).next("name another file")),
        None => Ok(()),
    }
}
