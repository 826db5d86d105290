//! All tests of the workspace against a real server, through nextest where it is installed; what the runner prints is
//! passed on line by line and counted.

use crate::environment;
use crate::nats_server;
use crate::process;
use crate::report::say;
use crate::workspace::Workspace;
use anyhow::{Context as _, bail};
use std::fmt::{self, Display};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
}

impl Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// What runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// One process for each test.
    Nextest,
    /// The harness of cargo itself.
    Standard,
}

/// Builds and runs all tests.
pub(super) fn run() -> anyhow::Result<Counts> {
    let workspace = Workspace::current()?;
    let server = nats_server::ensure(&workspace)?;
    say(format_args!("nats-server: {}", server.display()))?;
    let runner = Runner::find();
    // Built on the terminal itself, so that its progress is seen; run through a pipe, so that it can be counted.
    process::run(runner.command(&server).arg("--no-run"))?;
    let colour = if io::stdout().is_terminal() { "always" } else { "never" };
    let mut command = runner.command(&server);
    let (passed, counts) = counted(command.args(["--color", colour]), runner, &mut io::stdout())?;
    if !passed || counts.failed > 0 {
        bail!("tests failed ({counts})");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(counts)
}

/// Runs a test runner, passes its lines on, and counts from its summaries.
fn counted(command: &mut Command, runner: Runner, out: &mut impl Write) -> anyhow::Result<(bool, Counts)> {
    let shown = process::shown(command);
    let (reader, writer) = io::pipe().context("no pipe could be made")?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn();
    // The command holds the writing ends; the pipe ends only when they are gone.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let mut child = child.with_context(|| format!("`{shown}` did not start"))?;
    let mut counts = Counts::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(out, "{line}")?;
        counts.add(runner.counts(&plain(&line)));
    }
    Ok((child.wait()?.success(), counts))
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

impl Runner {
    fn find() -> Self {
        if process::succeeds(Command::new("cargo").args(["nextest", "--version"])) {
            Self::Nextest
        } else {
            Self::Standard
        }
    }

    fn command(self, server: &Path) -> Command {
        let runner: &[&str] = match self {
            Self::Nextest => &["nextest", "run"],
            Self::Standard => &["test", "--no-fail-fast", "--lib", "--bins", "--tests"],
        };
        let mut command = Command::new("cargo");
        command.args(runner).args(["--workspace", "--locked"]).env(environment::NATS_SERVER, server);
        command
    }

    /// What a summary line adds; any other line adds nothing.
    fn counts(self, line: &str) -> Counts {
        match self {
            // `Summary [ 3.2s] 12 tests run: 11 passed, 1 failed, 0 skipped`
            Self::Nextest => {
                let numbers = line.trim_start().strip_prefix("Summary [").and_then(|rest| rest.split_once(" run: "));
                numbers.map_or_else(Counts::default, |(_, numbers)| Counts {
                    passed: before(numbers, "passed"),
                    failed: before(numbers, "failed") + before(numbers, "timed") + before(numbers, "exec"),
                })
            }
            // `test result: ok. 3 passed; 0 failed; 1 ignored; …`
            Self::Standard => {
                let numbers = line.strip_prefix("test result:").unwrap_or_default();
                Counts { passed: before(numbers, "passed"), failed: before(numbers, "failed") }
            }
        }
    }
}

/// The number right before a word.
fn before(text: &str, word: &str) -> usize {
    let words: Vec<&str> = text.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair.last() == Some(&word));
    pair.and_then(|pair| pair.first()?.parse().ok()).unwrap_or(0)
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(runner: Runner, lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.add(runner.counts(&plain(line))));
        counts
    }

    #[test]
    fn the_summary_of_nextest_is_counted() {
        let line =
            "     Summary [   3.214s] 13 tests run: 10 passed (1 slow, 1 leaky), 2 failed, 1 timed out, 4 skipped";
        assert_eq!(counts(Runner::Nextest, &[line]), Counts { passed: 10, failed: 3 });
    }

    #[test]
    fn one_test_is_counted_as_one() {
        let line = "     Summary [   0.003s] 1 test run: 1 passed, 52 skipped";
        assert_eq!(counts(Runner::Nextest, &[line]), Counts { passed: 1, failed: 0 });
    }

    #[test]
    fn what_a_failed_test_printed_is_not_counted() {
        let line = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 49 filtered out";
        assert_eq!(counts(Runner::Nextest, &[line]), Counts::default());
    }

    #[test]
    fn colours_do_not_matter() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(counts(Runner::Nextest, &[line]), Counts { passed: 2, failed: 0 });
    }

    #[test]
    fn the_standard_harness_is_counted_over_all_its_programs() {
        let lines = [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test a_summary_of_5_passed ... ok",
        ];
        assert_eq!(counts(Runner::Standard, &lines), Counts { passed: 7, failed: 2 });
    }

    #[test]
    fn both_streams_are_passed_on_and_counted_and_the_exit_code_kept() {
        let script =
            "echo 'test result: ok. 2 passed; 0 failed'; echo 'test result: ok. 1 passed; 0 failed' >&2; exit 3";
        let mut out = Vec::new();
        let (passed, counts) = counted(Command::new("sh").args(["-c", script]), Runner::Standard, &mut out).unwrap();
        assert!(!passed);
        assert_eq!(counts, Counts { passed: 3, failed: 0 });
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
    }
}
