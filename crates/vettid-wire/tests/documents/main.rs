//! The documents of the tree tell what the code does: the table of events and the index of decisions are made from what
//! is there, the standard names every subject and refusal, and no document points at something that is not there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails stops there")]

mod decisions;
mod events;
mod links;
mod standard;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Holds a generated document to its wanted text; with `UPDATE_DOCS=1` writes it.
fn assert_written(path: &str, wanted: &str) {
    let file = root().join(path);
    if update_wanted() {
        fs::write(&file, wanted).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let command = "UPDATE_DOCS=1 cargo nextest run -p vettid-wire --test documents";
    assert!(committed == wanted, "{path} is out of date: {command}");
}

#[expect(clippy::disallowed_methods, reason = "a person asks for the documents to be written")]
fn update_wanted() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}
