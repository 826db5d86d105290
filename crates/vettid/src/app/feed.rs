//! `vettid app feed`: the member's time line.

mod change;
mod filter;
mod show;

use super::advice::command;
use super::{Client, badge};
use crate::failure::Failure;
use crate::output::Output;
use change::{Archive, Numbers, PolicyArguments, Read, Tags};
use clap::{Args, Subcommand};
use filter::FilterArguments;
use show::{EntryView, FoundView, PolicyView};
use vettid_wire::event::{FeedGet, FeedSearch, FeedUnread, Nothing};
use vettid_wire::feed::{EntryNumber, MAX_ENTRIES, SearchFeed};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what happened, newest first
    #[command(after_help = "\
Examples:
  vettid app feed list
  vettid app feed list --unread --kind messaging
  vettid app feed list --archived --tag tax
  vettid app feed list --limit 100 --before 512")]
    List(List),
    /// Find entries by the words in them
    #[command(after_help = "\
Examples:
  vettid app feed search address
  vettid app feed search demo shop --kind data --since 2026-11-01

A word is found wherever it is a part of a word; capitals and accents do not matter.")]
    Search(Search),
    /// Show one entry with everything that is known of it
    #[command(after_help = "Example:\n  vettid app feed show 12")]
    Show {
        /// The entry's number
        #[arg(value_name = "NUMBER")]
        number: u64,
    },
    /// Count what you have not seen
    #[command(after_help = "Example:\n  vettid app feed unread")]
    Unread,
    /// Put tags on entries, or take them off
    #[command(after_help = "\
Examples:
  vettid app feed tag 12 13 --add tax
  vettid app feed tag 12 --remove todo")]
    Tag(Tags),
    /// Move entries into the archive, or back
    #[command(after_help = "\
Examples:
  vettid app feed archive 12 13
  vettid app feed archive 12 --back")]
    Archive(Archive),
    /// Remove entries for good; the audit record keeps what it has
    #[command(after_help = "Example:\n  vettid app feed remove 12 13")]
    Remove(Numbers),
    /// Mark entries as seen
    #[command(after_help = "\
Examples:
  vettid app feed read 12 13
  vettid app feed read --up-to 13")]
    Read(Read),
    /// Show or set what happens to old entries
    #[command(after_help = "\
Examples:
  vettid app feed policy
  vettid app feed policy --archive-after 30 --remove-archived-after 365
  vettid app feed policy --keep-everything

A warning or alarm that you have not seen is never archived or removed by itself.")]
    Policy(PolicyArguments),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    page: PageArguments,
}

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Words that have to be in the entry
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    page: PageArguments,
}

#[derive(Debug, Args)]
struct PageArguments {
    /// At most this many entries
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTRIES)))]
    limit: u32,
    /// Only entries before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::List(List { filter, page }) => find(app, output, filter, page, None).await,
        Command::Search(Search { words, filter, page }) => find(app, output, filter, page, Some(words.join(" "))).await,
        Command::Show { number } => {
            let marked = app.command::<FeedGet>(EntryNumber { number }).await.map_err(command)?;
            let badges = badge::of(marked.entry.connection_id.into_iter().collect(), app).await?;
            Ok(output.result(&EntryView::new(marked, &badges))?)
        }
        Command::Unread => Ok(output.result(&app.command::<FeedUnread>(Nothing {}).await.map_err(command)?)?),
        Command::Tag(tags) => change::tag(tags, app, output).await,
        Command::Archive(archive) => change::archive(archive, app, output).await,
        Command::Remove(numbers) => change::remove(numbers, app, output).await,
        Command::Read(read) => change::read(read, app, output).await,
        Command::Policy(arguments) => {
            let policy = change::policy(arguments, app).await?;
            Ok(output.result(&PolicyView(policy))?)
        }
    }
}

async fn find(
    app: &Client,
    output: Output,
    filter: FilterArguments,
    page: PageArguments,
    text: Option<String>,
) -> Result<(), Failure> {
    let asked = SearchFeed { filter: filter.with(text), before: page.before, limit: page.limit };
    let found = app.command::<FeedSearch>(asked).await.map_err(command)?;
    let badges = badge::of(found.entries.iter().filter_map(|marked| marked.entry.connection_id).collect(), app).await?;
    Ok(output.result(&FoundView::new(found, &badges))?)
}
