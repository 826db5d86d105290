//! The built check on a small repository of its own: it passes when all is in shape, fails on planted violations, and
//! does not let a number of the ratchet go up.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const RATCHET: &str = include_str!("../tidy.toml");

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn git(root: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").current_dir(root).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn small_repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    write(folder.path(), "Cargo.toml", "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    write(folder.path(), "src/lib.rs", "//! A small crate.\n");
    write(folder.path(), "xtask/tidy.toml", RATCHET);
    folder
}

fn tidy(root: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").current_dir(root).output().unwrap()
}

fn assert_finds(root: &Path, wanted: &str) {
    let output = tidy(root);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && text.contains(wanted), "{text}");
}

#[test]
fn a_tree_in_shape_passes_and_ignored_files_do_not_count() {
    let folder = small_repository();
    write(folder.path(), ".gitignore", "/target\nCargo.lock\n");
    write(folder.path(), "target/debug/made.rs", "fn no_head() {}\n");
    let output = tidy(folder.path());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_new_file_counts_before_it_is_tracked() {
    let folder = small_repository();
    write(folder.path(), "src/new.rs", "fn no_head() {}\n");
    assert_finds(folder.path(), "src/new.rs: does not say");
}

#[test]
fn a_file_that_grew_too_long_is_found() {
    let folder = small_repository();
    write(folder.path(), "src/long.rs", &"//! Head.\n".repeat(601));
    assert_finds(folder.path(), "src/long.rs: has 601 lines");
}

#[test]
fn a_number_of_the_ratchet_cannot_be_raised() {
    let folder = small_repository();
    write(folder.path(), "xtask/tidy.toml", &RATCHET.replace("file_lines = 600", "file_lines = 10"));
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "lower"]);
    assert!(tidy(folder.path()).status.success());
    write(folder.path(), "xtask/tidy.toml", &RATCHET.replace("file_lines = 600", "file_lines = 11"));
    assert_finds(folder.path(), "`file_lines` was raised from 10 (HEAD) to 11");
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "raise"]);
    assert_finds(folder.path(), "`file_lines` was raised from 10 (HEAD~1) to 11");
}
