//! Development tasks: set-up, run, test, layers, tidy, deny and bench. Never shipped, and no crate uses it.

mod breached_passwords;
mod deny;
mod environment;
mod layers;
mod nats_server;
mod process;
mod report;
mod room;
mod source;
mod stages;
mod start;
mod tidy;
mod wheel;
mod workspace;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Development tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// A task.
#[derive(Debug, Subcommand)]
enum Task {
    /// Build everything and start it: server, services, vaults.
    Up {
        /// Build with optimisation; stands before the arguments for `vettid up`.
        #[arg(long)]
        release: bool,
        /// Arguments for `vettid up`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Everything that a change has to pass.
    Test {
        /// Run one stage only.
        #[arg(long, value_name = "STAGE")]
        only: Option<stages::Stage>,
    },
    /// Check the arrows between the crates, and what each may touch.
    Layers,
    /// Check the shape of the tree against its ratchets.
    Tidy,
    /// Check licences, banned crates, sources and advisories of the dependencies.
    Deny,
    /// Make a nats-server available and say where it is.
    NatsServer {
        /// Print the path and nothing else.
        #[arg(long)]
        print: bool,
    },
    /// Make the list of breached passwords anew from its pinned source.
    BreachedPasswords,
    /// Run all benches.
    Bench {
        /// Arguments for the benches.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Up { release, arguments } => start::up(release, &arguments),
        Task::Test { only } => stages::run(only),
        Task::Layers => layers::run(),
        Task::Tidy => tidy::run(),
        Task::Deny => deny::run(),
        Task::NatsServer { print } => nats_server::run(print),
        Task::BreachedPasswords => breached_passwords::run(),
        Task::Bench { arguments } => start::bench(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_of_the_product_are_passed_on_untouched() {
        for line in [
            vec!["xtask", "up", "--release", "--demo", "--data", "a"],
            vec!["xtask", "up", "--release", "--", "--demo", "--data", "a"],
        ] {
            let Task::Up { release, arguments } = Arguments::parse_from(line).task else { panic!("another task") };
            assert!(release);
            assert_eq!(arguments, ["--demo", "--data", "a"]);
        }
    }
}
