//! What is told of a run: a table for people, and the same as JSON. A target that was missed is marked.

use crate::crowd::Work;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// A vault with many connections may take so many times what one with few takes, at the 99th percentile.
const MOST_TIMES: f64 = 2.0;

/// What many connections take.
pub(crate) struct Sizes {
    /// How many more.
    pub(crate) connections: usize,
    /// Bytes of memory of the loaded vault.
    pub(crate) resident: u64,
    /// Bytes of its whole state as stored.
    pub(crate) stored: usize,
}

struct Row {
    work: Work,
    few: [f64; 2],
    many: [f64; 2],
}

impl Row {
    fn times(&self) -> f64 {
        self.many[1] / self.few[1]
    }

    /// The owner's commands are what was asked for.
    fn verdict(&self) -> Option<bool> {
        matches!(self.work, Work::List | Work::Send).then(|| self.times() <= MOST_TIMES)
    }
}

pub(crate) struct Report {
    rows: Vec<Row>,
    resident_each: u64,
    stored_each: u64,
}

impl Report {
    pub(crate) fn of(times: [BTreeMap<Work, Vec<Duration>>; 2], sizes: &Sizes) -> Self {
        let [few, many] = times.map(|of| of.into_iter().map(|(work, times)| (work, percentiles(times))).collect());
        let (few, many): (BTreeMap<Work, [f64; 2]>, BTreeMap<Work, [f64; 2]>) = (few, many);
        let rows = Work::ALL.into_iter().map(|work| Row { work, few: few[&work], many: many[&work] }).collect();
        let connections = u64::try_from(sizes.connections).unwrap();
        let stored = u64::try_from(sizes.stored).unwrap();
        Self { rows, resident_each: sizes.resident / connections, stored_each: stored / connections }
    }

    pub(crate) fn print(&self, as_json: bool) {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{:#}", self.to_json()).unwrap();
            return;
        }
        writeln!(out, "| work | 10: p50 ms | p99 ms | 10,000: p50 ms | p99 ms | p99 times | wanted |").unwrap();
        writeln!(out, "|---|---|---|---|---|---|---|").unwrap();
        for row in &self.rows {
            let wanted = match row.verdict() {
                Some(true) => format!("at most {MOST_TIMES}: met"),
                Some(false) => format!("at most {MOST_TIMES}: **MISSED**"),
                None => String::new(),
            };
            let [few, many] = [row.few, row.many].map(|[p50, p99]| format!("{p50:.3} | {p99:.3}"));
            writeln!(out, "| {} | {few} | {many} | {:.2} | {wanted} |", row.work.name(), row.times()).unwrap();
        }
        let (resident, stored) = (self.resident_each, self.stored_each);
        writeln!(out, "\nmemory for each connection: {resident} bytes; stored: {stored} bytes").unwrap();
    }

    /// Beside the figures of the other benches.
    pub(crate) fn write(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("bench");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("connections.json"), format!("{:#}", self.to_json())).unwrap();
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let ms = |[p50, p99]: [f64; 2]| json!({"p50_ms": p50, "p99_ms": p99});
            let figures =
                json!({"few": ms(row.few), "many": ms(row.many), "p99_times": row.times(), "met": row.verdict()});
            (row.work.name().to_owned(), figures)
        });
        json!({
            "works": rows.collect::<Map<_, _>>(),
            "memory_bytes_each": self.resident_each,
            "stored_bytes_each": self.stored_each,
        })
    }
}

/// The 50th and the 99th percentile, in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [50, 99].map(|part| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3)
}
