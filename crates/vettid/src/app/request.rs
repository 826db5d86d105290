//! `vettid app request`: what waits for the member's decision.

use super::Client;
use super::advice::command;
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, minute};
use clap::Subcommand;
use vettid_wire::auth::Decision;
use vettid_wire::event::{Nothing, RequestDecide, RequestList};
use vettid_wire::id::RequestId;
use vettid_wire::request::{self, Ask, Decide, Decided, PendingRequest};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what waits for you, oldest first
    #[command(after_help = "Example:\n  vettid app request list")]
    List,
    /// Say yes
    #[command(after_help = "Example:\n  vettid app request approve ID")]
    Approve {
        /// The request
        #[arg(value_name = "ID")]
        request: RequestId,
    },
    /// Say no
    #[command(after_help = "Example:\n  vettid app request deny ID")]
    Deny {
        /// The request
        #[arg(value_name = "ID")]
        request: RequestId,
    },
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let decide = match wanted {
        Command::List => {
            let list = app.command::<RequestList>(Nothing {}).await.map_err(command)?;
            return Ok(output.result(&list)?);
        }
        Command::Approve { request } => Decide { request_id: request, decision: Decision::Approve },
        Command::Deny { request } => Decide { request_id: request, decision: Decision::Deny },
    };
    let decided = app.command::<RequestDecide>(decide).await.map_err(command)?;
    Ok(output.result(&decided)?)
}

impl Show for request::RequestList {
    fn show(&self, page: &mut Page) {
        if self.requests.is_empty() {
            page.line("Nothing waits for you.");
            return;
        }
        page.line(format!("{} for you:", count(self.requests.len() as u64, "request") + wait(self.requests.len())));
        for pending in &self.requests {
            page.gap();
            show(pending, page);
        }
        page.gap();
        page.next("To answer", "vettid app request approve ID   or   vettid app request deny ID");
    }
}

fn wait(number: usize) -> &'static str {
    if number == 1 { " waits" } else { " wait" }
}

fn show(pending: &PendingRequest, page: &mut Page) {
    let who = &pending.display_name;
    match &pending.ask {
        Ask::Data { field, purpose } => {
            page.line(format!("{who} asks to read your {field}"));
            page.field("what for", purpose);
        }
        Ask::Login { origin, display } => {
            page.line(format!("{who} asks you to log in at {origin}"));
            page.field("browser", &display.browser);
            page.field("place", format!("{} ({}…), as {who} says", display.city, display.ip_prefix));
            page.field("careful", "approve only if you are logging in there yourself, right now");
        }
    }
    page.field("asked", minute(pending.received_at));
    page.field("no answer", format!("counts as no from {}", minute(pending.expires_at)));
    page.field("id", pending.request_id.to_string());
}

impl Show for Decided {
    fn show(&self, page: &mut Page) {
        page.line(match self.decision {
            Decision::Approve => "Approved.",
            Decision::Deny => "Denied.",
        });
    }
}
