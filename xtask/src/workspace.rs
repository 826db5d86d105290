//! The cargo workspace as `cargo metadata` describes it. Reads manifests only; resolves nothing.

use crate::process;
use anyhow::Context as _;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A workspace and its members.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder of the workspace manifest.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Where cargo builds; tools that the tasks fetch lie in `tools` below it.
    pub target_directory: PathBuf,
    /// The members.
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Name in the manifest.
    pub name: String,
    /// Its manifest.
    pub manifest_path: PathBuf,
    /// Everything the manifest names, of every kind and for every target.
    pub dependencies: Vec<Dependency>,
    /// Libraries, binaries, tests and benches.
    pub targets: Vec<Target>,
}

/// A dependency as the manifest names it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The real name of the package, also where the manifest renames it.
    pub name: String,
    /// Whether it is linked, used by tests, or by the build script.
    #[serde(default, deserialize_with = "kind")]
    pub kind: Kind,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Linked.
    #[default]
    Normal,
    /// Tests and benches only.
    Dev,
    /// Build script only.
    Build,
}

/// One thing that cargo builds from a package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `bin`, `test`, `bench`, ….
    pub kind: Vec<String>,
}

/// Cargo says `null` for a normal dependency.
fn kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    Ok(Option::<Kind>::deserialize(deserializer)?.unwrap_or_default())
}

impl Workspace {
    /// The workspace of the current folder.
    pub(crate) fn current() -> anyhow::Result<Self> {
        Self::describe(&mut metadata())
    }

    /// The workspace of a manifest.
    pub(crate) fn at(manifest: &Path) -> anyhow::Result<Self> {
        Self::describe(metadata().arg("--manifest-path").arg(manifest))
    }

    fn describe(command: &mut Command) -> anyhow::Result<Self> {
        serde_json::from_str(&process::output(command)?).context("cargo metadata gave an unknown form")
    }

    /// The separate workspace of the handler components, if the tree has it.
    pub(crate) fn handlers_manifest(&self) -> Option<PathBuf> {
        Some(self.root.join("handlers/Cargo.toml")).filter(|manifest| manifest.is_file())
    }

    /// Where fetched tools lie.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target_directory.join("tools")
    }

    /// The names of all bench targets.
    pub(crate) fn benches(&self) -> impl Iterator<Item = &str> {
        self.packages
            .iter()
            .flat_map(|package| &package.targets)
            .filter(|target| target.kind.iter().any(|kind| kind == "bench"))
            .map(|target| target.name.as_str())
    }
}

fn metadata() -> Command {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    command
}
