//! `vettid audit verify`: checks an audit export offline, with nothing but the file.

use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, entries, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use vettid_crypto::audit::export::{ExportError, ExportReport, ExportVerifier, Trust};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

/// Options of `vettid audit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that an export is whole: nothing deleted, swapped, edited or cut off
    #[command(after_help = "\
Examples:
  vettid audit verify audit.jsonl
  vettid audit verify audit.jsonl --vault q1Zn6kY0yH8T1cJ0mC7m3hJd0o6V2o1b6w3u5sX9a2E

Exit code 0: the export is whole. Exit code 3: it is not, or it is another vault's.")]
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// The export: JSON Lines, as `vettid app audit export` writes them
    file: PathBuf,
    /// Fingerprint of the vault that the export must come from
    #[arg(long, value_name = "FINGERPRINT", allow_hyphen_values = true)]
    vault: Option<Fingerprint>,
}

/// Runs one command.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let Command::Verify(Verify { file, vault }) = &arguments.command;
    let report = verify(file, Trust { vault: *vault, newest: None })?;
    Ok(output.result(&View::from(report))?)
}

fn verify(path: &Path, trust: Trust) -> Result<ExportReport, Failure> {
    let unreadable = |error| Failure::usage(format_args!("{}: {error}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut verifier = ExportVerifier::new(trust);
    let mut line = Vec::new();
    while read_line(&mut file, &mut line).map_err(unreadable)? {
        let whole = line.strip_suffix(b"\n").ok_or(ExportError::CutOff).map_err(broken)?;
        verifier.push_line(whole).map_err(broken)?;
    }
    verifier.finish().map_err(broken)
}

/// Reads one line with its end. A line that is longer than any line of an export ends early, which makes it wrong.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let length = file.by_ref().take(json::MAX_BYTES as u64 + 2).read_until(b'\n', line)?;
    Ok(length > 0)
}

fn broken(error: ExportError) -> Failure {
    let next = match &error {
        ExportError::OtherVault => "compare the fingerprint with the one that the app or the portal shows",
        ExportError::CutOff => "export again: vettid app audit export --out FILE",
        _ => "do not rely on this file; export again and keep both files for comparison",
    };
    Failure::new(Exit::Refused, error).next(next)
}

/// What a whole export holds.
#[derive(Serialize)]
struct View {
    guid: MemberId,
    vault_fingerprint: Fingerprint,
    exported_at: Timestamp,
    entries: u64,
    details: u64,
    root: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<Timestamp>,
    vault_compared: bool,
}

impl From<ExportReport> for View {
    fn from(report: ExportReport) -> Self {
        Self {
            guid: report.head.guid,
            vault_fingerprint: report.head.vault_fp,
            exported_at: report.head.exported_at,
            entries: report.checkpoint.size,
            details: report.details,
            root: report.checkpoint.root,
            first_at: report.first_at,
            last_at: report.last_at,
            vault_compared: report.vault_compared,
        }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        page.line(format!(
            "The export is whole: {}, {} readable.",
            entries(self.entries),
            count(self.details, "detail")
        ));
        page.field("member", self.guid.to_string());
        page.field("vault", self.vault_fingerprint.to_string());
        page.field("exported", minute(self.exported_at));
        if let (Some(first), Some(last)) = (self.first_at, self.last_at) {
            page.field("from", minute(first));
            page.field("to", minute(last));
        }
        page.field("root", self.root.to_string());
        if !self.vault_compared {
            page.gap();
            page.line("Compare the line \"vault\" with what your app shows, or pass it with --vault.");
        }
    }
}
