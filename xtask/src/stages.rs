//! Everything that a change has to pass, stage by stage; stops at the first failure and says how to repeat it.

mod browser;
mod databases;
mod packages;
mod sealers;
mod tests_stage;

use crate::process;
use crate::report::say;
use crate::workspace::Workspace;
use crate::{deny, layers, room, tidy};
use anyhow::Context as _;
use clap::ValueEnum;
use std::process::Command;
use std::time::{Duration, Instant};
use tests_stage::Counts;

/// A stage, in the order in which they run: quick ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// The source is formatted.
    Format,
    /// The arrows between crates are those of the design.
    Layers,
    /// The shape of the tree is within its ratchets.
    Tidy,
    /// The compiler and clippy have nothing to say.
    Clippy,
    /// Licences, bans, sources and advisories of the dependencies.
    Deny,
    /// The handler components build.
    Handlers,
    /// The sealers work with a token and a TPM in software.
    Sealers,
    /// A member logs in with a real browser.
    Browser,
    /// The state of a gateway works in PostgreSQL.
    Databases,
    /// All tests pass, with a real server.
    Tests,
}

/// Runs all stages, or one.
pub(crate) fn run(only: Option<Stage>) -> anyhow::Result<()> {
    let chosen: Vec<Stage> =
        Stage::value_variants().iter().copied().filter(|stage| only.is_none_or(|only| only == *stage)).collect();
    room::say_free()?;
    let mut done = Vec::new();
    let mut counts = None;
    for stage in chosen {
        say(format_args!("\n=== {}", stage.name()))?;
        let start = now();
        let result = stage.run();
        let took = start.elapsed();
        match result {
            Ok(counted) => counts = counts.or(counted),
            Err(error) => {
                done.push((stage, took, "failed"));
                summary(&done)?;
                return Err(room::explained(error)).with_context(|| {
                    format!("stage {0} failed; repeat it with: cargo xtask test --only {0}", stage.name())
                });
            }
        }
        say(format_args!("=== {} passed in {:.1} s", stage.name(), took.as_secs_f64()))?;
        done.push((stage, took, "passed"));
    }
    summary(&done)?;
    counts.map_or(Ok(()), |counts| Ok(say(counts)?))
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Runs the stage; the tests also give their counts.
    fn run(self) -> anyhow::Result<Option<Counts>> {
        match self {
            Self::Format => format()?,
            Self::Layers => layers::run()?,
            Self::Tidy => tidy::run()?,
            Self::Clippy => clippy()?,
            Self::Deny => deny::run()?,
            Self::Handlers => handlers()?,
            Self::Sealers => sealers::run()?,
            Self::Browser => browser::run()?,
            Self::Databases => databases::run()?,
            Self::Tests => return tests_stage::run().map(Some),
        }
        Ok(None)
    }
}

#[expect(clippy::disallowed_methods, reason = "a stage is timed for the person who waits for it")]
fn now() -> Instant {
    Instant::now()
}

fn format() -> anyhow::Result<()> {
    process::run(Command::new("cargo").args(["fmt", "--all", "--check"]))?;
    match Workspace::current()?.handlers_manifest() {
        Some(manifest) => {
            process::run(Command::new("cargo").args(["fmt", "--all", "--check", "--manifest-path"]).arg(manifest))
        }
        None => Ok(()),
    }
}

fn clippy() -> anyhow::Result<()> {
    process::run(Command::new("cargo").args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// The components that tests load are built from this tree.
fn handlers() -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    if workspace.handlers_manifest().is_none() {
        say("handlers: the tree has none")?;
        return Ok(());
    }
    process::run(Command::new("scripts/build-handlers.sh").arg("handlers").current_dir(&workspace.root))
}

fn summary(done: &[(Stage, Duration, &str)]) -> anyhow::Result<()> {
    say("\nstage       seconds  result")?;
    for (stage, took, result) in done {
        say(format_args!("{:<10} {:>8.1}  {result}", stage.name(), took.as_secs_f64()))?;
    }
    Ok(())
}
