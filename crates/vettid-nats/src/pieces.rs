//! Sealed pieces of files in the bucket of large values, one message each, found by the member, the file and its place
//! (docs/decisions/0162). The bytes mean nothing here. Must never let files take the room that journals need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{HeaderMap, header};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use vettid_core::grants::broker::{self, Stream};
use vettid_wire::id::{FileId, MemberId};

use crate::api::{ApiError, Done, NO_ROOM};
use crate::connection::{Connection, REQUEST_TIMEOUT};

/// Room for the large values of one host in bytes, unless its operator says otherwise (1 GiB).
pub const DEFAULT_MOST_BYTES: u64 = 1 << 30;
/// How long the size of the bucket is taken to be what it was, and how many pieces may be stored meanwhile.
const SIZE_HOLDS_FOR: Duration = Duration::from_secs(2);

/// Why a piece was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// The room for large values is used up.
    #[error("no room for more pieces of files")]
    NoRoom,
    /// The server forbids it, or could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// The pieces of files of one host. Clones share what is known of their size.
#[derive(Clone)]
pub struct Pieces {
    connection: Connection,
    most_bytes: u64,
    size: Arc<Mutex<Option<Size>>>,
}

/// How full the bucket is.
#[derive(Debug, Clone, Copy)]
struct Size {
    bytes: u64,
    as_of: Instant,
}

#[derive(Deserialize)]
struct Shown {
    state: ShownState,
}

#[derive(Deserialize)]
struct ShownState {
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pieces")
    }
}

impl Pieces {
    /// The pieces in the bucket that this connection may use, with room for so many bytes of large values.
    #[must_use]
    pub fn new(connection: Connection, most_bytes: u64) -> Self {
        Self { connection, most_bytes, size: Arc::default() }
    }

    /// Stores a piece; one of the same place is replaced.
    ///
    /// # Errors
    /// See [`PieceError`].
    pub async fn put(&self, member: MemberId, file: FileId, index: u32, bytes: Bytes) -> Result<(), PieceError> {
        if !self.take_room(bytes.len() as u64).await? {
            return Err(PieceError::NoRoom);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_ROLLUP, "sub");
        match self.connection.store(&broker::piece(member, file, index), headers, bytes).await {
            Ok(_) => Ok(()),
            Err(error) if error.number().is_some_and(|number| NO_ROOM.contains(&number)) => Err(PieceError::NoRoom),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a piece; `None` if it is not there.
    ///
    /// # Errors
    /// [`PieceError::Api`].
    pub async fn get(&self, member: MemberId, file: FileId, index: u32) -> Result<Option<Bytes>, PieceError> {
        let asked = json!({"last_by_subj": broker::piece(member, file, index)}).to_string();
        let subject = Stream::Vaults.direct_get();
        let exchange = self.connection.exchange(&subject, HeaderMap::new(), asked.into(), REQUEST_TIMEOUT);
        let message = exchange.await.map_err(ApiError::from)?;
        match message.status.map(|status| status.as_u16()) {
            None => Ok(Some(message.payload)),
            Some(404) => Ok(None),
            Some(_) => Err(ApiError::Malformed("a stored piece cannot be read".into()).into()),
        }
    }

    /// The pieces of a file that are stored.
    ///
    /// # Errors
    /// [`PieceError::Api`].
    pub async fn list(&self, member: MemberId, file: FileId) -> Result<BTreeSet<u32>, PieceError> {
        let subjects = self.subjects(&broker::pieces_of_file(member, file)).await?;
        Ok(subjects.iter().filter_map(|subject| subject.rsplit('.').next()?.parse().ok()).collect())
    }

    /// The files of a member of which anything is stored.
    ///
    /// # Errors
    /// [`PieceError::Api`].
    pub async fn files(&self, member: MemberId) -> Result<BTreeSet<FileId>, PieceError> {
        let subjects = self.subjects(&broker::pieces_of_member(member)).await?;
        Ok(subjects.iter().filter_map(|subject| subject.rsplit('.').nth(1)?.parse().ok()).collect())
    }

    /// Removes everything of a file.
    ///
    /// # Errors
    /// [`PieceError::Api`].
    pub async fn erase(&self, member: MemberId, file: FileId) -> Result<(), PieceError> {
        let filter = json!({"filter": broker::pieces_of_file(member, file)});
        self.connection.api::<Done>(&Stream::Vaults.purge(), &filter).await?;
        self.known().take();
        Ok(())
    }

    async fn subjects(&self, filter: &str) -> Result<Vec<String>, ApiError> {
        let shown: Shown = self.connection.api(&Stream::Vaults.info(), &json!({"subjects_filter": filter})).await?;
        Ok(shown.state.subjects.unwrap_or_default().into_keys().collect())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Size>> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for so many bytes more; they count as taken.
    async fn take_room(&self, bytes: u64) -> Result<bool, ApiError> {
        let is_known = self.known().is_some_and(|size| size.as_of.elapsed() < SIZE_HOLDS_FOR);
        if !is_known {
            let shown: Shown = self.connection.api(&Stream::Vaults.info(), &json!({})).await?;
            *self.known() = Some(Size { bytes: shown.state.bytes, as_of: Instant::now() });
        }
        let mut size = self.known();
        let Some(size) = size.as_mut() else { return Ok(true) };
        let has_room = size.bytes.saturating_add(bytes) <= self.most_bytes;
        if has_room {
            size.bytes += bytes;
        }
        Ok(has_room)
    }
}
