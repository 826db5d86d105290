//! `vettid verify`: checks the record of a request or transaction, or the statement about a service, offline, with nothing but the file.

mod authorisation;

use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, minute};
use clap::Args;
use serde::Serialize;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use vettid_client::clock::{Clock as _, SystemClock};
use vettid_core::statement::{StatementError, looks_like_one, verify};
use vettid_crypto::agreement::{RecordError, RecordReport, verify_record};
use vettid_crypto::authorisation::{RecordError as AnsweredError, verify_record as verify_answered};
use vettid_wire::agreement::{AgreementKind, AgreementOutcome, AgreementSide, AnswerMethod};
use vettid_wire::authorisation::RECORD_KIND;
use vettid_wire::digest::Digest;
use vettid_wire::id::{AgreementId, Fingerprint};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

/// Longer than any statement that an app writes, in bytes.
const MAX_STATEMENT_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vettid verify lease.json
  vettid verify statement.jsonl
  vettid verify lease.json --party q1Zn6kY0yH8T1cJ0mC7m3hJd0o6V2o1b6w3u5sX9a2E

The file holds everything that is needed: terms, the text that both sides were shown, keys, certificates, signatures. Who
the two are shows only in their fingerprints: compare them, or pass them with --party.

Exit code 0: the record holds, whether it was approved or denied. Exit code 3: it does not, or is between others.")]
pub(crate) struct Arguments {
    /// The record, as `vettid app record export` or a gateway writes it, or a statement of `vettid app contract statement`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Fingerprint of a party that must be one of the two; may be given twice. Of a statement: the vault's
    #[arg(long, value_name = "FINGERPRINT", allow_hyphen_values = true)]
    party: Vec<Fingerprint>,
}

/// A statement of what a service got.
fn statement(text: &str, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let ([] | [_]) = arguments.party.as_slice() else {
        return Err(Failure::usage("a statement is of one vault").next("give --party once, or not at all"));
    };
    let report = verify(text, arguments.party.first().copied()).map_err(|error| {
        let next = match error {
            StatementError::OtherVault => "compare the fingerprint with the one that the app shows",
            _ => "do not rely on this file; ask for a new one: vettid app contract statement SERVICE --output FILE",
        };
        Failure::new(Exit::Refused, error).next(next)
    })?;
    Ok(output.result(&crate::statement::View::from(report))?)
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let bytes = read(&arguments.file)?;
    if let Ok(text) = std::str::from_utf8(&bytes)
        && looks_like_one(text)
    {
        return statement(text, arguments, output);
    }
    if is_answered_request(&bytes) {
        let report = verify_answered(&bytes, SystemClock.now(), &arguments.party).map_err(|error| {
            let (other, future) = (matches!(error, AnsweredError::OtherParty), matches!(error, AnsweredError::Future));
            broken(&error, other, future)
        })?;
        return Ok(output.result(&authorisation::View::from(report))?);
    }
    let report = verify_record(&bytes, SystemClock.now(), &arguments.party).map_err(|error| {
        let (other, future) = (matches!(error, RecordError::OtherParty), matches!(error, RecordError::Future));
        broken(&error, other, future)
    })?;
    Ok(output.result(&View::from(report))?)
}

/// Whether the file calls itself the record of a request of a service.
fn is_answered_request(bytes: &[u8]) -> bool {
    let kind =
        json::parse(bytes).ok().and_then(|value| value.get("type").and_then(|kind| kind.as_str().map(str::to_owned)));
    kind.as_deref() == Some(RECORD_KIND)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::usage(format_args!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let limit = MAX_STATEMENT_BYTES;
    File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn broken(error: &dyn std::fmt::Display, other_party: bool, future: bool) -> Failure {
    let next = match (other_party, future) {
        (true, _) => "compare the fingerprints with those that the app shows",
        (_, true) => "look at the clock of this machine",
        _ => "do not rely on this file; ask both parties for theirs",
    };
    Failure::new(Exit::Refused, error).next(next)
}

/// What a record that holds says.
#[derive(Serialize)]
struct View {
    agreement_id: AgreementId,
    kind: AgreementKind,
    outcome: AgreementOutcome,
    displayed: Vec<String>,
    terms_hash: Digest,
    proposer: Fingerprint,
    asked: Fingerprint,
    terms_made_by: AgreementSide,
    made_at: Timestamp,
    answered_at: Timestamp,
    answered_by: AnswerMethod,
    ended_at: Timestamp,
    parties_compared: usize,
}

impl From<RecordReport> for View {
    fn from(report: RecordReport) -> Self {
        let terms_made_by = report.maker_side();
        let RecordReport { record, terms_hash, compared, .. } = report;
        Self {
            agreement_id: record.terms.agreement_id,
            kind: record.terms.kind,
            outcome: record.outcome.outcome,
            displayed: record.terms.displayed,
            terms_hash,
            proposer: record.terms.proposer,
            asked: record.terms.asked,
            terms_made_by,
            made_at: record.terms.made_at,
            answered_at: record.answer.answered_at,
            answered_by: record.answer.method,
            ended_at: record.outcome.ended_at,
            parties_compared: compared,
        }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        page.line(match self.outcome {
            AgreementOutcome::Approved => "The record holds: both sides approved exactly this text.",
            _ => "The record holds: one side proposed exactly this text, and the other said no.",
        });
        page.block(&self.displayed.join("\n"));
        page.gap();
        page.field("proposed first by", self.proposer.to_string());
        page.field("asked", self.asked.to_string());
        let (maker, other) = match self.terms_made_by {
            AgreementSide::Proposer => ("who proposed first", "who was asked"),
            AgreementSide::Asked => ("who was asked", "who proposed first"),
        };
        page.field("terms", format!("made by {maker}, {}", minute(self.made_at)));
        let method = match self.answered_by {
            AnswerMethod::Owner => "in person",
            AnswerMethod::Password => "in person, with the password",
            AnswerMethod::Rule => "by a rule",
        };
        page.field("answer", format!("given by {other} {method}, {}", minute(self.answered_at)));
        page.field("confirmed", minute(self.ended_at));
        page.field("terms hash", self.terms_hash.to_string());
        if self.parties_compared < 2 {
            page.gap();
            page.line("Compare the fingerprints with those that the app shows, or pass them with --party.");
        }
    }
}
