//! `vettid app enroll`: makes this app the member's own, with the code that the portal shows.

use super::{Client, advice, credential, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use vettid_client::enrolment::{Enrolled, Existing};

/// Options of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vettid app enroll --code-file code.txt
  vettid app enroll --ca-file operator.pem < code.txt

The code is as good as a key to your vault until it is used: it is read from a file or from standard
input, never from the command line. If enrolling is interrupted, run the same command again.")]
pub(crate) struct Arguments {
    /// Read the code (or its link) from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// Forget the app that this profile holds now
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(arguments: Arguments, app: &Client, output: Output) -> Result<(), Failure> {
    let code = input::line(arguments.code_file.as_deref(), "Paste the text of the code, then Enter")?;
    let existing = if arguments.replace { Existing::Replace } else { Existing::Keep };
    let enrolled = app.enrol(&code, existing).await.map_err(advice::enrolment)?;
    output.result(&View::from(enrolled))?;
    credential::offer(app, output).await
}

/// What enrolling brought.
#[derive(Serialize)]
struct View {
    guid: vettid_wire::id::MemberId,
    device: vettid_wire::id::DeviceId,
    vault_fingerprint: vettid_wire::id::Fingerprint,
    nats_expires_at: vettid_wire::time::Timestamp,
    services_informed: bool,
}

impl From<Enrolled> for View {
    fn from(enrolled: Enrolled) -> Self {
        Self {
            guid: enrolled.guid,
            device: enrolled.device,
            vault_fingerprint: enrolled.vault_fingerprint,
            nats_expires_at: enrolled.nats_expires_at,
            services_informed: enrolled.services_informed,
        }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        page.line("This app is now yours.");
        page.field("member", self.guid.to_string());
        page.field("device", self.device.to_string());
        page.field("vault", self.vault_fingerprint.to_string());
        page.field("access until", format!("{}; renewed while it is used", minute(self.nats_expires_at)));
        if !self.services_informed {
            page.line("Services did not confirm the last step, so the portal may not show this app yet. It works all the same.");
        }
        page.gap();
        page.line("Compare the line \"vault\" with the fingerprint that the portal or the appliance shows.");
        page.next("Next", "vettid app profile set --name NAME");
    }
}
