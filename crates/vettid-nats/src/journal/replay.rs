//! Reading a journal from its first record to its last.

use vettid_core::grants::broker::Stream;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

use super::{JournalError, StoredRecord};
use crate::connection::Connection;
use crate::stored::StoredMessages;

/// The records of one vault that are still to be read, in order.
pub struct Replay(StoredMessages);

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replay")
    }
}

impl Replay {
    pub(super) fn new(connection: Connection, member: MemberId) -> Self {
        let subject = Subject::Journal(member).to_string();
        Self(StoredMessages::new(connection, Stream::Journal, subject))
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// If the server could not be asked, or stops in the middle.
    pub async fn next(&mut self) -> Result<Option<StoredRecord>, JournalError> {
        let message = self.0.next().await?;
        Ok(message.map(|message| StoredRecord { sequence: message.sequence, bytes: message.bytes }))
    }

    /// All records that are left, in order.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<StoredRecord>, JournalError> {
        let mut records = Vec::new();
        while let Some(record) = self.next().await? {
            records.push(record);
        }
        Ok(records)
    }
}
