//! What is told of a run: the medians, and how many times the least a read takes. As a table for people, or as JSON.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// One read and what stood beside it.
pub(crate) struct Sample {
    pub(crate) handled: Duration,
    pub(crate) applied: Duration,
    pub(crate) least: Duration,
}

/// Medians in milliseconds of a core.
pub(crate) struct Report {
    handled: f64,
    applied: f64,
    read: f64,
    least: f64,
}

impl Report {
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let of = |part: fn(&Sample) -> Duration| median(samples.iter().map(part).collect());
        Self {
            handled: of(|sample| sample.handled),
            applied: of(|sample| sample.applied),
            read: of(|sample| sample.handled + sample.applied),
            least: of(|sample| sample.least),
        }
    }

    fn times(&self) -> f64 {
        self.read / self.least
    }

    pub(crate) fn print(&self, as_json: bool) {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{:#}", self.to_json()).unwrap();
            return;
        }
        let Self { handled, applied, read, least } = self;
        writeln!(out, "| `data.request` of 1 KB in the vault | ms of a core |\n|---|---|").unwrap();
        writeln!(out, "| question to sealed commit and answer | {handled:.4} |").unwrap();
        writeln!(out, "| commit applied | {applied:.4} |").unwrap();
        writeln!(out, "| both | {read:.4} |").unwrap();
        writeln!(out, "| the sealing, opening, signing and hashing alone | {least:.4} |").unwrap();
        writeln!(out, "| times | {:.3} |", self.times()).unwrap();
    }

    /// Beside the figures of the other benches.
    pub(crate) fn write(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("bench");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("request.json"), format!("{:#}", self.to_json())).unwrap();
    }

    fn to_json(&self) -> Value {
        let Self { handled, applied, read, least } = self;
        json!({
            "handled_ms": handled,
            "applied_ms": applied,
            "read_ms": read,
            "least_ms": least,
            "times": self.times(),
        })
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
