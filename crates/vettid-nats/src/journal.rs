//! The vaults' journals: one subject per vault in one stream, one message per commit, compare-and-set on the last sequence
//! of the subject. The bytes are sealed before they come here and mean nothing here. Must never report a commit as lost
//! that may still be stored, nor store one twice.

mod replay;

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use vettid_core::grants::broker::Stream;
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

use crate::api::{
    ApiError, Done, MESSAGE_NOT_FOUND, NO_ROOM, Stored, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_CONSTANT, answer,
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
/// Between two steps of a purge nothing happens for so many times as long as the step took.
const PURGE_PAUSES: u32 = 3;
/// However long a step took: the next one begins after this.
const LONGEST_PURGE_PAUSE: Duration = Duration::from_secs(1);

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
    Unknown(#[source] ApiError),
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
                Err(ApiError::Request(lost @ (RequestError::TimedOut | RequestError::NobodyListens))) => lost,
                // The first attempt went nowhere; of an earlier one nobody knows.
                Err(ApiError::Request(never @ (RequestError::Denied(_) | RequestError::TooLarge))) if attempt == 1 => {
                    return Err(never.into());
                }
                Err(ApiError::Request(lost)) => return Err(JournalError::Unknown(lost.into())),
                Err(ApiError::Malformed(source)) => return Err(JournalError::Unknown(ApiError::Malformed(source))),
                Err(refusal) => return self.refused(refusal, &subject, expected_last, &bytes, attempt > 1).await,
            };
            if attempt == ATTEMPTS {
                return Err(JournalError::Unknown(lost.into()));
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

    /// The server refuses the record. Another one may have its place: itself, if the acknowledgement of an earlier attempt
    /// was lost, or somebody else's. Sealed bytes are never the same twice, so they tell.
    async fn refused(
        &self,
        refusal: ApiError,
        subject: &str,
        expected_last: u64,
        bytes: &Bytes,
        repeated: bool,
    ) -> Result<u64, JournalError> {
        let number = refusal.number().unwrap_or_default();
        let taken = matches!(number, WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT);
        if taken || repeated {
            let last = self.last_repeated(subject).await.map_err(JournalError::Unknown)?;
            match last {
                Some(LastMessage { sequence, data: Some(data) })
                    if sequence > expected_last && data.as_bytes() == bytes =>
                {
                    return Ok(sequence);
                }
                last if taken => return Err(JournalError::Conflict { last: last.map_or(0, |last| last.sequence) }),
                _ => {}
            }
        }
        if NO_ROOM.contains(&number) { Err(JournalError::Full) } else { Err(refusal.into()) }
    }

    async fn last_repeated(&self, subject: &str) -> Result<Option<LastMessage>, ApiError> {
        let mut attempt = 1;
        loop {
            match self.last(subject).await {
                Err(ApiError::Request(RequestError::TimedOut | RequestError::NobodyListens)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
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
        Ok(self.purge(member, sequence).await?)
    }

    /// Removes the records of a vault below the last of these places, in steps that end at each of them; they rise. The server holds up
    /// every vault while it removes, about a millisecond for each of its files in which the vault has records, so the pauses between the
    /// steps are longer than the steps (docs/decisions/0225). Whoever stops on the way has removed the oldest records.
    ///
    /// # Errors
    /// [`JournalError::KeepsLast`] if nothing would stay.
    pub async fn purge_in_steps(&self, member: MemberId, places: &[u64]) -> Result<(), JournalError> {
        if places.last() > Some(&self.last_sequence(member).await?) {
            return Err(JournalError::KeepsLast);
        }
        for place in places {
            let begin = Instant::now();
            self.purge(member, *place).await?;
            tokio::time::sleep((begin.elapsed() * PURGE_PAUSES).min(LONGEST_PURGE_PAUSE)).await;
        }
        Ok(())
    }

    async fn purge(&self, member: MemberId, sequence: u64) -> Result<(), ApiError> {
        // Nothing lies below the first place, and the server takes 0 for no bound at all.
        if sequence <= 1 {
            return Ok(());
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
