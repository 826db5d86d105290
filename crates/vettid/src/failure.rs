//! How a command fails: a sentence, what to do next, and a documented exit code. Must never carry secrets.

use serde::Serialize;
use std::fmt::Display;
use vettid_wire::refusal::RefusalCode;

/// Documented in `--help`; scripts may rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything not listed below.
    Other = 1,
    /// The command line or an input is wrong.
    Usage = 2,
    /// The vault, the services or a check said no.
    Refused = 3,
    /// Vault, broker or services cannot be reached.
    Unreachable = 4,
    /// The state of the app or of a gateway is missing or unreadable.
    State = 5,
}

impl Exit {
    /// The number for the shell.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// The text about exit codes at the end of every `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  another failure
  2  the command line or an input is wrong
  3  refused by the vault, by services, or by a check
  4  vault, broker or services cannot be reached
  5  the state of the app or of a gateway is missing or unreadable";

/// Why a command did not succeed.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    exit: Exit,
    /// What happened, one sentence.
    error: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The refusal of the vault, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<RefusalCode>,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(exit: Exit, error: impl Display) -> Self {
        Self { exit, error: error.to_string(), next: None, code: None }
    }

    /// The command line or an input is wrong.
    pub(crate) fn usage(error: impl Display) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Adds what to do next.
    pub(crate) fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// Adds the vault's refusal.
    pub(crate) fn refusal(self, code: RefusalCode) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened.
    pub(crate) fn error(&self) -> &str {
        &self.error
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Other, format_args!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Other, error)
    }
}
