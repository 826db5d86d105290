//! What the member does to entries.

use super::super::Client;
use super::super::advice::command;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::collections::BTreeSet;
use vettid_wire::event::{FeedArchive, FeedPolicy as PolicyRow, FeedRead, FeedRemove, FeedTag};
use vettid_wire::feed::{
    ArchiveEntries, EntryNumbers, FeedPolicy, MAX_POLICY_DAYS, ReadEntries, SetFeedPolicy, Tag, TagEntries,
};

#[derive(Debug, Args)]
pub(in crate::app) struct Numbers {
    /// The entries' numbers
    #[arg(value_name = "NUMBER", required = true)]
    numbers: Vec<u64>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Tags {
    #[command(flatten)]
    entries: Numbers,
    /// Put this tag on; may be given more than once
    #[arg(long, value_name = "TAG", required_unless_present = "remove")]
    add: Vec<Tag>,
    /// Take this tag off; may be given more than once
    #[arg(long, value_name = "TAG")]
    remove: Vec<Tag>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Archive {
    #[command(flatten)]
    entries: Numbers,
    /// Out of the archive
    #[arg(long)]
    back: bool,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Read {
    /// The entries' numbers
    #[arg(value_name = "NUMBER", required_unless_present = "up_to", conflicts_with = "up_to")]
    numbers: Vec<u64>,
    /// Every entry up to this one
    #[arg(long, value_name = "NUMBER")]
    up_to: Option<u64>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct PolicyArguments {
    /// Archive entries after so many days
    #[arg(long, value_name = "DAYS", value_parser = days())]
    archive_after: Option<u32>,
    /// Remove entries so many days after they were archived
    #[arg(long, value_name = "DAYS", value_parser = days())]
    remove_archived_after: Option<u32>,
    /// Archive and remove nothing by itself
    #[arg(long, conflicts_with_all = ["archive_after", "remove_archived_after"])]
    keep_everything: bool,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_POLICY_DAYS))
}

impl Numbers {
    fn set(self) -> BTreeSet<u64> {
        self.numbers.into_iter().collect()
    }
}

pub(super) async fn tag(tags: Tags, app: &Client, output: Output) -> Result<(), Failure> {
    let (add, remove) = (tags.add.into_iter().collect(), tags.remove.into_iter().collect());
    let asked = TagEntries { numbers: tags.entries.set(), add, remove };
    Ok(output.result(&app.command::<FeedTag>(asked).await.map_err(command)?)?)
}

pub(super) async fn archive(wanted: Archive, app: &Client, output: Output) -> Result<(), Failure> {
    let asked = ArchiveEntries { numbers: wanted.entries.set(), archive: !wanted.back };
    Ok(output.result(&app.command::<FeedArchive>(asked).await.map_err(command)?)?)
}

pub(super) async fn remove(numbers: Numbers, app: &Client, output: Output) -> Result<(), Failure> {
    let asked = EntryNumbers { numbers: numbers.set() };
    Ok(output.result(&app.command::<FeedRemove>(asked).await.map_err(command)?)?)
}

pub(super) async fn read(wanted: Read, app: &Client, output: Output) -> Result<(), Failure> {
    let asked = match wanted.up_to {
        Some(number) => ReadEntries::UpTo(number),
        None => ReadEntries::Numbers(wanted.numbers.into_iter().collect()),
    };
    Ok(output.result(&app.command::<FeedRead>(asked).await.map_err(command)?)?)
}

/// Sets what was named; without any option the policy is only read.
pub(super) async fn policy(wanted: PolicyArguments, app: &Client) -> Result<FeedPolicy, Failure> {
    let named = FeedPolicy {
        archive_after_days: wanted.archive_after,
        remove_archived_after_days: wanted.remove_archived_after,
    };
    let policy = (wanted.keep_everything || named != FeedPolicy::default()).then_some(named);
    app.command::<PolicyRow>(SetFeedPolicy { policy }).await.map_err(command)
}
