//! `vettid app registry`: which registry the app takes the word of about services, and the member's own word when it changes.

use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use vettid_client::directory::RegistryView;
use vettid_wire::id::Fingerprint;

pub(super) const EXAMPLES: &str = "\
Examples:
  vettid app registry
  vettid app --json registry
  vettid app registry trust 5Jb0rFkYV0m2Cq1bV8yX0m3u5q0o8b1wJr0sQ2t7uZk";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take the word of the registry with this key from now on, and of no other
    ///
    /// Do that only after your operator has told you, in another way than by this app, that its registry has a new key and which.
    #[command(after_help = "Example:\n  vettid app registry trust 5Jb0rFkYV0m2Cq1bV8yX0m3u5q0o8b1wJr0sQ2t7uZk")]
    Trust {
        /// The fingerprint of the new key, as your operator told it
        #[arg(value_name = "FINGERPRINT", allow_hyphen_values = true)]
        fingerprint: Fingerprint,
    },
}

pub(super) async fn run(app: &Client, arguments: Arguments, output: Output) -> Result<(), Failure> {
    if let Some(Command::Trust { fingerprint }) = arguments.command {
        app.trust_registry(fingerprint).await.map_err(advice::command)?;
    }
    Ok(output.result(&app.registry().await.map_err(advice::command)?)?)
}

impl Show for RegistryView {
    fn show(&self, page: &mut Page) {
        match self.fingerprint.zip(self.since) {
            Some((fingerprint, since)) => {
                page.line("What your operator's registry says of services is shown if it signs with this key:");
                page.field("key", fingerprint.to_string());
                page.field("known since", minute(since));
            }
            None => page.line("No registry was met yet; the first one that answers is remembered."),
        }
        match self.found {
            None => page.field("now", "it does not answer, or with nothing genuine"),
            Some(_) if self.is_believed => page.field("now", "it answers with this key"),
            Some(found) => {
                page.field("now", format!("it answers with ANOTHER key: {found}"));
                page.gap();
                page.line("Services are shown as not verified until you decide. Ask your operator, in another way than by this app,");
                page.line("whether its registry has this new key. Only if that is so:");
                page.line(format!("  vettid app registry trust {found}"));
            }
        }
    }
}
