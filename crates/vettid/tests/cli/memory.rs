//! What the system may do with the memory of a running command.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    let begin = Instant::now();
    let off = loop {
        let text = std::fs::read_to_string(&limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default().to_owned();
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.get(4..6) == Some(&["0", "0"]) {
            break true;
        }
        if begin.elapsed() > Duration::from_secs(10) || child.try_wait().unwrap().is_some() {
            break false;
        }
        std::thread::yield_now();
    };
    let _ = child.kill();
    child.wait().unwrap();
    assert!(off, "core dumps are not switched off");
}
