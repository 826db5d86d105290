//! `vettid app contract`: what services may have of you, version by version. A version is accepted by its number, after it was
//! shown; a value that it asks for never stands on the command line.

mod fill;
mod trial;
mod view;

use super::advice::{self, command};
use super::badge::{self, Badged};
use super::{Client, private_file};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use clap::{Args, Subcommand};
pub(super) use fill::Fill;
use std::collections::BTreeSet;
use std::path::PathBuf;
use vettid_client::directory::Badge;
use vettid_client::statement::StatementFailure;
use vettid_wire::connection::{ConnectionRef, ConnectionState};
use vettid_wire::contract::{Contract, Tier};
use vettid_wire::event::{ContractDecide, ContractGet, ContractList as ListRow, Nothing};
use vettid_wire::id::ConnectionId;
use vettid_wire::offer::{ContractSummary, ContractView, DecideContract};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List your contracts, and which wait for your decision
    #[command(after_help = "Example:\n  vettid app contract list")]
    List,
    /// Show a contract: what is in force, and what is offered in its place
    #[command(after_help = "\
Examples:
  vettid app contract show demo-shop
  vettid app --json contract show demo-shop")]
    Show(Service),
    /// Show what a new version changes, and which of it gives the service more
    #[command(after_help = "Example:\n  vettid app contract diff demo-shop")]
    Diff(Service),
    /// Try a contract before you accept it: what would it have handed out over the last days?
    #[command(
        visible_alias = "try",
        after_help = "\
Examples:
  vettid app contract dry-run demo-shop
  vettid app contract dry-run demo-shop --days 30 --optional email

A new version is tried on what this service asked for; before you are connected, on what your other services asked for. Your vault
decides by the rules that it decides real requests by. Nothing is handed out, nobody is told, and no rate is used up."
    )]
    DryRun(trial::DryRun),
    /// Accept a new version: it is in force at once
    #[command(after_help = "\
Examples:
  vettid app contract accept demo-shop --version 2
  vettid app contract accept demo-shop --version 2 --optional email,phone
  vettid app contract accept demo-shop --version 2 --set shoe_size=- < size.txt
  vettid app contract accept demo-shop --version 2 --fill

Of the optional fields, those that you agreed to before stay agreed to as far as the new version leaves them to you; no other
one is agreed to unless you name it. Values come from standard input, a file (FIELD=@FILE) or a question (--fill), never from
the command line.")]
    Accept(Accept),
    /// Reject a new version: the connection ends at once, and the service is told
    #[command(after_help = "Example:\n  vettid app contract reject demo-shop --version 2")]
    Reject(Reject),
    /// Write down everything that a service ever got, signed and checkable by anybody
    #[command(after_help = "\
Examples:
  vettid app contract statement demo-shop --output statement.jsonl
  vettid verify statement.jsonl

The file has every contract with its signatures, and for each value that was handed out when, what, what for and who decided; not
the value itself. It holds nothing about your other connections. It is checked before it is written.")]
    Statement(Statement),
    /// Choose anew among the optional fields of the contract in force
    #[command(after_help = "\
Examples:
  vettid app contract choose demo-shop --optional email
  vettid app contract choose demo-shop --no-optional")]
    Choose(Choose),
}

#[derive(Debug, Args)]
pub(super) struct Service {
    /// The service: its id, its name, or the connection
    #[arg(value_name = "SERVICE")]
    service: String,
}

#[derive(Debug, Args)]
pub(super) struct Accept {
    #[command(flatten)]
    service: Service,
    /// The version that you have read
    #[arg(long, value_name = "N")]
    version: u64,
    #[command(flatten)]
    optional: Optional,
    #[command(flatten)]
    fill: Fill,
}

#[derive(Debug, Args)]
pub(super) struct Reject {
    #[command(flatten)]
    service: Service,
    /// The version that you have read
    #[arg(long, value_name = "N")]
    version: u64,
}

#[derive(Debug, Args)]
pub(super) struct Choose {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    optional: Optional,
    #[command(flatten)]
    fill: Fill,
}

#[derive(Debug, Args)]
pub(super) struct Statement {
    #[command(flatten)]
    service: Service,
    /// Write to this new file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
struct Optional {
    /// Agree to these optional fields and to no other
    #[arg(long, value_name = "FIELD", value_delimiter = ',', conflicts_with = "no_optional")]
    optional: Vec<String>,
    /// Agree to no optional field
    #[arg(long)]
    no_optional: bool,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::List => Ok(output.result(&app.command::<ListRow>(Nothing {}).await.map_err(command)?)?),
        Command::Show(service) => {
            let view = get(&service, app).await?;
            let (badge, contract) = (known(view.connection_id, app).await?, newest(&view).cloned());
            Ok(output.result(&Badged::new(view, badge).compared(contract.as_ref(), app).await?)?)
        }
        Command::Diff(service) => {
            let view = get(&service, app).await?;
            let (badge, contract) = (known(view.connection_id, app).await?, newest(&view).cloned());
            let diff = Badged::new(view::Diff::of(view)?, badge);
            Ok(output.result(&diff.compared(contract.as_ref(), app).await?)?)
        }
        Command::DryRun(wanted) => trial::run(wanted, app, output).await,
        Command::Accept(accept) => {
            let view = get(&accept.service, app).await?;
            let offered = offered(&view, accept.version)?;
            let before = view.in_force.as_ref().map(|signed| signed.acceptance.optional_fields_accepted.as_slice());
            let optional = accept.optional.fields(&offered.contract, before.unwrap_or_default());
            accept.fill.run(&offered.contract, &optional, &view.missing_fields, app, output).await?;
            let decide = decide(&view, offered.contract_hash.clone(), true, optional);
            Ok(output.result(&app.command::<ContractDecide>(decide).await.map_err(command)?)?)
        }
        Command::Reject(Reject { service, version }) => {
            let view = get(&service, app).await?;
            let offered = offered(&view, version)?;
            let decide = decide(&view, offered.contract_hash.clone(), false, vec![]);
            Ok(output.result(&app.command::<ContractDecide>(decide).await.map_err(command)?)?)
        }
        Command::Statement(Statement { service, output: path }) => {
            let id = connection(&service.service, app).await?;
            let statement = app.statement(id).await.map_err(no_statement)?;
            private_file::write(&path, statement.text.as_bytes())?;
            Ok(output.result(&crate::statement::View::from(statement.report))?)
        }
        Command::Choose(choose) => choose_anew(choose, app, output).await,
    }
}

/// What is offered, else what is in force.
fn newest(view: &ContractView) -> Option<&Contract> {
    let offered = view.offered.as_ref().map(|offered| &offered.contract);
    offered.or(view.in_force.as_ref().map(|signed| &signed.contract))
}

/// How well the service of a contract is known.
async fn known(id: ConnectionId, app: &Client) -> Result<Option<Badge>, Failure> {
    Ok(badge::of(BTreeSet::from([id]), app).await?.remove(&id))
}

fn no_statement(failure: StatementFailure) -> Failure {
    match failure {
        StatementFailure::Command(failure) => command(failure),
        StatementFailure::Export(failure) => advice::export(failure),
        other => {
            Failure::new(Exit::Refused, other).next("try again; if it stays so, keep an audit export for comparison")
        }
    }
}

async fn choose_anew(choose: Choose, app: &Client, output: Output) -> Result<(), Failure> {
    let view = get(&choose.service, app).await?;
    let signed = view.in_force.as_ref().filter(|_| view.offered.is_none()).ok_or_else(|| {
        Failure::new(Exit::Refused, "a new version waits for your decision, or none is in force")
            .next("look: vettid app contract show SERVICE")
    })?;
    let optional = choose.optional.fields(&signed.contract, &signed.acceptance.optional_fields_accepted);
    choose.fill.run(&signed.contract, &optional, &view.missing_fields, app, output).await?;
    let decide = decide(&view, signed.contract_hash.clone(), true, optional);
    Ok(output.result(&app.command::<ContractDecide>(decide).await.map_err(command)?)?)
}

fn decide(
    view: &ContractView,
    contract_hash: vettid_wire::base64::Base64Url,
    accept: bool,
    optional_fields: Vec<String>,
) -> DecideContract {
    DecideContract { connection_id: view.connection_id, contract_hash, accept, optional_fields }
}

impl Optional {
    /// What is agreed to: what was named, else what was agreed to before and is still optional.
    fn fields(&self, contract: &Contract, before: &[String]) -> Vec<String> {
        if self.no_optional {
            return Vec::new();
        }
        if !self.optional.is_empty() {
            return self.optional.clone();
        }
        let is_optional = |name: &&String| contract.field(name).is_some_and(|field| field.tier == Tier::Optional);
        before.iter().filter(is_optional).cloned().collect()
    }
}

/// The version that waits, if it is the one that was read.
fn offered(view: &ContractView, version: u64) -> Result<&vettid_wire::offer::OfferedContract, Failure> {
    let none = || Failure::new(Exit::Refused, "no new version waits for your decision");
    let offered = view.offered.as_ref().ok_or_else(none)?;
    if view.state == ConnectionState::Review {
        let id = view.connection_id;
        return Err(Failure::new(Exit::Refused, "you are not connected yet")
            .next(format!("decide about the connection: vettid app connection decide {id} --help")));
    }
    let waiting = offered.contract.contract_version;
    if waiting == version {
        Ok(offered)
    } else {
        Err(Failure::new(Exit::Refused, format_args!("version {waiting} waits for you, not version {version}"))
            .next("read it first: vettid app contract diff SERVICE"))
    }
}

async fn get(service: &Service, app: &Client) -> Result<ContractView, Failure> {
    let connection_id = connection(&service.service, app).await?;
    app.command::<ContractGet>(ConnectionRef { connection_id }).await.map_err(command)
}

/// The connection that a text names; one that is in use wins over those that are not.
pub(super) async fn connection(text: &str, app: &Client) -> Result<ConnectionId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let list = app.command::<ListRow>(Nothing {}).await.map_err(command)?;
    let named = |summary: &&ContractSummary| {
        let id = summary.service_id.as_ref().map(|service| service.as_str());
        id == Some(text) || summary.display_name.eq_ignore_ascii_case(text)
    };
    let all: Vec<_> = list.contracts.iter().filter(named).collect();
    let active: Vec<_> = all.iter().filter(|summary| summary.state == ConnectionState::Active).collect();
    match (active.as_slice(), all.as_slice()) {
        ([one], _) => Ok(one.connection_id),
        ([], [one]) => Ok(one.connection_id),
        ([], []) => Err(Failure::new(Exit::Refused, "there is no contract with a service of this name")
            .next("to see them: vettid app contract list")),
        _ => Err(Failure::usage("more than one connection has this name")
            .next("name the connection: vettid app contract list")),
    }
}
