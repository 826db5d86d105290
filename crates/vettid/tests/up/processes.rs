//! The process table, as any user of the machine can read it.

use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the table is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One process. The start time tells it from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) name: String,
    parent: u32,
    group: u32,
    started: u64,
}

/// Reads one entry; `None` if there is no such process, or only its exit status is left.
fn entry(id: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (head, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let is_alive = !matches!(*fields.first()?, "Z" | "X");
    let process = Process {
        id,
        name: head.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    };
    is_alive.then_some(process)
}

/// The whole table.
fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(entry).collect()
}

/// A process and everything that it started, directly or not.
pub(crate) fn below(id: u32) -> Vec<Process> {
    let all = all();
    let mut family: Vec<Process> = all.iter().filter(|process| process.id == id).cloned().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|process| process.id) {
        family.extend(all.iter().filter(|process| process.parent == parent).cloned());
        next += 1;
    }
    family
}

/// Those that still run: of the given ones, of the process group, and all that mention the folder.
fn left(family: &[Process], group: u32, folder: &Path) -> Vec<Process> {
    let belongs = |process: &Process| {
        let was_known = family.iter().any(|known| known.id == process.id && known.started == process.started);
        was_known || process.group == group || uses(process, folder)
    };
    all().into_iter().filter(belongs).collect()
}

fn uses(process: &Process, folder: &Path) -> bool {
    let line = command_line(process);
    crate::stack::mentions(folder, &line)
}

/// What a process was started with, as everybody on the machine can read it.
pub(crate) fn command_line(process: &Process) -> Vec<u8> {
    fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default()
}

/// Waits until none of them is left.
pub(crate) async fn none_left(family: &[Process], group: u32, folder: &Path, within: Duration) {
    let started = Instant::now();
    loop {
        let left = left(family, group, folder);
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < within, "these still run: {left:?}");
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < crate::stack::WITHIN, "{what}: never");
        sleep(LOOK_EVERY).await;
    }
}
