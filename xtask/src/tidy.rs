//! The shape of the tree, held by ratchets: each measure has an allowed maximum in `xtask/tidy.toml`, and the numbers
//! there only ever go down.

mod measure;
mod metric;
mod ratchet;

use crate::process;
use crate::report::{self, Finding, say};
use crate::workspace::Workspace;
use anyhow::Context as _;
use measure::Measure;
use ratchet::Ratchet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RATCHET_FILE: &str = "xtask/tidy.toml";

/// A file of the tree that git tracks or would track.
#[derive(Debug)]
struct TreeFile {
    /// Relative to the root.
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Checks the tree of the current workspace.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = Workspace::current()?.root;
    let files = tree(&root)?;
    let text =
        fs::read_to_string(root.join(RATCHET_FILE)).with_context(|| format!("{RATCHET_FILE} is not readable"))?;
    let ratchet = Ratchet::parse(&text)?;
    let (measures, mut findings) = measure::all(&files);
    findings.extend(ratchet::broken(&measures, &ratchet));
    findings.extend(raised(&root, &ratchet)?);
    remark(&measures, &ratchet)?;
    report::conclude(&findings, format_args!("tidy: {} files in shape", files.len()))
}

/// Remarks that do not fail: what is rather long, and which numbers could go down.
fn remark(measures: &[Measure], ratchet: &Ratchet) -> anyhow::Result<()> {
    for warning in ratchet::warnings(measures) {
        say(warning)?;
    }
    for hint in ratchet::hints(measures, ratchet) {
        say(hint)?;
    }
    Ok(())
}

/// Numbers that are above those of the last two commits.
fn raised(root: &Path, ratchet: &Ratchet) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for revision in ["HEAD", "HEAD~1"] {
        let output =
            git(root).args(["show", &format!("{revision}:{RATCHET_FILE}")]).output().context("git did not start")?;
        if output.status.success() {
            let text = String::from_utf8(output.stdout)
                .with_context(|| format!("{RATCHET_FILE} at {revision} is not text"))?;
            findings.extend(ratchet.above(&Ratchet::parse(&text)?, revision));
        }
    }
    Ok(findings)
}

fn tree(root: &Path) -> anyhow::Result<Vec<TreeFile>> {
    let list = process::output(git(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let mut paths: Vec<PathBuf> = list.split_terminator('\0').map(PathBuf::from).collect();
    paths.sort();
    paths.dedup();
    // A tracked file that was just deleted is not in the tree any more; a link points at a file that is listed itself.
    paths.retain(|path| root.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
    paths.into_iter().map(|path| read(root, path)).collect()
}

fn read(root: &Path, path: PathBuf) -> anyhow::Result<TreeFile> {
    let bytes = fs::read(root.join(&path)).with_context(|| format!("{} is not readable", path.display()))?;
    Ok(TreeFile { path, bytes })
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root);
    command
}
