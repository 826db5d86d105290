//! The vettid binary: reads the command line and the environment once, runs one command, and turns its outcome into
//! text, JSON and a documented exit code.

mod app;
mod audit;
mod cli;
mod contract;
mod failure;
mod gateway;
mod host;
mod https;
mod memory;
mod output;
mod server_process;
mod services;
mod statement;
mod surroundings;
mod trust;
mod up;
mod verify;

use anyhow::Context as _;
use clap::Parser;
use cli::CommandLine;
use failure::Failure;
use output::Output;
use std::process::ExitCode;
use surroundings::Surroundings;
use tokio::runtime::Builder;
use zeroizing_alloc::ZeroAlloc;

/// Wipes every piece of memory that is given back: what readers, writers and maps copied of a vault is gone with it, too.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let (output, outcome) = match CommandLine::try_parse() {
        Ok(line) => {
            let output = Output::new(line.json);
            (output, run(line, output))
        }
        Err(error) if error.use_stderr() && asks_for_json() => (Output::new(true), Err(usage(&error))),
        Err(error) => error.exit(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // If even standard error is gone, the exit code still tells.
        Err(failure) => output.failure(&failure).map_or(ExitCode::FAILURE, |()| failure.exit().code().into()),
    }
}

/// Whether a script reads the output of a command line that does not parse.
fn asks_for_json() -> bool {
    std::env::args_os().any(|argument| argument == "--json")
}

/// After so many steps of tasks a thread looks for what arrived. A step of a vault takes long, so what arrives would wait behind many.
const LOOK_AFTER: u32 = 4;

fn usage(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    Failure::usage(line.trim_start_matches("error: ")).next("see --help")
}

fn run(line: CommandLine, output: Output) -> Result<(), Failure> {
    if line.is_host() {
        trust::do_without_the_machines_certificates();
    }
    memory::keep_off_the_disk().context("core dumps cannot be switched off")?;
    // Fails only if a provider is there already, which is then the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut runtime = if line.is_app() { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = runtime.enable_all().event_interval(LOOK_AFTER).build().context("the runtime does not start")?;
    runtime.block_on(line.run(&Surroundings::read(), output))
}
