//! Which entries are meant: the options that `list` and `search` share.

use clap::{Args, ValueEnum};
use vettid_wire::feed::{Filter, Severity, Shelf, Tag};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// Only this kind: an event type, or its beginning up to a dot
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only with this connection
    #[arg(long, value_name = "ID")]
    connection: Option<ConnectionId>,
    /// Not before this day or time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this day or time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// At least this urgent
    #[arg(long, value_name = "LEVEL")]
    severity: Option<Level>,
    /// Only with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<Tag>,
    /// Only what you have not seen
    #[arg(long)]
    unread: bool,
    /// Only the archive
    #[arg(long)]
    archived: bool,
    /// The archive, too
    #[arg(long, conflicts_with = "archived")]
    all: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Info,
    Notice,
    Warning,
    Alarm,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Notice => Self::Notice,
            Level::Warning => Self::Warning,
            Level::Alarm => Self::Alarm,
        }
    }
}

impl FilterArguments {
    pub(super) fn with(self, text: Option<String>) -> Filter {
        let shelf = match (self.archived, self.all) {
            (true, _) => Shelf::Archive,
            (false, true) => Shelf::All,
            (false, false) => Shelf::Current,
        };
        Filter {
            text,
            kind: self.kind,
            connection_id: self.connection,
            since: self.since,
            until: self.until,
            severity: self.severity.map(Severity::from),
            only_unread: self.unread,
            shelf,
            tags: self.tag.into_iter().collect(),
        }
    }
}

/// A day, a minute, or a whole timestamp.
fn time(text: &str) -> Result<Timestamp, String> {
    let forms = [format!("{text}T00:00:00.000Z"), format!("{}:00.000Z", text.replacen(' ', "T", 1)), text.to_owned()];
    let read = forms.iter().find_map(|form| form.parse().ok());
    read.ok_or_else(|| "a day (2026-11-21) or a time (2026-11-21T06:15) is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_short() {
        for text in ["2026-11-21", "2026-11-21T00:00", "2026-11-21 00:00", "2026-11-21T00:00:00.000Z"] {
            assert_eq!(time(text).unwrap().to_string(), "2026-11-21T00:00:00.000Z", "{text}");
        }
        assert!(time("yesterday").is_err() && time("2026-13-01").is_err());
    }
}
