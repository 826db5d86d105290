//! `vettid gateway webhook`: where events are sent.

use super::program::{Target, failed, keep, refuse_present};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use vettid_gateway::EventKind;
use vettid_gateway_client::{CreatedWebhook, NewWebhook, Page as Part, Webhook, WebhookPage};
use vettid_wire::id::EventId;

const ADD_EXAMPLES: &str = "\
Examples:
  vettid gateway webhook add --config gateway.toml https://shop.example/vettid
  vettid gateway webhook add --config gateway.toml https://shop.example/vettid \\
    --event request.answered --out hook.secret";

fn with_events() -> String {
    format!("{ADD_EXAMPLES}\n\nEvents: {}.", EventKind::ALL.map(EventKind::name).join(", "))
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send events to an address from now on; the secret that verifies them is shown this once
    #[command(after_help = with_events())]
    Add {
        /// Where to: a public https address
        #[arg(value_name = "URL")]
        url: String,
        /// Which events; may be given several times; all if it is not given
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<EventKind>,
        /// Let events carry the answers of members
        #[arg(long)]
        with_answers: bool,
        /// Write the secret into this new file of mode 0600 instead of showing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// List the webhooks, and what waits for them
    #[command(after_help = "Example:\n  vettid gateway webhook list --config gateway.toml")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Send an event that says nothing, to see whether it arrives
    #[command(after_help = "Example:\n  vettid gateway webhook test --config gateway.toml WEBHOOK")]
    Test {
        /// The webhook
        #[arg(value_name = "WEBHOOK")]
        webhook_id: EventId,
        #[command(flatten)]
        target: Target,
    },
    /// Send again what was set aside; a paused webhook goes on
    #[command(after_help = "\
Examples:
  vettid gateway webhook replay --config gateway.toml WEBHOOK
  vettid gateway webhook replay --config gateway.toml WEBHOOK --event-id EVENT")]
    Replay {
        /// The webhook
        #[arg(value_name = "WEBHOOK")]
        webhook_id: EventId,
        /// This event alone
        #[arg(long, value_name = "EVENT")]
        event_id: Option<EventId>,
        #[command(flatten)]
        target: Target,
    },
    /// Forget a webhook and everything that is on its way to it
    #[command(after_help = "Example:\n  vettid gateway webhook remove --config gateway.toml WEBHOOK")]
    Remove {
        /// The webhook
        #[arg(value_name = "WEBHOOK")]
        webhook_id: EventId,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add { url, events, with_answers, out, target } => {
            refuse_present(out.as_deref())?;
            let events = events.iter().map(ToString::to_string).collect();
            let made = target.client()?.add_webhook(&NewWebhook { url, events, with_answers }).await.map_err(failed)?;
            let CreatedWebhook { webhook, secret } = made;
            if let Some(path) = &out {
                keep(path, &secret)?;
            }
            Ok(output.result(&Added { secret: out.is_none().then_some(secret), file: out, webhook })?)
        }
        Command::List { target } => list(&target, output).await,
        Command::Test { webhook_id, target } => {
            let event_id = target.client()?.test_webhook(webhook_id).await.map_err(failed)?;
            Ok(output.result(&Tested { event_id })?)
        }
        Command::Replay { webhook_id, event_id, target } => {
            let replayed = target.client()?.replay_webhook(webhook_id, event_id).await.map_err(failed)?;
            Ok(output.result(&Replayed { replayed })?)
        }
        Command::Remove { webhook_id, target } => {
            target.client()?.remove_webhook(webhook_id).await.map_err(failed)?;
            Ok(output.result(&Removed { webhook_id })?)
        }
    }
}

async fn list(target: &Target, output: Output) -> Result<(), Failure> {
    let client = target.client()?;
    let (mut list, mut part) = (Webhooks { webhooks: Vec::new() }, Part::default());
    loop {
        let WebhookPage { webhooks, next_cursor } = client.webhooks(&part).await.map_err(failed)?;
        list.webhooks.extend(webhooks);
        match next_cursor {
            Some(cursor) => part.cursor = Some(cursor),
            None => return Ok(output.result(&list)?),
        }
    }
}

#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    webhook: Webhook,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Webhooks {
    webhooks: Vec<Webhook>,
}

#[derive(Serialize)]
struct Tested {
    event_id: EventId,
}

#[derive(Serialize)]
struct Replayed {
    replayed: u64,
}

#[derive(Serialize)]
struct Removed {
    webhook_id: EventId,
}

impl Show for Added {
    fn show(&self, page: &mut Page) {
        page.line(format!("Webhook {}: {}", self.webhook.webhook_id, self.webhook.url));
        match (&self.secret, &self.file) {
            (Some(secret), _) => {
                page.line("Its secret is shown this once:");
                page.line(secret);
            }
            (None, Some(file)) => page.line(format!("Its secret is in {}.", file.display())),
            (None, None) => {}
        }
    }
}

impl Show for Webhooks {
    fn show(&self, page: &mut Page) {
        if self.webhooks.is_empty() {
            page.line("No webhooks.");
        }
        for webhook in &self.webhooks {
            let events = if webhook.events.is_empty() { "all events".to_owned() } else { webhook.events.join(", ") };
            page.line(format!("{}  {}  {events}", webhook.webhook_id, webhook.url));
            if let Some(at) = webhook.paused_at {
                page.line(format!("  paused {}: gets nothing until it is replayed", minute(at)));
            }
            if webhook.waiting + webhook.set_aside > 0 {
                page.line(format!("  {} waiting, {} set aside", webhook.waiting, webhook.set_aside));
            }
        }
    }
}

impl Show for Tested {
    fn show(&self, page: &mut Page) {
        page.line(format!("Event {} is on its way.", self.event_id));
    }
}

impl Show for Replayed {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} events are sent again.", self.replayed));
    }
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format!("Webhook {} is gone.", self.webhook_id));
    }
}
