//! Starts the product and its benches with a server at hand.

use crate::environment;
use crate::nats_server;
use crate::process;
use crate::report::say;
use crate::workspace::Workspace;
use anyhow::Context as _;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Builds `vettid` and becomes `vettid up`: signals and the exit code are the program's own. Returns only on failure.
pub(crate) fn up(release: bool, arguments: &[OsString]) -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    let server = nats_server::ensure(&workspace)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--package", "vettid", "--bin", "vettid"]).args(release.then_some("--release"));
    process::run(&mut build)?;
    let profile = if release { "release" } else { "debug" };
    let program = workspace.target_directory.join(profile).join("vettid");
    let error = Command::new(&program).args(["up", "--nats-server"]).arg(&server).args(arguments).exec();
    Err(error).with_context(|| format!("{} did not start", program.display()))
}

/// Runs every bench with these arguments.
pub(crate) fn bench(arguments: &[OsString]) -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    // Each bench is named: `--benches` would also run the unit tests' harness, which knows no bench arguments.
    let benches: Vec<&str> = workspace.benches().collect();
    if benches.is_empty() {
        say("bench: the workspace has no benches")?;
        return Ok(());
    }
    let server = nats_server::ensure(&workspace)?;
    let mut command = Command::new("cargo");
    command.args(["bench", "--workspace"]).args(benches.iter().flat_map(|bench| ["--bench", bench]));
    command.arg("--").args(arguments).env(environment::NATS_SERVER, server);
    process::run(&mut command)
}
