//! How connections are kept, for people.

use crate::output::{Page, Show, minute, printable};
use vettid_wire::inventory::{ConnectionHealth, HealthReport};
use vettid_wire::time::Timestamp;

impl Show for HealthReport {
    fn show(&self, page: &mut Page) {
        if self.connections.is_empty() {
            page.line("No active connections.");
        }
        for one in &self.connections {
            show_one(one, page);
        }
        if let Some(last) = self.connections.last().filter(|_| self.more) {
            page.next("There are more", &format!("vettid app connection health --after {}", last.connection_id));
        }
    }
}

fn show_one(one: &ConnectionHealth, page: &mut Page) {
    page.line(printable(&one.display_name));
    page.field("id", one.connection_id.to_string());
    page.field("keys", format!("epoch {}, since {}", one.epoch, or_dash(one.keys_since)));
    page.field("suite", &one.suite);
    page.field("messages", one.messages.to_string());
    page.field("new keys by", or_dash(one.next_rotation));
    if let Some(since) = one.straggles_since {
        page.field("careful", format!("the other side did not answer the change of keys of {}", minute(since)));
    }
    if one.open_epochs > 0 {
        page.field("old keys", format!("{} kept for late messages", one.open_epochs));
    }
    page.field("last sent", or_dash(one.last_sent));
    page.field("last heard", or_dash(one.last_received));
    match one.credential_until {
        Some(until) => page.field("access until", minute(until)),
        None => page.field("careful", "the other side's broker does not let your vault in now"),
    };
    page.field("profile until", or_dash(one.profile_until));
    page.gap();
}

fn or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), minute)
}
