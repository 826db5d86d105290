//! The components of `handlers/`: built from this tree before they are read, never skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the components are made of.
const SOURCES: [&str; 6] =
    ["Cargo.toml", "crates/vettid-wire", "crates/vettid-handler", "crates/vettid-handlers", "handlers", "scripts"];

/// The bytes of a component.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let file = root().join("handlers/dist").join(format!("{name}.wasm"));
    build_if_older_than_its_sources();
    fs::read(&file).unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn build_if_older_than_its_sources() {
    fs::create_dir_all(root().join("handlers/target")).unwrap();
    let lock = File::create(root().join("handlers/target/test.lock")).unwrap();
    lock.lock().unwrap();
    let newest = SOURCES.iter().filter_map(|source| newest_change(&root().join(source))).max();
    let built = fs::metadata(root().join("handlers/dist/SHA256SUMS")).and_then(|sums| sums.modified()).ok();
    if built < newest {
        let script = root().join("scripts/build-handlers.sh");
        let status = Command::new(&script).status().unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        assert!(status.success(), "{} failed", script.display());
    }
}

fn newest_change(path: &Path) -> Option<SystemTime> {
    let name = path.file_name()?;
    if name == "target" || name == "dist" || name == "tests" {
        return None;
    }
    if path.is_dir() {
        return fs::read_dir(path).unwrap().filter_map(|entry| newest_change(&entry.unwrap().path())).max();
    }
    Some(fs::metadata(path).unwrap().modified().unwrap())
}
