//! `vettid app watch`: stays connected and shows each entry of the feed as it is made, until it is interrupted.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::Output;
use anyhow::Context as _;
use vettid_client::watch::Watched;

pub(super) const EXAMPLES: &str = "\
Examples:
  vettid app watch
  vettid app --json watch | while read -r entry; do notify-send \"$entry\"; done

Prints one entry per line (JSON Lines with --json) and ends with Ctrl-C.";

pub(super) async fn run(app: &Client, output: Output) -> Result<(), Failure> {
    let interrupted = tokio::signal::ctrl_c();
    let mut watch = app.watch();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            end = &mut interrupted => {
                end.context("the signal cannot be waited for")?;
                return Ok(());
            }
            watched = watch.next() => match watched.map_err(advice::command)? {
                Watched::Entry(entry) => output.result(&entry)?,
                Watched::Connected => output.remark("Connected. Waiting for what happens; Ctrl-C ends.")?,
                Watched::Away { error, retry_ms } => {
                    output.remark(&format!("Not connected ({error}). Next try in {}.", crate::output::length(retry_ms)))?;
                }
            },
        }
    }
}
