//! `vettid app keys`: every key of app and vault, without anything private. Must never guess an age.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use vettid_wire::event;
use vettid_wire::inventory::{
    KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView, RotateSigning, SigningKeysMade,
};
use vettid_wire::time::Timestamp;

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
    #[command(after_help = "Examples:\n  vettid app keys rotate\n  vettid app keys rotate --cut-off")]
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
    let inventory = app.key_inventory().await.map_err(advice::command)?;
    Ok(output.result(&Inventory::of(&inventory))?)
}

/// The keys as people and programs see them; one whose age is not recorded says so.
#[derive(Serialize)]
pub(crate) struct Inventory<'k> {
    keys: Vec<Aged<'k>>,
}

/// A key, with an explicit null in place of a time that is not known.
#[derive(Serialize)]
struct Aged<'k> {
    #[serde(flatten)]
    key: &'k KeyView,
    #[serde(rename = "since", skip_serializing_if = "Option::is_some")]
    not_known: Option<Timestamp>,
}

impl<'k> Inventory<'k> {
    /// Of all these keys.
    pub(crate) fn of(inventory: &'k KeyInventory) -> Self {
        Self { keys: inventory.keys.iter().map(|key| Aged { key, not_known: key.since }).collect() }
    }
}

impl Show for Inventory<'_> {
    fn show(&self, page: &mut Page) {
        let is_transaction = |key: &&KeyView| key.role == KeyUse::Transaction;
        let keys: Vec<_> = self.keys.iter().map(|aged| aged.key).collect();
        let rows: Vec<_> = keys.iter().copied().filter(|key| !is_transaction(key)).map(row).collect();
        page.table(["KEY", "HELD BY", "SUITE", "SINCE", "CHANGES", "NEXT", "CONNECTION", "ID"], &rows);
        for (holder, credential) in [(KeyHolder::Vault, "vault"), (KeyHolder::Services, "services")] {
            let left = keys.iter().copied().filter(is_transaction).filter(|key| key.holder == holder);
            let first_end = left.clone().filter_map(|key| key.next_rotation).min();
            if let Some(first_end) = first_end {
                let keys = count(left.count() as u64, "transaction key");
                page.line(format!(
                    "{keys} of the {credential} credential; each is used once, and none after {}.",
                    minute(first_end)
                ));
            }
        }
    }
}

fn row(key: &KeyView) -> [String; 8] {
    let dash = || "-".to_owned();
    [
        role(key).to_owned(),
        holder(key.holder).to_owned(),
        key.suite.clone(),
        key.since.map_or_else(|| "not known".to_owned(), minute),
        policy(key.policy).to_owned(),
        key.next_rotation.map_or_else(dash, minute),
        key.connection_id.map_or_else(dash, |id| id.to_string()),
        key.id.clone(),
    ]
}

fn role(key: &KeyView) -> &'static str {
    match key.role {
        KeyUse::Identity => "identity",
        KeyUse::Session => "begins sessions",
        KeyUse::OwnerAccount => "owner account",
        KeyUse::AppSigning => "signs apps",
        KeyUse::MessageAccount => "message account",
        KeyUse::VaultSigning => "signs the gateway",
        KeyUse::ConnectionSigning => "signs connections",
        KeyUse::ServiceSigning => "signs services",
        KeyUse::ClaimSigning => "signs invitations",
        KeyUse::Epoch if key.kind == KeyKind::Symmetric => "epoch key",
        KeyUse::Epoch => "epoch",
        KeyUse::Pairwise => "signs for one",
        KeyUse::BrokerUser => "broker user",
        KeyUse::Storage => "state at rest",
        KeyUse::UnlockLane => "takes PINs",
        KeyUse::AppIdentity => "identity of the app",
        KeyUse::AppSealing => "sealing to the app",
        KeyUse::AppSession if key.kind == KeyKind::Symmetric => "session key",
        KeyUse::AppSession => "session",
        KeyUse::Resumption => "ties sessions",
        KeyUse::AppStore => "app at rest",
        KeyUse::Credential => "credential",
        KeyUse::IssuerToken => "proves the issuer",
        KeyUse::Transaction => "transaction",
        KeyUse::DeviceSecret => "device secret",
        KeyUse::Recovery => "recovery container",
        KeyUse::Grant => "grant",
    }
}

fn holder(holder: KeyHolder) -> &'static str {
    match holder {
        KeyHolder::Vault => "vault",
        KeyHolder::App => "app",
        KeyHolder::Both => "both sides",
        KeyHolder::Host => "host",
        KeyHolder::Services => "services",
        KeyHolder::Gateway => "gateway",
    }
}

fn policy(policy: KeyPolicy) -> &'static str {
    match policy {
        KeyPolicy::Epoch => "7 days or 1,000 messages",
        KeyPolicy::Connection => "with its connection",
        KeyPolicy::Signing => "90 days",
        KeyPolicy::Vault | KeyPolicy::App => "not by itself",
        KeyPolicy::Session => "24 hours or 1,000 messages",
        KeyPolicy::EachUse => "with each use",
        KeyPolicy::Once => "used once, 30 days",
        KeyPolicy::Password => "with the password",
        KeyPolicy::Phrase => "with the phrase",
        KeyPolicy::Ends => "ends",
        KeyPolicy::Host => "by its host",
        KeyPolicy::Start => "with each start",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text_of;

    fn key(role: KeyUse, id: &str) -> KeyView {
        let since = Timestamp::from_unix_ms(1_790_000_000_000);
        KeyView {
            id: id.to_owned(),
            role,
            holder: KeyHolder::Vault,
            kind: KeyKind::Pair,
            suite: "X25519".to_owned(),
            connection_id: None,
            since: Some(since),
            policy: KeyPolicy::Once,
            next_rotation: Some(since.plus_ms(60_000)),
        }
    }

    #[test]
    fn transaction_keys_are_counted_and_every_other_key_has_a_line() {
        let credential = KeyView { policy: KeyPolicy::EachUse, next_rotation: None, ..key(KeyUse::Credential, "cek") };
        let keys = vec![credential, key(KeyUse::Transaction, "tk_1"), key(KeyUse::Transaction, "tk_2")];
        let text = text_of(&Inventory::of(&KeyInventory { keys, more_after: None }));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("credential ") && lines[1].contains("with each use"), "{text}");
        assert!(lines[2].starts_with("2 transaction keys of the vault credential;"), "{text}");
        assert!(!text.contains("tk_"));
    }

    #[test]
    fn an_age_that_was_not_recorded_is_said_to_be_unknown() {
        let known = key(KeyUse::DeviceSecret, "lock of the vault");
        let unknown = KeyView { since: None, next_rotation: None, ..known.clone() };
        let inventory = KeyInventory { keys: vec![known.clone(), unknown], more_after: None };
        let shown = Inventory::of(&inventory);
        let text = text_of(&shown);
        let says: Vec<_> = text.lines().map(|line| line.contains("not known")).collect();
        assert_eq!(says, [false, false, true], "{text}");
        let json = serde_json::to_value(&shown).unwrap();
        let since: Vec<_> = [0, 1].map(|at| json["keys"][at].get("since").cloned()).into();
        assert_eq!(since, [known.since.map(|since| since.to_string().into()), Some(serde_json::Value::Null)]);
        let printed = serde_json::to_string(&shown).unwrap();
        assert_eq!(printed.matches("\"since\"").count(), 2, "{printed}");
    }
}
