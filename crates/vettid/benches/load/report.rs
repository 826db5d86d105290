//! The table on the terminal and the file beside the build.

use crate::figures::Samples;
use crate::machine::Share;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// At half load the slowest percent may take so long, in milliseconds.
const MOST_P99_MS: f64 = 5.0;
/// Reads a second that a core of the host serves at least.
const LEAST_PER_CORE: f64 = 1000.0;
/// While another service floods, the slowest percent may take so many times what it took before.
const MOST_TIMES_FLOODED: f64 = 2.0;

/// A run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) members: usize,
    /// Threads that the host works on; absent: one for each core.
    pub(crate) host_threads: Option<usize>,
    pub(crate) settled: Duration,
    pub(crate) raw: Samples,
    pub(crate) alone: Samples,
    pub(crate) full: Samples,
    pub(crate) quarter: (Samples, Share),
    pub(crate) half: (Samples, Share),
    /// At half of what is wanted of one core of the host.
    pub(crate) wanted: (Samples, Share),
    /// A question, a synced record and an answer without a vault, at the rates of `half` and `wanted`.
    pub(crate) bare_half: Samples,
    pub(crate) bare_wanted: Samples,
    pub(crate) quiet: Samples,
    pub(crate) flooded: Samples,
    /// What the flood got: served and refused.
    pub(crate) flood: (usize, usize),
    pub(crate) flood_lasted: Duration,
}

/// A line for people.
pub(crate) fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

impl Report {
    fn rows(&self) -> [(&'static str, &'static str, &Samples, Option<Share>); 10] {
        [
            ("raw_request", "raw request and reply, 128 B", &self.raw, None),
            ("alone", "read, one after the other", &self.alone, None),
            ("full", "read, 64 under way", &self.full, None),
            ("quarter", "read, coming at a quarter of that", &self.quarter.0, Some(self.quarter.1)),
            ("half", "read, coming at half of it", &self.half.0, Some(self.half.1)),
            ("wanted", "read, coming at 500 a second", &self.wanted.0, Some(self.wanted.1)),
            ("bare_half", "bare, coming at half of it", &self.bare_half, None),
            ("bare_wanted", "bare, coming at 500 a second", &self.bare_wanted, None),
            ("quiet", "read, 50 a second", &self.quiet, None),
            ("flooded", "read, 50 a second beside a flood", &self.flooded, None),
        ]
    }

    /// Each figure that something was asked of: its name, itself, whether it is met.
    fn verdicts(&self) -> [(&'static str, f64, bool); 4] {
        let of_core = self.full.per_core_second().unwrap_or(f64::NAN);
        let half = self.half.0.percentile_ms(0.99);
        let wanted = self.wanted.0.percentile_ms(0.99);
        let times = self.flooded.percentile_ms(0.99) / self.quiet.percentile_ms(0.99);
        [
            ("reads a second of one core of the host (at least 1,000)", of_core, of_core >= LEAST_PER_CORE),
            ("p99 at half of the full rate, ms (at most 5)", half, half <= MOST_P99_MS),
            ("p99 at 500 reads a second, half of those 1,000, ms (at most 5)", wanted, wanted <= MOST_P99_MS),
            ("p99 beside a flood / p99 without (at most 2)", times, times <= MOST_TIMES_FLOODED),
        ]
    }

    /// The table and the verdicts.
    pub(crate) fn print(&self) -> Result<()> {
        let threads = self.host_threads.map_or("one for each core".to_owned(), |threads| threads.to_string());
        let settled_s = self.settled.as_secs_f64();
        say(&format!(
            "\n{} members were there after {settled_s:.0} s; threads of the host: {threads}\n",
            self.members
        ))?;
        let (work, busy) = ("work", "cores busy and stolen, %");
        say(&format!("{work:<36} {:>8} {:>9} {:>9} {:>11}   {busy}", "samples", "p50 ms", "p99 ms", "per second"))?;
        for (_, title, samples, share) in self.rows() {
            let (p50, p99) = (samples.percentile_ms(0.5), samples.percentile_ms(0.99));
            let (count, rate) = (samples.count(), samples.per_second());
            let share = share.map_or(String::new(), |Share { busy, stolen }| format!("   {busy:.0}  {stolen:.1}"));
            say(&format!("{title:<36} {count:>8} {p50:>9.3} {p99:>9.3} {rate:>11.0}{share}"))?;
        }
        let (served, refused) = self.flood;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let asked = (served + refused) as f64 / self.flood_lasted.as_secs_f64();
        say(&format!("\nthe flood: {asked:.0} questions a second, {served} served, {refused} refused\n"))?;
        for (title, reads, bare) in
            [("half", &self.half.0, &self.bare_half), ("500 a second", &self.wanted.0, &self.bare_wanted)]
        {
            let times = |share| reads.percentile_ms(share) / bare.percentile_ms(share);
            let (p50, p99) = (times(0.5), times(0.99));
            say(&format!("a read at {title} / question, synced record and answer alone: p50 {p50:.2}, p99 {p99:.2}"))?;
        }
        for (title, figure, is_met) in self.verdicts() {
            say(&format!("{title}: {figure:.2}   {}", if is_met { "MET" } else { "MISSED" }))?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let rows = self.rows().map(|(name, _, samples, share)| {
            let figures = json!({
                "samples": samples.count(), "p50_ms": samples.percentile_ms(0.5),
                "p99_ms": samples.percentile_ms(0.99), "per_second": samples.per_second(),
                "cores_busy_percent": share.map(|share| share.busy), "cores_stolen_percent": share.map(|share| share.stolen),
            });
            (name.to_owned(), figures)
        });
        let verdicts =
            self.verdicts().map(|(title, figure, is_met)| json!({"what": title, "is": figure, "met": is_met}));
        json!({
            "members": self.members, "host_threads": self.host_threads, "works": rows.into_iter().collect::<serde_json::Map<_, _>>(),
            "flood": {"served": self.flood.0, "refused": self.flood.1}, "verdicts": verdicts,
        })
    }

    /// Writes the figures as JSON below the target folder.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?.join("bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("load.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&self.to_json())?)?;
        Ok(path)
    }
}
