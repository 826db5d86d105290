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
    let list = app
        .command::<event::FeedList>(ListFeed { before, limit })
        .await
        .map_err(command)?;
    Ok(output.result(&list)?)
}

impl Show for FeedList {
    fn show(&self, page: &mut Page) {
        for entry in &self.entries {
            entry.show(page);
        }
        match self.entries.last() {
            None => page.line("Nothing happened yet."),
            Some(oldest) if oldest.number > 1 => {
                page.gap();
                page.next(
                    "For older entries",
                    &format!("vettid app feed list --before {}", oldest.number),
                );
            }
            Some(_) => {}
        }
    }
}

impl Show for FeedEntry {
    fn show(&self, page: &mut Page) {
        let mark = match self.severity {
            Severity::Info => " ",
            Severity::Notice => "*",
            Severity::Warning => "!",
            Severity::Alarm => "‼",
        };
        page.line(format!(
            "{mark} {}  {}{}",
            minute(self.at),
            self.summary,
            outcome(self.outcome)
        ));
        if let (Some(request), Outcome::Pending) = (self.request_id, self.outcome) {
            page.line(format!(
                "    to answer: vettid app request approve {request}   or   deny"
            ));
        }
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => String::new(),
        Outcome::Pending => " (waits for you)".to_owned(),
        Outcome::Approved => " (approved)".to_owned(),
        Outcome::Denied => " (denied)".to_owned(),
        Outcome::Refused(code) => format!(" (refused: {code})"),
    }
}
