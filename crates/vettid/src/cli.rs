//! The command line: which commands there are and which options they take. Each command lives with its noun.

#[cfg(test)]
mod examples;

use crate::failure::{EXIT_CODES, Failure};
use crate::output::Output;
use crate::surroundings::Surroundings;
use crate::{app, audit, gateway, host, services, up, verify};
use clap::{Parser, Subcommand};

/// VettID: your personal data vault.
#[derive(Debug, Parser)]
#[command(
    name = "vettid",
    version,
    disable_help_subcommand = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    /// Print exactly one JSON object (JSON Lines where there is more to come)
    #[arg(long, global = true, help_heading = "Options of every command")]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The member's app: your data, connections, messages and requests
    App(Box<app::Arguments>),
    /// Check an audit export offline
    Audit(audit::Arguments),
    /// Check the record of a request or transaction, or a statement about a service, offline
    Verify(verify::Arguments),
    /// Run the operator's services with their broker
    Services(services::Arguments),
    /// Run vaults
    Host(host::Arguments),
    /// Run a service's gateway, or call a running one
    Gateway(Box<gateway::Arguments>),
    /// Run everything on this machine: broker, services, two vaults and a demo shop
    Up(up::Arguments),
}

impl CommandLine {
    /// Whether this is the app, which does one thing after another: on one thread nothing waits for another to wake up.
    pub(crate) fn is_app(&self) -> bool {
        matches!(self.command, Command::App(_))
    }

    /// Whether it runs vaults.
    pub(crate) fn is_host(&self) -> bool {
        matches!(self.command, Command::Host(_))
    }

    /// Runs the command.
    pub(crate) async fn run(self, surroundings: &Surroundings, output: Output) -> Result<(), Failure> {
        match self.command {
            Command::App(arguments) => app::run(*arguments, surroundings, output).await,
            Command::Audit(arguments) => audit::run(&arguments, output),
            Command::Verify(arguments) => verify::run(&arguments, output),
            Command::Services(arguments) => services::run(arguments, output).await,
            Command::Host(arguments) => host::run(arguments).await,
            Command::Gateway(arguments) => gateway::run(*arguments, output).await,
            Command::Up(arguments) => up::run(arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }

    /// One of 64 does.
    #[test]
    fn a_fingerprint_may_begin_with_a_hyphen() {
        let fingerprint = format!("-{}", "A".repeat(42));
        for words in [
            ["verify", "record.json", "--party", &fingerprint].as_slice(),
            &["audit", "verify", "export.jsonl", "--vault", &fingerprint],
            &["app", "registry", "trust", &fingerprint],
        ] {
            let parsed = CommandLine::try_parse_from(std::iter::once(&"vettid").chain(words));
            assert!(parsed.is_ok(), "{words:?}: {:?}", parsed.err());
        }
    }
}
