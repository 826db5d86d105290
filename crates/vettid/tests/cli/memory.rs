//! What the system may do with the memory of a running command.

use std::process::{Command, Stdio};
use std::time::Duration;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A command that waits for what is typed writes no core dump.
#[test]
fn no_core_dump_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_vettid"))
        .args(["app", "--state"])
        .arg(folder.path())
        .args(["data", "set", "note"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let are_off = || {
        let text = std::fs::read_to_string(&limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default().to_owned();
        line.split_whitespace().collect::<Vec<_>>().get(4..6) == Some(&["0", "0"])
    };
    // Switched off before the command reads anything; it is only just being started.
    let off = (0..2_000).any(|_| {
        std::thread::park_timeout(LOOK_EVERY);
        are_off()
    });
    let _ = child.kill();
    child.wait().unwrap();
    assert!(off, "core dumps are not switched off");
}
