//! The built check on a small workspace of its own: it passes when the rules hold, and fails on a planted violation.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn manifest(root: &Path, name: &str, dependencies: &str) {
    let text = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n"
    );
    write(root, &format!("crates/{name}/Cargo.toml"), &text);
    write(root, &format!("crates/{name}/src/lib.rs"), "//! A crate.\n");
}

fn small_workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
    manifest(folder.path(), "vettid-wire", "");
    manifest(folder.path(), "vettid-core", "vettid-wire = { path = \"../vettid-wire\" }");
    folder
}

fn layers(root: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).arg("layers").current_dir(root).output().unwrap()
}

#[test]
fn a_workspace_within_the_rules_passes() {
    let folder = small_workspace();
    let output = layers(folder.path());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_planted_arrow_fails() {
    let folder = small_workspace();
    manifest(folder.path(), "vettid-wire", "vettid-core = { path = \"../vettid-core\" }");
    manifest(folder.path(), "vettid-core", "");
    let output = layers(folder.path());
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("vettid-wire: must not use vettid-core"), "{text}");
}

#[test]
fn a_planted_file_access_fails() {
    let folder = small_workspace();
    write(folder.path(), "crates/vettid-core/src/lib.rs", "//! A crate.\nmod state;\n");
    write(folder.path(), "crates/vettid-core/src/state.rs", "//! State.\nuse std::fs::File;\n");
    let output = layers(folder.path());
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("crates/vettid-core/src/state.rs:2: `std::fs::File`"), "{text}");
}
