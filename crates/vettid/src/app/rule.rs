//! `vettid app rule`: the member's automation. A rule is typed in words and shown as a sentence; the vault alone decides
//! whether it is sound.

mod options;
mod view;

use super::Client;
use super::advice::command;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use clap::{Args, Subcommand};
use options::Conditions;
use serde::Serialize;
use vettid_wire::connection::{ConnectionState, ConnectionView, ListConnections};
use vettid_wire::event::{self, ConnectionList, Nothing, RuleRemove, RuleSet};
use vettid_wire::id::{ConnectionId, RuleId};
use vettid_wire::rule::{
    MAX_TEST_DAYS, RuleOutcome, RuleProblem, RuleRef, RuleStored, RuleView, RulesTested, SetRule, TestRules,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store a rule, or change the one with the same name
    #[command(after_help = "\
Examples:
  vettid app rule add shop-logins allow login --from Shop --hours 08:00-20:00 --utc +01:00 \\
    --at-most 3/day
  vettid app rule add no-phone deny data --field phone
  vettid app rule add busy ask --from Shop --beyond 20/hour

Deny wins over ask, and ask over allow; without a rule you are asked. A rule never gives more than the contract.
A rule that allows names a connection and an event, and for data a field. Try it first: vettid app rule test --help")]
    Add(Add),
    /// List your rules
    #[command(after_help = "Example:\n  vettid app rule list")]
    List,
    /// Show one rule, also as the policy that your vault goes by
    #[command(after_help = "Example:\n  vettid app rule show shop-logins")]
    Show(One),
    /// Remove a rule
    #[command(after_help = "Example:\n  vettid app rule remove shop-logins")]
    Remove(One),
    /// Say what your rules would have decided for past events; changes nothing
    #[command(after_help = "\
Examples:
  vettid app rule test --days 30
  vettid app rule test --days 30 --name shop-logins --outcome allow --event login --from Shop \\
    --at-most 3/day")]
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Name of the rule: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    name: RuleId,
    /// What happens
    #[arg(value_name = "OUTCOME", value_parser = options::outcome)]
    outcome: RuleOutcome,
    /// With which events; left out: with all
    #[arg(value_name = "EVENT", value_parser = options::event)]
    event: Option<event::EventType>,
    #[command(flatten)]
    conditions: Conditions,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// Name of the rule
    #[arg(value_name = "NAME")]
    name: RuleId,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// How many days back
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TEST_DAYS)))]
    days: u32,
    /// Try one more rule of this name, or in the place of the one with this name
    #[arg(long, value_name = "NAME", requires = "outcome")]
    name: Option<RuleId>,
    /// What that rule does
    #[arg(long, value_name = "OUTCOME", requires = "name", value_parser = options::outcome)]
    outcome: Option<RuleOutcome>,
    /// With which events
    #[arg(long, value_name = "EVENT", requires = "name", value_parser = options::event)]
    event: Option<event::EventType>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Add(add) => store(add, app, output).await,
        Command::List => Ok(output.result(&app.command::<event::RuleList>(Nothing {}).await.map_err(command)?)?),
        Command::Show(One { name }) => Ok(output.result(&find(name, app).await?)?),
        Command::Remove(One { name }) => {
            app.command::<RuleRemove>(RuleRef { rule_id: name.clone() }).await.map_err(command)?;
            Ok(output.result(&Removed { removed: name })?)
        }
        Command::Test(test) => try_on_past(test, app, output).await,
    }
}

async fn store(add: Add, app: &Client, output: Output) -> Result<(), Failure> {
    let connection = connection(add.conditions.from.as_deref(), app).await?;
    let rule = add.conditions.rule(add.name, add.outcome, add.event, connection)?;
    match app.command::<RuleSet>(SetRule { rule }).await.map_err(command)? {
        RuleStored::Stored(view) => Ok(output.result(&Stored { stored: *view })?),
        RuleStored::Invalid(problem) => Err(not_sound(&problem)),
    }
}

async fn find(name: RuleId, app: &Client) -> Result<RuleView, Failure> {
    let list = app.command::<event::RuleList>(Nothing {}).await.map_err(command)?;
    let found = list.rules.into_iter().find(|view| view.rule.rule_id == name);
    found.ok_or_else(|| {
        Failure::new(Exit::Refused, "there is no rule of this name").next("to see them: vettid app rule list")
    })
}

async fn try_on_past(test: Test, app: &Client, output: Output) -> Result<(), Failure> {
    let with = match test.name.zip(test.outcome) {
        Some((name, outcome)) => {
            let connection = connection(test.conditions.from.as_deref(), app).await?;
            Some(test.conditions.rule(name, outcome, test.event, connection)?)
        }
        None if test.conditions.is_empty() => None,
        None => return Err(Failure::usage("to try a rule, give it a --name and an --outcome")),
    };
    let tested = app.command::<event::RuleTest>(TestRules { days: test.days, with }).await.map_err(command)?;
    match tested {
        RulesTested::Tested(report) => Ok(output.result(&report)?),
        RulesTested::Invalid(problem) => Err(not_sound(&problem)),
    }
}

fn not_sound(problem: &RuleProblem) -> Failure {
    Failure::new(Exit::Refused, &problem.reason).next("nothing was changed; see: vettid app rule add --help")
}

/// The connection that the member means: by its id, or by a name that only one active connection has.
async fn connection(wanted: Option<&str>, app: &Client) -> Result<Option<ConnectionId>, Failure> {
    let Some(wanted) = wanted else { return Ok(None) };
    if let Ok(id) = wanted.parse() {
        return Ok(Some(id));
    }
    let asked = ListConnections { text: Some(wanted.to_owned()), ..ListConnections::default() };
    let list = app.command::<ConnectionList>(asked).await.map_err(command)?;
    one_named(wanted, &list.connections).map(Some)
}

fn one_named(wanted: &str, connections: &[ConnectionView]) -> Result<ConnectionId, Failure> {
    let is_meant = |connection: &&ConnectionView| {
        let service = connection.service_id.as_ref().map(|id| id.as_str());
        let names = [Some(connection.display_name.as_str()), connection.label.as_deref(), service];
        connection.state == ConnectionState::Active && names.contains(&Some(wanted))
    };
    let mut meant = connections.iter().filter(is_meant);
    let failure = match (meant.next(), meant.next()) {
        (Some(one), None) => return Ok(one.connection_id),
        (None, _) => Failure::usage(format_args!("no active connection has the name {wanted}")),
        (Some(_), Some(_)) => Failure::usage(format_args!("more than one connection has the name {wanted}")),
    };
    Err(failure.next("name it by its id, from: vettid app connection list"))
}

#[derive(Serialize)]
struct Stored {
    stored: RuleView,
}

#[derive(Serialize)]
struct Removed {
    removed: RuleId,
}
