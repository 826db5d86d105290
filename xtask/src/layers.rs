//! Who may use whom. The rules are one table; the check is a pure function over manifests and sources.

mod check;
mod table;

use crate::report;
use crate::source::Source;
use crate::workspace::{Dependency, Package, Workspace};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace that a crate belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// The product.
    Product,
    /// `handlers/`: the components that the sandbox runs.
    Components,
}

/// A crate as the rules see it.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Its name.
    pub name: String,
    /// Its workspace.
    pub area: Area,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
    /// Names of its libraries, binaries, tests and benches.
    pub targets: Vec<String>,
    /// Its Rust files, with paths relative to the root of the tree.
    pub sources: Vec<Source>,
}

/// Checks the workspace of the current folder.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::current()?;
    let mut crates = read(&workspace, Area::Product, &workspace.root)?;
    if let Some(manifest) = workspace.handlers_manifest() {
        crates.extend(read(&Workspace::at(&manifest)?, Area::Components, &workspace.root)?);
    }
    let files: usize = crates.iter().map(|member| member.sources.len()).sum();
    report::conclude(
        &check::check(&crates),
        format_args!("layers: {} crates, {files} files, every arrow allowed", crates.len()),
    )
}

fn read(workspace: &Workspace, area: Area, root: &Path) -> anyhow::Result<Vec<Crate>> {
    workspace.packages.iter().map(|package| read_crate(package, area, root)).collect()
}

fn read_crate(package: &Package, area: Area, root: &Path) -> anyhow::Result<Crate> {
    let folder = package.manifest_path.parent().context("a manifest lies in no folder")?;
    let mut files = Vec::new();
    rust_files(folder, &mut files)?;
    let sources = files.iter().map(|file| read_source(file, root)).collect::<anyhow::Result<_>>()?;
    let targets = package.targets.iter().map(|target| target.name.clone()).collect();
    Ok(Crate { name: package.name.clone(), area, dependencies: package.dependencies.clone(), targets, sources })
}

fn read_source(file: &Path, root: &Path) -> anyhow::Result<Source> {
    let text = fs::read_to_string(file).with_context(|| format!("{} is not readable", file.display()))?;
    let path = file.strip_prefix(root).unwrap_or(file);
    Source::parse(path, text).map_err(|finding| anyhow::anyhow!("{finding}"))
}

/// All Rust files of a crate; build folders and crates inside the crate are not its own.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} is not readable", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" && !path.join("Cargo.toml").exists() {
                rust_files(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}
