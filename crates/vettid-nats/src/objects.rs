//! Large sealed values by name: snapshots of vaults and whatever does not fit a message. The bytes mean nothing here.

use async_nats::jetstream;
use async_nats::jetstream::object_store::{DeleteErrorKind, InfoErrorKind, ObjectInfo, ObjectStore};
use bytes::Bytes;
use vettid_core::grants::broker::{self, Stream, VAULTS_BUCKET};

use crate::api::ApiError;
use crate::connection::Connection;
use crate::stored::StoredMessages;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an object was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Nothing has this name.
    #[error("no object of this name")]
    NotFound,
    /// Larger than the reader takes.
    #[error("object larger than {0} bytes")]
    TooLarge(u64),
    /// The name is not 1 to 200 of `A-Z a-z 0-9 . / _ -`.
    #[error("not a valid object name")]
    InvalidName,
    /// The server forbids it, or could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Parts of it are missing, or it was replaced while it was read.
    #[error("the object is not whole")]
    Damaged,
    /// The store failed.
    #[error("the object store failed")]
    Store(#[source] Source),
}

/// The object store of one host.
#[derive(Clone)]
pub struct Objects {
    store: ObjectStore,
    connection: Connection,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Objects")
    }
}

impl Objects {
    /// Opens the store.
    ///
    /// # Errors
    /// If it is not there, or the server forbids it.
    pub async fn open(connection: &Connection) -> Result<Self, ObjectError> {
        let context = jetstream::new(connection.client().clone());
        let opening = async { Ok(context.get_object_store(VAULTS_BUCKET).await) };
        let store = connection.unless_denied(&Stream::Vaults.info(), opening).await.map_err(ApiError::from)?;
        Ok(Self { store: store.map_err(|error| ObjectError::Store(error.into()))?, connection: connection.clone() })
    }

    /// Stores an object; one of the same name is replaced.
    ///
    /// # Errors
    /// If it was not stored as a whole.
    pub async fn put(&self, name: &str, bytes: &Bytes) -> Result<(), ObjectError> {
        check(name)?;
        let mut reader: &[u8] = bytes;
        self.store.put(name, &mut reader).await.map(|_| ()).map_err(|error| ObjectError::Store(error.into()))
    }

    /// Reads an object of at most `max_bytes`: as many bytes as were put. That they are the same, their seal tells.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub async fn get(&self, name: &str, max_bytes: u64) -> Result<Bytes, ObjectError> {
        check(name)?;
        let entry = self.store.info(name).await.map_err(|error| match error.kind() {
            InfoErrorKind::NotFound => ObjectError::NotFound,
            _ => ObjectError::Store(error.into()),
        })?;
        if entry.deleted {
            return Err(ObjectError::NotFound);
        }
        if entry.size as u64 > max_bytes {
            return Err(ObjectError::TooLarge(max_bytes));
        }
        self.chunks(&entry).await
    }

    /// Reads the chunks of an object, as many as its entry announces.
    async fn chunks(&self, entry: &ObjectInfo) -> Result<Bytes, ObjectError> {
        let mut bytes = Vec::with_capacity(entry.size);
        let subject = broker::vaults_chunks(&entry.nuid);
        let mut chunks = StoredMessages::new(self.connection.clone(), Stream::Vaults, subject);
        while bytes.len() < entry.size {
            match chunks.next().await? {
                Some(chunk) => bytes.extend_from_slice(&chunk.bytes),
                None => return Err(ObjectError::Damaged),
            }
        }
        if bytes.len() == entry.size { Ok(bytes.into()) } else { Err(ObjectError::Damaged) }
    }

    /// Removes an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`] if there is none, see also [`ObjectError`].
    pub async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        check(name)?;
        self.store.delete(name).await.map_err(|error| match error.kind() {
            DeleteErrorKind::NotFound => ObjectError::NotFound,
            _ => ObjectError::Store(error.into()),
        })
    }

    /// The connection that the store is used through.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn check(name: &str) -> Result<(), ObjectError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_' | b'-');
    if (1..=200).contains(&name.len()) && name.bytes().all(plain) { Ok(()) } else { Err(ObjectError::InvalidName) }
}
