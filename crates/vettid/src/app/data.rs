//! `vettid app data`: personal data, field by field.

use super::advice::command;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use vettid_wire::data::{
    FieldList, FieldName, FieldView, HeldList, HeldValue, Keep, ListHeld, SetField, is_field_name,
};
use vettid_wire::event::{DataGet, DataHeld, DataList, DataRemove, DataSet, EventRow, Nothing};
use vettid_wire::id::ConnectionId;
use vettid_wire::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store a field; the value comes from standard input or a file, never from the command line
    #[command(after_help = "\
Examples:
  echo 'Unter den Linden 1, Berlin' | vettid app data set address
  vettid app data set address --value-file address.json --format json")]
    Set(Set),
    /// Show a field
    #[command(after_help = "Example:\n  vettid app data get address")]
    Get(Field),
    /// List the names of your fields
    #[command(after_help = "Example:\n  vettid app data list")]
    List,
    /// Remove a field for good
    #[command(after_help = "Example:\n  vettid app data remove address")]
    Remove(Field),
    /// Show what services were given and how long they may keep it
    #[command(after_help = "\
Examples:
  vettid app data held
  vettid app data held --connection 018f6b1e-7c1a-7000-8000-000000000001 --json")]
    Held(Held),
}

#[derive(Debug, Args)]
pub(super) struct Held {
    /// Only what this connection was given
    #[arg(long, value_name = "ID")]
    connection: Option<ConnectionId>,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    field: Field,
    /// Read the value from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    /// What the value is; of a text, the last line end is left out
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Field {
    /// Name of the field: a-z, 0-9 and _
    #[arg(value_name = "FIELD", value_parser = field_name)]
    name: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn field_name(text: &str) -> Result<String, &'static str> {
    if is_field_name(text) { Ok(text.to_owned()) } else { Err("1 to 64 of a-z, 0-9 and _") }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Set(set) => {
            let value = set.value()?;
            let request = SetField { field: set.field.name, value };
            let stored = app.command::<DataSet>(request).await.map_err(command)?;
            output.result(&Stored { field: stored.field, updated_at: stored.updated_at })?;
        }
        Command::Get(Field { name }) => {
            output.result(&app.command::<DataGet>(FieldName { field: name }).await.map_err(command)?)?;
        }
        Command::List => output.result(&app.command::<DataList>(Nothing {}).await.map_err(command)?)?,
        Command::Remove(Field { name }) => {
            app.command::<DataRemove>(FieldName { field: name.clone() }).await.map_err(command)?;
            output.result(&Removed { removed: name })?;
        }
        Command::Held(Held { connection }) => {
            let request = ListHeld { connection_id: connection };
            output.result(&app.command::<DataHeld>(request).await.map_err(command)?)?;
        }
    }
    Ok(())
}

impl Set {
    fn value(&self) -> Result<Value, Failure> {
        let prompt = format!("Type the value of {}", self.field.name);
        let text = input::text(self.value_file.as_deref(), DataSet::ROW.cap_bytes, &prompt)?;
        match self.format {
            Format::Text => Ok(Value::from(text.strip_suffix('\n').unwrap_or(&text))),
            Format::Json => json::parse(text.as_bytes()).map_err(|error| {
                Failure::usage(error).next("numbers are whole numbers; leave out --format json for a text")
            }),
        }
    }
}

#[derive(Serialize)]
struct Stored {
    field: String,
    updated_at: vettid_wire::time::Timestamp,
}

impl Show for Stored {
    fn show(&self, page: &mut Page) {
        page.line(format!("Stored {}.", self.field));
    }
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format!("Removed {}.", self.removed));
    }
}

impl Show for FieldView {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} (changed {})", self.field, minute(self.updated_at)));
        match &self.value {
            Value::String(text) => page.block(text),
            value => page.block(&format!("{value:#}")),
        }
    }
}

impl Show for FieldList {
    fn show(&self, page: &mut Page) {
        if self.fields.is_empty() {
            page.line("No data yet.");
            page.next("To store a field", "vettid app data set FIELD");
            return;
        }
        let rows: Vec<_> = self.fields.iter().map(|field| [field.field.clone(), minute(field.updated_at)]).collect();
        page.table(["FIELD", "CHANGED"], &rows);
    }
}

impl Show for HeldList {
    fn show(&self, page: &mut Page) {
        if self.held.is_empty() {
            page.line("No service was given anything yet.");
            return;
        }
        let row =
            |held: &HeldValue| [held.connection_id.to_string(), held.field.clone(), minute(held.served_at), kept(held)];
        let rows: Vec<_> = self.held.iter().map(row).collect();
        page.table(["CONNECTION", "FIELD", "GIVEN", "MAY BE KEPT"], &rows);
    }
}

fn kept(held: &HeldValue) -> String {
    match (held.ended_at, held.keep) {
        (Some(ended_at), _) => format!("no longer, since {}", minute(ended_at)),
        (None, Keep::Session { until } | Keep::TimeLimited { until }) => format!("until {}", minute(until)),
        (None, Keep::UntilRevoked) => "until the connection ends".to_owned(),
    }
}
