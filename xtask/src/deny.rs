//! Licences, banned crates, sources and advisories of the dependency tree, through cargo-deny and `deny.toml`.
//! What could not be checked is said in one plain line; only a missing tool or database lets the task go on.

use crate::environment;
use crate::process;
use crate::report::say;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "cargo-deny";
const VERSION: &str = "0.20.2";

/// Checks the product's dependencies and those of the handler components.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    let Some(program) = find_or_install(&workspace.tools())? else {
        say(format_args!(
            "deny: not checked: licences, bans, sources, advisories ({PROGRAM} is not here and could not be installed)"
        ))?;
        return Ok(());
    };
    let with_advisories = fetch_advisories(&program)?;
    check(&program, &workspace.root.join("Cargo.toml"), &[], with_advisories)?;
    if let Some(manifest) = workspace.handlers_manifest() {
        // The components use fewer licences than the allow-list, which is the product's.
        check(&program, &manifest, &["--allow", "license-not-encountered"], with_advisories)?;
    }
    Ok(())
}

/// One on the PATH, else our own, else a new one of our own.
fn find_or_install(tools: &Path) -> anyhow::Result<Option<PathBuf>> {
    let own = tools.join("bin").join(PROGRAM);
    let known = environment::program(PROGRAM).into_iter().chain([own.clone()]);
    if let Some(program) = known.into_iter().find(|program| process::succeeds(Command::new(program).arg("--version"))) {
        return Ok(Some(program));
    }
    say(format_args!("deny: installing {PROGRAM} {VERSION} into {} (once; some minutes)", tools.display()))?;
    let mut install = Command::new("cargo");
    install.args(["install", "--locked", "--version", VERSION, PROGRAM, "--root"]).arg(tools);
    Ok(process::run(&mut install).is_ok().then_some(own))
}

/// Whether the advisory database is here; says so if it is not.
fn fetch_advisories(program: &Path) -> anyhow::Result<bool> {
    let fetched = process::succeeds(Command::new(program).args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0"));
    if !fetched {
        say("deny: not checked: advisories (the advisory database could not be fetched)")?;
    }
    Ok(fetched)
}

fn check(program: &Path, manifest: &Path, options: &[&str], with_advisories: bool) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("--manifest-path").arg(manifest).arg("check").args(options).args(["licenses", "bans", "sources"]);
    if with_advisories {
        command.arg("advisories");
    }
    process::run(&mut command)
}
