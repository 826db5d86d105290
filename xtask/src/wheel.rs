//! Fetches a pinned Python package with the machine's own pip, and checks hashes.
//! Never unpacks what the caller has not named with its version.

use crate::process;
use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether this machine has what fetching needs.
pub(crate) fn can_fetch() -> bool {
    process::succeeds(python().args(["-m", "pip", "--version"]))
}

/// Fetches one package of one version into a folder; its hash is the caller's to check.
pub(crate) fn fetch(folder: &Path, package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let download =
        ["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest"];
    let requirement = format!("{package}=={version}");
    // Standard output is for the path alone.
    process::run(python().args(download).arg(folder).arg(requirement).stdout(Stdio::from(io::stderr())))?;
    only_wheel(folder)
}

/// Unpacks a wheel into a folder.
pub(crate) fn unpack(wheel: &Path, folder: &Path) -> anyhow::Result<()> {
    process::run(python().args(["-m", "zipfile", "--extract"]).arg(wheel).arg(folder))
}

/// Fails unless a file has the SHA-256 that is wanted, in hex.
pub(crate) fn check_hash(file: &Path, wanted: &str) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} is not readable", file.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != wanted {
        bail!("{} has SHA-256 {found}, not the pinned {wanted}", file.display());
    }
    Ok(())
}

fn only_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut wheels =
        entries.iter().map(fs::DirEntry::path).filter(|path| path.extension().is_some_and(|end| end == "whl"));
    wheels.next().with_context(|| format!("pip left no wheel in {}", folder.display()))
}

fn python() -> Command {
    Command::new("python3")
}
