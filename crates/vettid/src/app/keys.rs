//! `vettid app keys`: every key pair of the vault, without anything private.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use vettid_wire::event;
use vettid_wire::inventory::{AskKeys, KeyInventory, KeyPolicy, KeyUse, KeyView, RotateSigning, SigningKeysMade};

pub(super) const EXAMPLES: &str = "\
Examples:
  vettid app keys
  vettid app --json keys
  vettid app keys rotate
  vettid app keys rotate --cut-off";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// New keys for signing what lets your app, connections and services in
    ///
    /// That happens by itself every ninety days. What the keys before them let in goes on until the next rotation.
    Rotate {
        /// Somebody may know the keys: end at once what they let in, open invitations too. Connections go on with what the new
        /// keys sign
        #[arg(long)]
        cut_off: bool,
    },
}

pub(super) async fn run(app: &Client, arguments: Arguments, output: Output) -> Result<(), Failure> {
    match arguments.command {
        None => list(app, output).await,
        Some(Command::Rotate { cut_off }) => {
            let request = RotateSigning { cuts_off: cut_off };
            let made = app.command::<event::SigningKeyRotate>(request).await.map_err(advice::command)?;
            Ok(output.result(&made)?)
        }
    }
}

impl Show for SigningKeysMade {
    fn show(&self, page: &mut Page) {
        page.line(format!("New keys were made at {}; they sign as soon as the broker knows them.", minute(self.since)));
    }
}

async fn list(app: &Client, output: Output) -> Result<(), Failure> {
    let mut all = KeyInventory { keys: vec![], more_after: None };
    loop {
        let request = AskKeys { after: all.more_after };
        let page = app.command::<event::AskKeys>(request).await.map_err(advice::command)?;
        all.keys.extend(page.keys);
        all.more_after = page.more_after;
        if all.more_after.is_none() {
            return Ok(output.result(&all)?);
        }
    }
}

impl Show for KeyInventory {
    fn show(&self, page: &mut Page) {
        let rows: Vec<_> = self.keys.iter().map(row).collect();
        page.table(["ROLE", "SINCE", "CHANGES", "NEXT", "CONNECTION", "ID"], &rows);
    }
}

fn row(key: &KeyView) -> [String; 6] {
    let dash = || "-".to_owned();
    [
        role(key.role).to_owned(),
        key.since.map_or_else(dash, minute),
        policy(key.policy).to_owned(),
        key.next_rotation.map_or_else(dash, minute),
        key.connection_id.map_or_else(dash, |id| id.to_string()),
        key.id.clone(),
    ]
}

fn role(role: KeyUse) -> &'static str {
    match role {
        KeyUse::Identity => "identity",
        KeyUse::Session => "sessions of apps",
        KeyUse::OwnerAccount => "owner account",
        KeyUse::AppSigning => "signs apps",
        KeyUse::MessageAccount => "message account",
        KeyUse::ConnectionSigning => "signs connections",
        KeyUse::ServiceSigning => "signs services",
        KeyUse::ClaimSigning => "signs invitations",
        KeyUse::Epoch => "epoch",
        KeyUse::Pairwise => "signs for one",
        KeyUse::BrokerUser => "broker user",
    }
}

fn policy(policy: KeyPolicy) -> &'static str {
    match policy {
        KeyPolicy::Epoch => "7 days or 1,000 messages",
        KeyPolicy::Connection => "with its connection",
        KeyPolicy::Signing => "90 days",
        KeyPolicy::Vault => "not by itself",
    }
}
