//! The vaults' journals: one subject per vault in one stream, one message per commit, compare-and-set on the last sequence
//! of the subject. The bytes are sealed before they come here and mean nothing here. Must never report a commit as lost
//! that may still be stored, nor store one twice.

mod replay;

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use vettid_core::grants::broker::Stream;
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

use crate::api::{
    ApiError, Done, MESSAGE_NOT_FOUND, STORE_FAILED, Stored, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_CONSTANT, answer,
};
use crate::connection::{Connection, RequestError};

pub use replay::Replay;

/// Largest record, in bytes: the largest message less its headers.
pub const MAX_RECORD_BYTES: usize = (1 << 20) - 4096;
/// Compare and set: the last sequence of the subject.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
/// A commit whose acknowledgement does not come is sent again; the comparison keeps it from being stored twice.
const ATTEMPTS: u32 = 6;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);

/// One commit as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its sequence. Rises; does not count by one.
    pub sequence: u64,
    /// The sealed bytes.
    pub bytes: Bytes,
}

/// Why a journal was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else has written since: this vault is not the active one any more, or did not read everything. Nothing was
    /// stored. Stop, load, and only then go on.
    #[error("the journal was continued by somebody else (last sequence {last})")]
    Conflict {
        /// The last sequence by now.
        last: u64,
    },
    /// It could not be found out whether the record was stored. Stop and load before anything else.
    #[error("it is unknown whether the journal took the record")]
    Unknown(#[source] RequestError),
    /// There is no room. Nothing was stored.
    #[error("the journal has no room")]
    Full,
    /// Larger than [`MAX_RECORD_BYTES`]. Nothing was sent.
    #[error("journal record of {0} bytes is too large")]
    TooLarge(usize),
    /// To purge here would lose the last record, and with it the place of the next one.
    #[error("a journal keeps its last record")]
    KeepsLast,
    /// The server could not be asked or refuses. Nothing was stored.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl From<RequestError> for JournalError {
    fn from(error: RequestError) -> Self {
        Self::Api(error.into())
    }
}

/// All journals of one host.
#[derive(Debug, Clone)]
pub struct Journal(Connection);

#[derive(Deserialize)]
struct Last {
    message: LastMessage,
}

#[derive(Deserialize)]
struct LastMessage {
    #[serde(rename = "seq")]
    sequence: u64,
    #[serde(default)]
    data: Option<Base64>,
}

impl Journal {
    /// With a connection that may write journals.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// Reads the records of a vault, in order.
    #[must_use]
    pub fn load(&self, member: MemberId) -> Replay {
        Replay::new(self.0.clone(), member)
    }

    /// Appends a record. `expected_last` is the sequence of the vault's last record, 0 before the first. Returns the
    /// sequence of the new one once it is safe on disk.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub async fn commit(&self, member: MemberId, expected_last: u64, bytes: Bytes) -> Result<u64, JournalError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(JournalError::TooLarge(bytes.len()));
        }
        let subject = Subject::Journal(member).to_string();
        let mut attempt = 1;
        loop {
            let lost = match self.attempt(&subject, expected_last, bytes.clone()).await {
                Ok(stored) => return Ok(stored.sequence),
                Err(ApiError::Refused { number: WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT, .. }) => {
                    return Err(JournalError::Conflict { last: 0 });
                }
                Err(ApiError::Refused { number: STORE_FAILED, .. }) => return Err(JournalError::Full),
                Err(ApiError::Request(lost @ (RequestError::TimedOut | RequestError::NobodyListens))) => lost,
                Err(error) if attempt == 1 => return Err(error.into()),
                Err(ApiError::Request(lost)) => return Err(JournalError::Unknown(lost)),
                Err(error) => return Err(error.into()),
            };
            if attempt == ATTEMPTS {
                return Err(JournalError::Unknown(lost));
            }
            tracing::debug!(attempt, "no acknowledgement from the journal; the record is sent again");
            // A server that was just started may not have found its stream yet.
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, subject: &str, expected_last: u64, bytes: Bytes) -> Result<Stored, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, expected_last.to_string());
        let exchange = self.0.exchange(subject, headers, bytes, ATTEMPT_TIMEOUT);
        answer(&self.0.unless_reconnected(exchange).await?.payload)
    }

    /// Another record has the place: ours, whose acknowledgement was lost, or somebody else's. Sealed bytes are never the
    /// same twice, so they tell.
    async fn whose(&self, subject: &str, expected_last: u64, bytes: &Bytes) -> Result<u64, JournalError> {
        let mut attempt = 1;
        let last = loop {
            match self.last(subject).await {
                Err(ApiError::Request(RequestError::TimedOut | RequestError::NobodyListens)) if attempt < ATTEMPTS => {
                    attempt += 1
                }
                Err(ApiError::Request(error)) => return Err(JournalError::Unknown(error)),
                outcome => break outcome?,
            }
        };
        match last {
            Some(LastMessage { sequence, data: Some(data) })
                if sequence > expected_last && data.as_bytes() == bytes =>
            {
                Ok(sequence)
            }
            Some(LastMessage { sequence, .. }) => Err(JournalError::Conflict { last: sequence }),
            None => Err(JournalError::Conflict { last: 0 }),
        }
    }

    /// The last record, from the leader of the stream.
    async fn last(&self, subject: &str) -> Result<Option<LastMessage>, ApiError> {
        match self.0.api::<Last>(&Stream::Journal.message_get(), &json!({ "last_by_subj": subject })).await {
            Ok(last) => Ok(Some(last.message)),
            Err(error) if error.number() == Some(MESSAGE_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sequence of the last record of a vault; 0 if there is none.
    ///
    /// # Errors
    /// If the server could not be asked.
    pub async fn last_sequence(&self, member: MemberId) -> Result<u64, JournalError> {
        let last = self.last(&Subject::Journal(member).to_string()).await?;
        Ok(last.map_or(0, |last| last.sequence))
    }

    /// Removes the records of a vault below `sequence`, which must be one of its records: the last one always stays,
    /// because it is the place of the next.
    ///
    /// # Errors
    /// [`JournalError::KeepsLast`] if nothing would stay.
    pub async fn purge_below(&self, member: MemberId, sequence: u64) -> Result<(), JournalError> {
        if sequence > self.last_sequence(member).await? {
            return Err(JournalError::KeepsLast);
        }
        let filter = Subject::Journal(member).to_string();
        self.0.api::<Done>(&Stream::Journal.purge(), &json!({ "filter": filter, "seq": sequence })).await?;
        Ok(())
    }

    /// Removes all records of a vault, for a vault that ends.
    ///
    /// # Errors
    /// If the server could not be asked or refuses.
    pub async fn erase(&self, member: MemberId) -> Result<(), JournalError> {
        let filter = Subject::Journal(member).to_string();
        self.0.api::<Done>(&Stream::Journal.purge(), &json!({ "filter": filter })).await?;
        Ok(())
    }
}
