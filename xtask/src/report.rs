//! What the tasks print: plain lines on standard output, and findings with the place they were seen at.

use anyhow::bail;
use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Prints one line.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Says what failed and why, without a trace: a broken rule is no bug of the task.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    // Where standard error is gone, the exit code still speaks.
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
    ExitCode::FAILURE
}

/// A broken rule and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Crate, file, or `file:line`.
    pub place: String,
    /// The rule, in words that say what to do.
    pub message: String,
}

impl Finding {
    /// A finding at a place.
    pub(crate) fn new(place: impl Display, message: impl Display) -> Self {
        Self { place: place.to_string(), message: message.to_string() }
    }
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// Prints the findings and fails if there is one; otherwise prints `fine`.
pub(crate) fn conclude(findings: &[Finding], fine: impl Display) -> anyhow::Result<()> {
    for finding in findings {
        say(finding)?;
    }
    if !findings.is_empty() {
        bail!("{} finding(s)", findings.len());
    }
    say(fine)?;
    Ok(())
}
