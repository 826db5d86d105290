//! `vettid gateway contract`: a service's contract as a file: made, changed, checked, compared and published. What is not sound is
//! never written.

mod edit;
mod storage;

use crate::contract::ShownChanges;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use edit::{Edit, New};
use serde::Serialize;
use std::path::{Path, PathBuf};
use vettid_core::contract::contract_hash;
use vettid_core::contract::diff::{Change, changes};
use vettid_core::contract::lint::{Finding, Severity, is_sound, lint};
use vettid_gateway::config::Config;
use vettid_gateway::draft;
use vettid_gateway::draft::DraftError;
use vettid_gateway::offer::OfferError;
use vettid_wire::contract::Contract;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a contract file
    #[command(after_help = "\
Example:
  vettid gateway contract new contract.json --service demo-shop \\
    --description 'The shop delivers to your address.' \\
    --terms https://shop.example/terms --privacy https://shop.example/privacy")]
    New(New),
    /// Change a contract file; what is not sound is not written
    #[command(after_help = "\
Examples:
  vettid gateway contract edit contract.json add-field address --tier on-demand \\
    --purpose 'To deliver what you ordered' --kept 30d --rate 3/60
  vettid gateway contract edit contract.json set-field address --kept session
  vettid gateway contract edit contract.json remove-field address
  vettid gateway contract edit contract.json set-rate 60/60
  vettid gateway contract edit contract.json permission add send-messages
  vettid gateway contract edit contract.json set-notifications 3
  vettid gateway contract edit contract.json add-category receipts \\
    --purpose 'Receipts of what you ordered' --quota-bytes 65536
  vettid gateway contract edit contract.json remove-category receipts
  vettid gateway contract edit contract.json set-quota 400000
  vettid gateway contract edit contract.json set-text --terms https://shop.example/terms")]
    Edit(Edit),
    /// Say what is wrong with a contract file, and what members will not like
    #[command(after_help = "\
Examples:
  vettid gateway contract lint contract.json
  vettid --json gateway contract lint contract.toml

Exit code 0: it can be published, maybe with warnings. Exit code 3: it cannot.")]
    Lint(One),
    /// Show what is different between two contract files
    #[command(after_help = "Example:\n  vettid gateway contract diff contract.json draft.json")]
    Diff(Two),
    /// Put a draft in the place of the published file, under the next version: every member is asked
    #[command(after_help = "\
Examples:
  vettid gateway contract publish draft.json --config /etc/vettid/gateway.toml
  vettid gateway contract publish draft.json --contract contract.json

A running gateway takes the file up within seconds, a stopped one when it starts. From when a member's vault has the new version,
the service gets nothing from that member until the member accepts it; a member who rejects it ends the connection.")]
    Publish(Publish),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The contract: TOML if its name ends in .toml, else JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Two {
    /// The one before
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The one after
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The draft; its contract_version does not matter
    #[arg(value_name = "DRAFT")]
    draft: PathBuf,
    /// The gateway's configuration, which names the published file
    #[arg(long, value_name = "FILE", required_unless_present = "contract")]
    config: Option<PathBuf>,
    /// The published file
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    contract: Option<PathBuf>,
}

pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::New(new) => store(&new.file, &new.contract(), output),
        Command::Edit(edit) => {
            let mut contract = read(&edit.file)?;
            edit.apply(&mut contract)?;
            store(&edit.file, &contract, output)
        }
        Command::Lint(One { file }) => {
            let findings = lint(&read(file)?);
            let is_sound = is_sound(&findings);
            output.result(&Linted { sound: is_sound, findings })?;
            if is_sound { Ok(()) } else { Err(Failure::new(Exit::Refused, "the contract cannot be published")) }
        }
        Command::Diff(Two { old, new }) => Ok(output.result(&Compared::of(&read(old)?, &read(new)?))?),
        Command::Publish(wanted) => publish(wanted, output),
    }
}

fn publish(wanted: &Publish, output: Output) -> Result<(), Failure> {
    let configured = |path: &PathBuf| Config::read(path).map(|config| config.contract).map_err(Failure::usage);
    let published = match (&wanted.contract, &wanted.config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => configured(config)?,
        (None, None) => return Err(Failure::usage("say where the published contract is: --config or --contract")),
    };
    let (before, draft) = (read(&published)?, read(&wanted.draft)?);
    let after = Contract { contract_version: before.contract_version + 1, ..draft };
    if before.service_id != after.service_id {
        return Err(Failure::new(Exit::Refused, "the draft is of another service"));
    }
    let compared = Compared::of(&before, &after);
    if compared.changes.is_empty() && before.fields == after.fields && before.permissions == after.permissions {
        return Err(Failure::new(Exit::Refused, "nothing is different from what is published"));
    }
    draft::write(&published, &after).map_err(|error| failure(&error))?;
    Ok(output.result(&compared)?)
}

fn read(path: &Path) -> Result<Contract, Failure> {
    draft::read(path).map_err(|error| unreadable(&error))
}

fn store(path: &Path, contract: &Contract, output: Output) -> Result<(), Failure> {
    draft::write(path, contract).map_err(|error| failure(&error))?;
    let hash = contract_hash(contract).map_err(Failure::usage)?.to_string();
    let warnings = lint(contract);
    Ok(output.result(&Written { file: path.to_owned(), contract_hash: hash, warnings })?)
}

/// With its cause, which says where.
fn unreadable(error: &OfferError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::usage(format_args!("{error}{cause}"))
}

fn failure(error: &DraftError) -> Failure {
    let next = "nothing was written; to see everything that is wrong: vettid gateway contract lint FILE";
    match error {
        DraftError::Offer(error) => unreadable(error).next(next),
        other => Failure::usage(other).next(next),
    }
}

#[derive(Serialize)]
struct Linted {
    sound: bool,
    findings: Vec<Finding>,
}

impl Show for Linted {
    fn show(&self, page: &mut Page) {
        if self.findings.is_empty() {
            page.line("Nothing to say: it can be published.");
        }
        show_findings(&self.findings, page);
    }
}

fn show_findings(findings: &[Finding], page: &mut Page) {
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error  ",
            Severity::Warning => "warning",
        };
        let field = finding.field.as_ref().map(|field| format!(" ({field})")).unwrap_or_default();
        let place = if finding.place.is_empty() { "/" } else { finding.place.as_str() };
        page.line(format!("{severity}  {place}{field}: {}", finding.message));
    }
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    contract_hash: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        page.line(format!("Written: {}", self.file.display()));
        show_findings(&self.warnings, page);
    }
}

#[derive(Serialize)]
struct Compared {
    before: u64,
    after: u64,
    changes: Vec<Change>,
}

impl Compared {
    fn of(before: &Contract, after: &Contract) -> Self {
        Self { before: before.contract_version, after: after.contract_version, changes: changes(before, after) }
    }
}

impl Show for Compared {
    fn show(&self, page: &mut Page) {
        page.line(format!("Version {} in the place of version {}:", self.after, self.before));
        ShownChanges(&self.changes).show(page);
    }
}
