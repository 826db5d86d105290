//! `vettid app feed`: the member's time line.

use super::Client;
use super::advice::command;
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use vettid_wire::event;
use vettid_wire::feed::{FeedEntry, FeedList, ListFeed, MAX_ENTRIES, Outcome, Severity};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what happened, newest first
    #[command(after_help = "\
Examples:
  vettid app feed list
  vettid app feed list --limit 100 --before 512")]
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// At most this many entries
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTRIES)))]
    limit: u32,
    /// Only entries before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let Command::List(List { limit, before }) = wanted;
    let list = app.command::<event::FeedList>(ListFeed { before, limit }).await.map_err(command)?;
    Ok(output.result(&list)?)
}

impl Show for FeedList {
    fn show(&self, page: &mut Page) {
        // Whether it still waits is not known here: the entry tells what was then.
        self.entries.iter().for_each(|entry| page.line(line(entry)));
        match self.entries.last() {
            None => page.line("Nothing happened yet."),
            Some(oldest) if oldest.number > 1 => {
                page.gap();
                page.next("For older entries", &format!("vettid app feed list --before {}", oldest.number));
            }
            Some(_) => {}
        }
    }
}

/// An entry that was just made.
impl Show for FeedEntry {
    fn show(&self, page: &mut Page) {
        page.line(line(self));
        match (self.outcome, self.request_id, self.connection_id) {
            (Outcome::Pending, Some(request), _) => {
                page.line(format!("    to answer: vettid app request approve {request}   or   deny"));
            }
            (Outcome::Pending, None, Some(connection)) => {
                page.line(format!("    to look: vettid app connection review {connection}"));
            }
            _ => {}
        }
    }
}

/// What came of it stands in the sentence.
fn line(entry: &FeedEntry) -> String {
    let mark = match entry.severity {
        Severity::Info => " ",
        Severity::Notice => "*",
        Severity::Warning => "!",
        Severity::Alarm => "‼",
    };
    format!("{mark} {}  {}", minute(entry.at), entry.summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_and_what() {
        let entry = FeedEntry {
            number: 1,
            at: "2026-11-21T06:15:00.000Z".parse().unwrap(),
            event_type: "messaging.text".parse().unwrap(),
            connection_id: None,
            request_id: None,
            severity: Severity::Notice,
            outcome: Outcome::Done,
            summary: "New message from Bob".to_owned(),
        };
        assert_eq!(line(&entry), "* 2026-11-21 06:15 UTC  New message from Bob");
    }
}
