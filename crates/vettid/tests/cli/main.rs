//! The command line as people and scripts meet it, on the real binary: each case is a file below `snapshots`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod app;
mod audit;
mod client;
mod contract;
mod help;
mod memory;
mod secret;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A place without an environment of its own.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs `vettid` with these arguments (separated by blanks) and shows what came of it.
    pub(crate) fn run(&self, arguments: &str, input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vettid"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that needs no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| {
            let folder = self.path().to_string_lossy().into_owned();
            String::from_utf8(bytes).unwrap().replace(&folder, "[FOLDER]")
        };
        let (out, err) = (text(output.stdout), text(output.stderr));
        format!("$ vettid {arguments}\nexit {}\n--- stdout\n{out}--- stderr\n{err}", output.status.code().unwrap())
    }
}
