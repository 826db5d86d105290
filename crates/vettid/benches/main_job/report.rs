//! The table on the terminal and the file beside the build.

use crate::figures::Work;
use crate::measured::Measured;
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A line for people.
pub(crate) fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Logs to the error stream, if that is wished.
pub(crate) fn log(level: Option<&str>) -> Result<()> {
    let Some(level) = level else { return Ok(()) };
    let filter = tracing_subscriber::EnvFilter::try_new(level).context("--log needs a level, such as warn")?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}

/// The table, the ratios and the verdict.
pub(crate) fn print(measured: &Measured) -> Result<()> {
    say(&format!(
        "\n{:<44} {:>8} {:>10} {:>10} {:>11} {:>11}",
        "work", "samples", "p50 ms", "p99 ms", "per second", "core second"
    ))?;
    for work in Work::ALL {
        let Some(samples) = measured.samples.of(work) else { continue };
        let (p50, p99) = (samples.percentile_ms(0.5), samples.percentile_ms(0.99));
        let (count, rate) = (samples.count(), samples.per_second());
        let of_core = samples.per_core_second().map_or(String::new(), |rate| format!("{rate:>11.0}"));
        say(&format!("{:<44} {count:>8} {p50:>10.3} {p99:>10.3} {rate:>11.0} {of_core}", work.title()))?;
    }
    for (title, _, ms) in measured.starts.rows() {
        say(&format!("{title:<44} {:>8} {ms:>10.0}", 1))?;
    }
    say("")?;
    if let Some(baseline) = measured.baseline_ms() {
        say(&format!("raw publish + 2 raw requests, p50: {baseline:.3} ms"))?;
    }
    for ratio in measured.ratios() {
        let verdict = match ratio.most {
            Some(most) if ratio.times <= most => format!("   MET (at most {most})"),
            Some(most) => format!("   MISSED (at most {most})"),
            None => String::new(),
        };
        say(&format!("{}: {:.2}{verdict}", ratio.title, ratio.times))?;
    }
    Ok(())
}

/// Writes the figures as JSON below the target folder.
pub(crate) fn write(measured: &Measured) -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("main_job.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&measured.to_json())?)?;
    Ok(path)
}
