//! Finds the `nats-server` that tests run: the one that is named, one on the PATH, a fetched one, or one that the task
//! `nats-server` fetches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

const PROGRAM: &str = "nats-server";
const MINIMUM: (u32, u32) = (2, 12);

/// The server's program.
///
/// # Errors
/// If there is none and none can be fetched.
pub fn nats_server() -> anyhow::Result<PathBuf> {
    if let Some(named) = variable("VETTID_NATS_SERVER") {
        return Ok(named.into());
    }
    if let Some(program) = all_on_path(PROGRAM).into_iter().find(|program| is_new_enough(program)) {
        return Ok(program);
    }
    match fetched(&workspace().join("target").join("tools")).into_iter().find(|program| is_new_enough(program)) {
        Some(program) => Ok(program),
        None => fetch(),
    }
}

/// Where a program lies on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).into_iter().find(|program| program.is_file())
}

fn all_on_path(name: &str) -> Vec<PathBuf> {
    let all = variable("PATH").map(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).collect());
    all.unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their tools lie")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Every file of that name below a folder.
fn fetched(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let below = |path: PathBuf| {
        if path.is_dir() { fetched(&path) } else { vec![path] }
    };
    let files = entries.flatten().flat_map(|entry| below(entry.path()));
    files.filter(|path| path.file_name().is_some_and(|name| name == PROGRAM)).collect()
}

fn is_new_enough(program: &Path) -> bool {
    let Ok(output) = Command::new(program).arg("--version").output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.trim().rsplit_once('v').map(|(_, number)| number.to_owned()).unwrap_or_default();
    let mut parts = number.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= MINIMUM)
}

fn fetch() -> anyhow::Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["xtask", "nats-server", "--print"])
        .current_dir(workspace())
        .output()
        .context("cargo xtask nats-server does not run")?;
    if !output.status.success() {
        bail!("cargo xtask nats-server: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().map(|line| PathBuf::from(line.trim())).context("cargo xtask nats-server printed no path")
}
