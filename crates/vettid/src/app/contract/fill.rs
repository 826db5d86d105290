//! What a contract asks for and your vault does not hold yet: stored in place. A value never stands on the command line.

use super::super::advice::command;
use super::super::{Client, input};
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use vettid_wire::contract::{Contract, Tier};
use vettid_wire::data::{SetField, is_field_name};
use vettid_wire::event::{DataSet, EventRow};

#[derive(Debug, Args)]
pub(in crate::app) struct Fill {
    /// Store a value first: FIELD=- reads it from standard input, FIELD=@FILE from a file
    #[arg(long, value_name = "FIELD=SOURCE", value_parser = source)]
    set: Vec<(String, Source)>,
    /// Ask for each value that is missing; an empty line leaves it out
    #[arg(long)]
    fill: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Input,
    File(String),
}

fn source(text: &str) -> Result<(String, Source), String> {
    let (name, from) = input::pair(text).map_err(|_| "FIELD=- or FIELD=@FILE".to_owned())?;
    if !is_field_name(&name) {
        return Err("a field is 1 to 64 of a-z, 0-9 and _".to_owned());
    }
    match (from.as_str(), from.strip_prefix('@')) {
        ("-", _) => Ok((name, Source::Input)),
        (_, Some(path)) if !path.is_empty() => Ok((name, Source::File(path.to_owned()))),
        _ => Err("a value never stands on the command line: FIELD=- or FIELD=@FILE".to_owned()),
    }
}

impl Fill {
    /// Whether values were given, or are to be asked for.
    pub(in crate::app) fn is_wanted(&self) -> bool {
        self.fill || !self.set.is_empty()
    }

    /// Stores what was given, then what is asked for and answered; tells what is still missing.
    pub(in crate::app) async fn run(
        &self,
        contract: &Contract,
        optional: &[String],
        missing: &[String],
        app: &Client,
        output: Output,
    ) -> Result<(), Failure> {
        if self.set.iter().filter(|(_, source)| *source == Source::Input).count() > 1 {
            return Err(Failure::usage("standard input holds one value").next("give the others as FIELD=@FILE"));
        }
        for (name, source) in &self.set {
            let path = match source {
                Source::Input => None,
                Source::File(path) => Some(Path::new(path)),
            };
            let text = input::text(path, DataSet::ROW.cap_bytes, &format!("Type the value of {name}"))?;
            store(name, text.strip_suffix('\n').unwrap_or(&text), app).await?;
        }
        let given = |name: &String| self.set.iter().any(|(set, _)| set == name);
        let agreed = |name: &String| {
            contract.field(name).is_some_and(|field| field.tier != Tier::Optional || optional.contains(name))
        };
        for name in missing.iter().filter(|name| !given(name) && agreed(name)) {
            if !(self.fill && self.ask(name, app).await?) {
                output.remark(&format!("{name} is not stored: vettid app data set {name}"))?;
            }
        }
        Ok(())
    }

    /// Whether a value was given.
    async fn ask(&self, name: &str, app: &Client) -> Result<bool, Failure> {
        if io::stdin().is_terminal() {
            write!(io::stderr(), "{name} (empty: leave it out): ")?;
        }
        let line = input::next_line()?;
        if line.is_empty() {
            return Ok(false);
        }
        store(name, &line, app).await?;
        Ok(true)
    }
}

async fn store(field: &str, text: &str, app: &Client) -> Result<(), Failure> {
    let request = SetField { field: field.to_owned(), value: text.into() };
    app.command::<DataSet>(request).await.map_err(command)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_stands_on_the_command_line() {
        assert_eq!(source("size=-"), Ok(("size".into(), Source::Input)));
        assert_eq!(source("size=@size.txt"), Ok(("size".into(), Source::File("size.txt".into()))));
        for wrong in ["size=42", "size=", "size", "size=@", "=-", "Size!=-"] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }
}
