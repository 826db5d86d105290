//! What a step wants done with stored pieces of files, and what came of it. The host does it after the commit and brings the outcome
//! back as an event. Nothing here is durable: what was not done is asked for again by whoever waits for it.

use std::collections::BTreeSet;
use std::fmt;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::{ConnectionId, EventId, FileId, SessionKeyId};

/// Something to be done with stored pieces, after the commit.
#[derive(Clone, PartialEq, Eq)]
pub enum Wish {
    /// Store a piece; one of the same place is replaced.
    Keep {
        /// Under which name of this vault's own.
        store: FileId,
        /// Which piece.
        index: u32,
        /// The sealed bytes.
        bytes: Vec<u8>,
        /// What for.
        then: Then,
    },
    /// Read a piece.
    Read {
        /// Under which name.
        store: FileId,
        /// Which piece.
        index: u32,
        /// What for.
        then: Then,
    },
    /// Say which pieces are stored.
    List {
        /// Under which name.
        store: FileId,
        /// What for.
        then: Then,
    },
    /// Remove all pieces of a name.
    Erase {
        /// Which name.
        store: FileId,
    },
    /// Say under which names anything is stored.
    Sweep,
}

/// Who waits for an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The owner's app, with this command.
    Answer {
        /// Its session.
        session: SessionKeyId,
        /// The command.
        question: InReplyTo,
        /// What it wants.
        to: Command,
    },
    /// The peer of this connection asked for a piece.
    Serve {
        /// The connection.
        connection_id: ConnectionId,
        /// The file, as both sides name it.
        file_id: FileId,
        /// Which piece.
        index: u32,
    },
    /// A piece came from the peer.
    Fetched {
        /// The connection.
        connection_id: ConnectionId,
        /// The message that carries the file.
        message_id: EventId,
        /// Which piece.
        index: u32,
    },
    /// A fetch goes on after a restart.
    GoOn {
        /// The connection.
        connection_id: ConnectionId,
        /// The message that carries the file.
        message_id: EventId,
    },
}

/// A command of the owner that waits for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Store a piece of a file that is being prepared.
    Put {
        /// The file.
        file_id: FileId,
        /// Which piece.
        index: u32,
    },
    /// Say which pieces of it are missing.
    Status {
        /// The file.
        file_id: FileId,
    },
    /// Read a piece of a received file.
    Get,
}

/// What the store says.
#[derive(Clone, PartialEq, Eq)]
pub enum Found {
    /// The piece is stored.
    Kept,
    /// There is no room for it.
    NoRoom,
    /// The bytes of the piece.
    Bytes(Vec<u8>),
    /// There is no such piece.
    Missing,
    /// These pieces are stored.
    Listed(BTreeSet<u32>),
    /// The store could not do it now.
    Failed,
}

/// The outcome of a wish.
#[derive(Clone, PartialEq, Eq)]
pub enum Done {
    /// For whoever waits for it.
    For(Then, Found),
    /// Under these names something is stored.
    Stores(BTreeSet<FileId>),
}

/// Pieces are large: only what is done is shown.
impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep { .. } => "Keep",
            Self::Read { .. } => "Read",
            Self::List { .. } => "List",
            Self::Erase { .. } => "Erase",
            Self::Sweep => "Sweep",
        })
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(then, _) => write!(f, "For({then:?})"),
            Self::Stores(stores) => write!(f, "Stores({})", stores.len()),
        }
    }
}
