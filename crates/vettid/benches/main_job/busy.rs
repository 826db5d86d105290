//! The time that processors worked: for this process, where app, services, host and gateway live, and for the broker, which it
//! started.

use anyhow::{Context as _, Result};
use std::fs;
use std::time::Duration;

/// Ticks of the kernel's accounting in one second, on every machine that Linux runs on today.
const TICKS_PER_SECOND: u64 = 100;

/// So far.
pub(crate) fn so_far() -> Result<Duration> {
    let own = std::process::id();
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end meanwhile; the broker does not.
        let Ok(line) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let (parent, worked) = parent_and_ticks(&line).context("an unknown form of /proc")?;
        ticks += if id == own || parent == own { worked } else { 0 };
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// What one process worked so far.
pub(crate) fn of(process: u32) -> Result<Duration> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
    let (_, ticks) = parent_and_ticks(&line).context("an unknown form of /proc")?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Since then.
pub(crate) fn since(before: Duration) -> Result<Duration> {
    Ok(so_far()?.saturating_sub(before))
}

/// The name of a process may hold anything; what counts comes after it.
fn parent_and_ticks(line: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, number(11)? + number(12)?))
}
