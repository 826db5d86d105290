//! `vettid app audit`: takes the whole audit chain home and checks it on arrival.

use super::{Client, advice, private_file};
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export the audit chain of your vault as JSON Lines
    #[command(after_help = "\
Examples:
  vettid app audit export --out audit.jsonl
  vettid app audit export | gzip > audit.jsonl.gz

The export is checked before it is written. To check it again, anywhere: vettid audit verify FILE")]
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Write to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let Command::Export(Export { out }) = wanted;
    let export = app.export_audit().await.map_err(advice::export)?;
    match out {
        Some(path) => {
            private_file::write(&path, export.text.as_bytes())?;
            Ok(output.result(&Written { file: path, entries: export.entries })?)
        }
        None => Ok(output.raw(&export.text)?),
    }
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    entries: u64,
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        let file = self.file.display();
        page.line(format!("Wrote {} to {file}; the chain is whole.", crate::output::entries(self.entries)));
        page.next("To check it again, anywhere", &format!("vettid audit verify {file}"));
    }
}
