//! `vettid gateway keys`: the keys of a running gateway, asked over its HTTP face on this machine: the sealed state is in the hands of the running
//! process alone. Shows nothing secret.

use super::program::{Target, failed};
use crate::app::keys::Inventory;
use crate::failure::Failure;
use crate::output::Output;
use vettid_wire::inventory::{KeyInventory, SigningKeysMade};

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
    #[command(flatten)]
    target: Target,
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
    let gateway = arguments.target.client()?;
    match arguments.command {
        None => {
            let keys = gateway.keys().await.map_err(failed)?;
            Ok(output.result(&Inventory::of(&KeyInventory { keys, more_after: None }))?)
        }
        Some(Command::Rotate { cut_off }) => {
            let since = gateway.rotate_keys(cut_off).await.map_err(failed)?;
            Ok(output.result(&SigningKeysMade { since })?)
        }
    }
}
