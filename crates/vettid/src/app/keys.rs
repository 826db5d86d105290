//! `vettid app keys`: every key pair of the vault, without anything private.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use vettid_wire::event;
use vettid_wire::inventory::{AskKeys, KeyInventory, KeyPolicy, KeyUse, KeyView};

pub(super) const EXAMPLES: &str = "\
Examples:
  vettid app keys
  vettid app --json keys";

pub(super) async fn run(app: &Client, output: Output) -> Result<(), Failure> {
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
        KeyPolicy::Vault => "not by itself",
    }
}
