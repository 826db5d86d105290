//! What `cargo bench` and its user hand over. Cargo itself adds `--bench`; without it nothing is measured.

use crate::figures::Work;
use anyhow::{Context as _, Result, bail};

/// What is measured, and how long.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// Rounds that count; one more is played before them.
    pub(crate) rounds: u32,
    /// This work alone.
    pub(crate) only: Option<Work>,
    /// What is logged, such as `warn`.
    pub(crate) log: Option<String>,
}

/// Reads the command line; `None` if a test runner only wants to know what there is.
pub(crate) fn read() -> Result<Option<Arguments>> {
    let mut arguments = Arguments { rounds: 12, only: None, log: None };
    let (mut given, mut is_bench) = (std::env::args().skip(1), false);
    while let Some(word) = given.next() {
        let mut value = || given.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--bench" => is_bench = true,
            "--rounds" => arguments.rounds = value()?.parse().context("--rounds needs a number")?,
            "--only" => arguments.only = Some(Work::named(&value()?)?),
            "--log" => arguments.log = Some(value()?),
            other if other.starts_with('-') => bail!("unknown argument {other}; known are --rounds, --only and --log"),
            filter if !"main_job".contains(filter) => return Ok(None),
            _ => {}
        }
    }
    Ok(is_bench.then_some(arguments))
}
