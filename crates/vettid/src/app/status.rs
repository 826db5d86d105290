//! `vettid app status`: how the vault is, and how this app stands to it.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, length, minute};
use serde::{Serialize, Serializer};
use vettid_client::status::Status;

pub(super) const EXAMPLES: &str = "\
Examples:
  vettid app status
  vettid app --json status";

/// A clock that differs by more than this is worth a line, in milliseconds.
const CLOCK_REMARK_MS: i64 = 5_000;

pub(super) async fn run(app: &Client, output: Output) -> Result<(), Failure> {
    let status = app.status().await.map_err(advice::command)?;
    Ok(output.result(&View(status))?)
}

struct View(Status);

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        let Status { guid, device, vault_fingerprint, health, session_started_at, nats_expires_at, clock_ahead_ms } =
            &self.0;
        page.line("Your vault answers.");
        page.field("member", guid.to_string());
        page.field("device", device.to_string());
        page.field("vault", vault_fingerprint.to_string());
        page.field("connections", health.connections.to_string());
        if health.reconciling > 0 {
            page.field("coming back", crate::output::count(health.reconciling, "connection"));
        }
        if health.awaits_restore {
            page.field("careful", "your vault was put back to an earlier state and does nothing before your word");
        }
        page.field("audit entries", health.audit_size.to_string());
        page.field("journal", format!("{} commits, incarnation {}", health.journal_sequence, health.incarnation));
        page.field("on their way", crate::output::count(health.outbox_size, "message"));
        page.field("dropped", crate::output::count(health.dropped_events, "event"));
        page.field("session since", minute(*session_started_at));
        page.field("access until", minute(*nats_expires_at));
        if clock_ahead_ms.abs() > CLOCK_REMARK_MS {
            let direction = if *clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            page.field(
                "careful",
                format!("this machine's clock is {} {direction} the vault's", length(clock_ahead_ms.abs())),
            );
        }
    }
}
