//! The streams: made once, by the identity that may. A store that had streams and has them no more has lost them, or was
//! opened with another key: making them again would bury what can still be saved, so that is refused.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vettid_core::grants::broker::{Stream, vaults_subjects};
use vettid_core::grants::delivery::{Receiver, last_values};
use vettid_wire::subject::Pattern;

use crate::api::{ApiError, Done, STREAM_NOT_FOUND};
use crate::connection::Connection;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Undelivered events are kept as long as their sender keeps trying (spec §3 R11).
const INBOX_AGE_NS: u64 = 30 * DAY_NS;
/// A sender that repeats an event within this time stores it once.
const DUPLICATES_NS: u64 = 600 * SECOND_NS;
/// Consumers of the hosts' inbox, one for each host. The server's own bound of 1,000 holds unless another is named.
const HOSTS: i64 = 4_096;
/// Consumers of an inbox at home: one is needed.
const CONSUMERS_AT_HOME: i64 = 8;

/// Room and copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Room for waiting events, in bytes; reserved on the server.
    pub inbox_bytes: i64,
    /// Waiting events of one sender and type; more are refused, so that one sender cannot fill the inbox of all.
    pub waiting_per_subject: i64,
    /// Copies of each stream: 1, or 3 on a cluster.
    pub replicas: u8,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { inbox_bytes: 1 << 30, waiting_per_subject: 10_000, replicas: 1 }
    }
}

/// Remembers outside of the server that its streams were made.
#[derive(Debug, Clone)]
pub struct InitialisationMark(PathBuf);

impl InitialisationMark {
    /// A mark at this path, which lies beside the store it speaks of.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether the streams were made.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn is_set(&self) -> std::io::Result<bool> {
        self.0.try_exists()
    }

    fn set(&self) -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.0)?;
        file.write_all(b"streams made\n")?;
        file.sync_all()?;
        File::open(self.0.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Why the streams are not there.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The store had this stream and has it no more: it was opened with another key, or emptied. Nothing was changed.
    #[error("the broker's store has lost its stream {0}; restore the store or its key")]
    Lost(&'static str),
    /// The stream is there, but for subjects that no earlier version had in it.
    #[error("the stream {0} has other subjects than those of this program")]
    Different(&'static str),
    /// The server could not be asked or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The mark could not be read or written.
    #[error("the mark of an initialised store cannot be read or written")]
    Mark(#[from] std::io::Error),
}

#[derive(Debug, Serialize)]
struct Config {
    name: &'static str,
    subjects: Vec<String>,
    /// Subjects that an earlier version may have had here.
    #[serde(skip)]
    former: Vec<String>,
    retention: &'static str,
    storage: &'static str,
    discard: &'static str,
    discard_new_per_subject: bool,
    num_replicas: u8,
    max_consumers: i64,
    max_msgs: i64,
    max_bytes: i64,
    max_age: u64,
    max_msgs_per_subject: i64,
    max_msg_size: i64,
    duplicate_window: u64,
    allow_direct: bool,
    allow_rollup_hdrs: bool,
    deny_delete: bool,
}

impl Config {
    /// A stream on disk without bounds, refusing what does not fit.
    fn new(stream: Stream, subjects: &[Pattern], replicas: u8) -> Self {
        Self {
            name: stream.name(),
            subjects: subjects.iter().map(ToString::to_string).collect(),
            former: Vec::new(),
            retention: "limits",
            storage: "file",
            discard: "new",
            discard_new_per_subject: false,
            num_replicas: replicas,
            max_consumers: -1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: 0,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            duplicate_window: DUPLICATES_NS,
            allow_direct: true,
            allow_rollup_hdrs: false,
            deny_delete: false,
        }
    }

    /// An event that this version delivers by best effort may have been a durable one.
    fn inbox(receiver: Receiver, max_consumers: i64, limits: StreamLimits) -> Self {
        Self {
            former: receiver.best_effort().iter().map(ToString::to_string).collect(),
            max_consumers,
            max_bytes: limits.inbox_bytes,
            max_age: INBOX_AGE_NS,
            max_msgs_per_subject: limits.waiting_per_subject,
            discard_new_per_subject: true,
            ..Self::new(Stream::Inbox, &receiver.durable(), limits.replicas)
        }
    }

    /// Whether a stream with these subjects is this one of an earlier version.
    fn may_follow(&self, subjects: &[String]) -> bool {
        subjects.iter().all(|subject| self.subjects.contains(subject) || self.former.contains(subject))
    }

    fn profiles(subjects: &[Pattern], limits: StreamLimits) -> Self {
        Self { discard: "old", max_msgs_per_subject: 1, ..Self::new(Stream::Profiles, subjects, limits.replicas) }
    }

    fn journal(limits: StreamLimits) -> Self {
        Self { deny_delete: true, ..Self::new(Stream::Journal, &[Pattern::Journal(None)], limits.replicas) }
    }

    fn vaults(limits: StreamLimits) -> Self {
        Self {
            subjects: vaults_subjects().to_vec(),
            allow_rollup_hdrs: true,
            ..Self::new(Stream::Vaults, &[], limits.replicas)
        }
    }
}

/// The streams of one account.
#[derive(Debug)]
pub struct StreamPlan(Vec<(Stream, Config)>);

impl StreamPlan {
    /// Of the hosts' account: inbox, journal, last values, objects.
    #[must_use]
    pub fn hosts(limits: StreamLimits) -> Self {
        Self(vec![
            (Stream::Inbox, Config::inbox(Receiver::Vault, HOSTS, limits)),
            (Stream::Journal, Config::journal(limits)),
            (Stream::Profiles, Config::profiles(&last_values(), limits)),
            (Stream::Vaults, Config::vaults(limits)),
        ])
    }

    /// Of the MessageSpace account of a service, or of a vault at home: inbox and profile.
    #[must_use]
    pub fn home(receiver: Receiver, limits: StreamLimits) -> Self {
        Self(vec![
            (Stream::Inbox, Config::inbox(receiver, CONSUMERS_AT_HOME, limits)),
            (Stream::Profiles, Config::profiles(&[Pattern::OwnerProfile(None)], limits)),
        ])
    }
}

#[derive(Deserialize)]
struct Shown {
    config: ShownConfig,
}

#[derive(Deserialize)]
struct ShownConfig {
    subjects: Vec<String>,
}

/// Makes the streams that are missing on a store that never had them; checks them on one that had, and gives those of an earlier
/// version the subjects of this one. What lies in them stays.
///
/// # Errors
/// See [`StreamError`].
pub async fn initialise(
    connection: &Connection,
    plan: &StreamPlan,
    mark: &InitialisationMark,
) -> Result<(), StreamError> {
    let made_before = mark.is_set()?;
    for (stream, config) in &plan.0 {
        match show(connection, *stream).await? {
            Some(shown) if same(&shown.config.subjects, &config.subjects) => {}
            Some(shown) if config.may_follow(&shown.config.subjects) => {
                tracing::info!(stream = stream.name(), "a stream is given the subjects of this version");
                connection.api::<Done>(&stream.update(), config).await?;
            }
            Some(_) => return Err(StreamError::Different(stream.name())),
            None if made_before => return Err(StreamError::Lost(stream.name())),
            None => {
                connection.api::<Done>(&stream.create(), config).await?;
            }
        }
    }
    if !made_before {
        mark.set()?;
    }
    Ok(())
}

async fn show(connection: &Connection, stream: Stream) -> Result<Option<Shown>, ApiError> {
    match connection.api(&stream.info(), &serde_json::json!({})).await {
        Ok(shown) => Ok(Some(shown)),
        Err(error) if error.number() == Some(STREAM_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        let plans =
            [StreamPlan::hosts(StreamLimits::default()), StreamPlan::home(Receiver::Service, StreamLimits::default())];
        let configs: Vec<_> = plans.iter().flat_map(|plan| plan.0.iter().map(|(_, config)| config)).collect();
        insta::assert_json_snapshot!(configs);
    }
}
