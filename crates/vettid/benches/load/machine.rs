//! What the cores of the machine did while something was measured: how busy they were with whatever runs here, and how much of them a
//! hypervisor gave to others. Where it gave away more than a little, the slowest percent is its, too.

use anyhow::{Context as _, Result};
use std::fs;

/// Time of all cores since the machine started, in ticks of the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    busy: u64,
    stolen: u64,
    all: u64,
}

/// Percent of the cores.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    /// Worked for what runs here.
    pub(crate) busy: f64,
    /// Were wanted and not there.
    pub(crate) stolen: f64,
}

impl Cores {
    /// Until now.
    pub(crate) fn so_far() -> Result<Self> {
        Self::read(&fs::read_to_string("/proc/stat").context("no accounting of the cores")?)
    }

    /// The first line: user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
    fn read(text: &str) -> Result<Self> {
        let line =
            text.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("an unknown form of /proc")?;
        let ticks: Result<Vec<u64>, _> = line.split_whitespace().take(8).map(str::parse).collect();
        let [user, nice, system, idle, waiting, interrupts, soft, stolen] =
            ticks?.try_into().ok().context("an unknown form of /proc")?;
        let busy = user + nice + system + interrupts + soft;
        Ok(Self { busy, stolen, all: busy + idle + waiting + stolen })
    }

    /// Since then.
    pub(crate) fn share_since(before: Self) -> Result<Share> {
        let now = Self::so_far()?;
        let all = now.all.saturating_sub(before.all).max(1);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let percent = |now: u64, before: u64| now.saturating_sub(before) as f64 / all as f64 * 100.0;
        Ok(Share { busy: percent(now.busy, before.busy), stolen: percent(now.stolen, before.stolen) })
    }
}
