//! The peer's side of files: handing out pieces of what was sent on this connection, and fetching what the peer sent. Nothing of it is
//! committed piece by piece. A piece that nobody asked for, or that is not what its message said, is never stored.

use super::desk::{MOST_OF_CONNECTION, in_turn};
use super::owner::{fetching, put_fetching, waiting};
use super::{Incoming, Stage, by_id_key, end_outgoing, fail_incoming, incoming, outgoing, take_room, tell};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::pieces::{Then, Wish};
use crate::send;
use crate::step::Step;
use serde_json::Value;
use std::collections::BTreeSet;
use vettid_core::transfer::{Arrival, Fetch};
use vettid_crypto::file::piece_hash;
use vettid_wire::event::{self, EventRow, EventType, FileArrived, FileAsk, FileIsGone, FilePieceSent};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::file::{
    AskPiece, FETCHED_AT_ONCE_BYTES, FileGone, FileManifest, FilePiece, FileProblem, FileReceived, FileState,
    sealed_piece_bytes,
};
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::json as vjson;
use vettid_wire::messaging::TextMessage;
use vettid_wire::refusal::RefusalCode;

/// Whether an event is about pieces: it has limits of its own, and is neither marked nor audited.
#[must_use]
pub fn is_of_pieces(event_type: &EventType) -> bool {
    [FileAsk::ROW.name, FilePieceSent::ROW.name, FileIsGone::ROW.name].contains(&event_type.as_str())
}

/// Takes up such an event of an active connection. What does not fit is dropped without a word: whoever needs it asks again.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    body: Value,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let is_taken = step.files.admits(id, step.now)
        && match event_type.as_str() {
            name if name == FileAsk::ROW.name => match vjson::from_value(body) {
                Ok(asked) => ask(step, connection, &asked)?,
                Err(_) => false,
            },
            name if name == FilePieceSent::ROW.name => match vjson::from_value(body) {
                Ok(piece) => arrived(step, id, piece)?,
                Err(_) => false,
            },
            _ => match vjson::from_value::<FileGone>(body) {
                Ok(FileGone { file_id }) => gone(step, id, file_id)?,
                Err(_) => false,
            },
        };
    step.dropped += u64::from(!is_taken);
    Ok(())
}

/// The peer asks for a piece: only of what was sent on this very connection.
fn ask(step: &mut Step<'_>, connection: &Connection, asked: &AskPiece) -> Result<bool, Failure> {
    let (id, AskPiece { file_id, index }) = (connection.connection_id, asked.clone());
    let file = outgoing(&step.draft, file_id)?.filter(|file| file.connection_id == id);
    let Some(file) = file.filter(|file| file.state == Stage::Offered) else {
        send::to_peer(step, connection, &FileIsGone::ROW, FileGone { file_id }, None)?;
        return Ok(true);
    };
    let Some(bytes) = sealed_piece_bytes(file.manifest.size_bytes, index) else {
        return Ok(false);
    };
    if !step.files.hands_out(id, bytes, step.now) {
        return Ok(false);
    }
    let then = Then::Serve { connection_id: id, file_id, index };
    step.wishes.push(Wish::Read { store: file_id, index, then });
    Ok(true)
}

/// The store gave a piece that the peer asked for, unless something ended meanwhile.
pub(super) fn serve(
    step: &mut Step<'_>,
    connection_id: ConnectionId,
    file_id: FileId,
    index: u32,
    bytes: Option<Vec<u8>>,
) -> Result<(), Failure> {
    let connection = connection::get(&step.draft, connection_id)?.filter(Connection::is_active);
    let file = outgoing(&step.draft, file_id)?.filter(|file| file.connection_id == connection_id);
    let (Some(connection), Some(file)) = (connection, file.filter(|file| file.state == Stage::Offered)) else {
        return Ok(());
    };
    let Some(bytes) = bytes else {
        tracing::error!("a piece of a file that was sent is not in the store");
        end_outgoing(step, file, Stage::Ended(FileProblem::Gone))?;
        send::to_peer(step, &connection, &FileIsGone::ROW, FileGone { file_id }, None)?;
        return Ok(());
    };
    step.files.hand_out(file_id, index);
    let piece = FilePiece { file_id, index, bytes: vettid_wire::base64::Base64::new(bytes) };
    send::to_peer(step, &connection, &FilePieceSent::ROW, piece, None)?;
    Ok(())
}

/// A file that a message of the peer's is to carry must not have the id of another one.
pub fn check(
    step: &Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    body: &Value,
) -> Result<Result<(), RefusalCode>, Failure> {
    let Some((message_id, manifest)) = carried(event_type, body) else {
        return Ok(Ok(()));
    };
    let known: Option<EventId> = step.draft.get(&by_id_key(connection.connection_id, manifest.file_id))?;
    Ok(if known.is_none_or(|known| known == message_id) { Ok(()) } else { Err(RefusalCode::Conflict) })
}

/// A message of the peer's is stored: the file that it carries is fetched at once, or waits for its owner's word.
pub fn came(step: &mut Step<'_>, connection: &Connection, event_type: &EventType, body: &Value) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some((message_id, manifest)) = carried(event_type, body) else {
        return Ok(());
    };
    if incoming(&step.draft, id, message_id)?.is_some() {
        return Ok(());
    }
    let mut bytes = [0; 16];
    step.rng.fill_bytes(&mut bytes);
    step.draft.put(by_id_key(id, manifest.file_id), &message_id)?;
    let is_small = manifest.size_bytes <= FETCHED_AT_ONCE_BYTES;
    let has_room = is_small && take_room(&mut step.draft, id, manifest.size_bytes)?;
    let problem = (is_small && !has_room).then_some(FileProblem::NoRoom);
    let mut file = waiting(manifest, FileId::from_bytes(bytes), problem);
    if has_room {
        file.state = FileState::OnItsWay;
        put_fetching(step, id, message_id, &file)?;
        if fetching(step).iter().filter(|(of, _)| *of == id).count() > MOST_OF_CONNECTION {
            return Ok(());
        }
        begin(step, id, message_id, &file, &BTreeSet::new());
        return ask_on(step, connection, message_id, &file);
    }
    Ok(step.draft.put(super::in_key(id, message_id), &file)?)
}

/// The file that a message carries.
fn carried(event_type: &EventType, body: &Value) -> Option<(EventId, FileManifest)> {
    if event_type.as_str() != event::MessagingText::ROW.name || body.get("file").is_none() {
        return None;
    }
    let message = vjson::from_value::<TextMessage>(body.clone()).ok()?;
    Some((message.message_id, message.file?))
}

/// A fetch begins or goes on with these pieces.
fn begin(step: &mut Step<'_>, id: ConnectionId, message_id: EventId, file: &Incoming, here: &BTreeSet<u32>) {
    let pieces = u32::try_from(file.manifest.pieces.len()).unwrap_or(u32::MAX);
    step.files.fetches.insert((id, message_id), Fetch::new(pieces, here));
}

/// Each fetch goes on: pieces are asked for, or the store is asked which ones are here.
pub(super) fn go_on(step: &mut Step<'_>) -> Result<(), Failure> {
    for (id, message_id) in in_turn(fetching(step)) {
        let Some(connection) = connection::get(&step.draft, id)?.filter(Connection::is_active) else {
            continue;
        };
        let Some(file) = incoming(&step.draft, id, message_id)? else {
            continue;
        };
        if step.files.fetches.contains_key(&(id, message_id)) {
            ask_on(step, &connection, message_id, &file)?;
        } else if step.files.is_to_be_listed((id, message_id), step.now) {
            let then = Then::GoOn { connection_id: id, message_id };
            step.wishes.push(Wish::List { store: file.store, then });
        }
    }
    Ok(())
}

/// The store said which pieces are here.
pub(super) fn listed(
    step: &mut Step<'_>,
    id: ConnectionId,
    message_id: EventId,
    here: Option<&BTreeSet<u32>>,
) -> Result<(), Failure> {
    step.files.listed(&(id, message_id));
    let file = incoming(&step.draft, id, message_id)?.filter(|file| file.state == FileState::OnItsWay);
    let (Some(file), Some(here)) = (file, here) else {
        return Ok(());
    };
    let connection = connection::get(&step.draft, id)?.filter(Connection::is_active);
    let Some(connection) = connection else { return Ok(()) };
    begin(step, id, message_id, &file, here);
    ask_on(step, &connection, message_id, &file)
}

/// Asks for what is due now; a file that is complete is here.
fn ask_on(step: &mut Step<'_>, connection: &Connection, message_id: EventId, file: &Incoming) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some(fetch) = step.files.fetches.get_mut(&(id, message_id)) else {
        return Ok(());
    };
    if fetch.is_complete() {
        return complete(step, connection, message_id, file.clone());
    }
    let file_id = file.manifest.file_id;
    for index in fetch.next(step.now) {
        send::to_peer(step, connection, &FileAsk::ROW, AskPiece { file_id, index }, None)?;
    }
    Ok(())
}

/// A piece came. It is stored if it was asked for and is what the message said.
fn arrived(step: &mut Step<'_>, id: ConnectionId, piece: FilePiece) -> Result<bool, Failure> {
    let FilePiece { file_id, index, bytes } = piece;
    let Some(message_id) = step.draft.get::<EventId>(&by_id_key(id, file_id))? else {
        return Ok(false);
    };
    let is_asked = step.files.fetches.get(&(id, message_id)).is_some_and(|fetch| fetch.is_asked(index));
    let file = incoming(&step.draft, id, message_id)?.filter(|file| is_asked && file.state == FileState::OnItsWay);
    let (Some(file), Some(fetch)) = (file, step.files.fetches.get_mut(&(id, message_id))) else {
        return Ok(false);
    };
    let expected = usize::try_from(index).ok().and_then(|index| file.manifest.pieces.get(index));
    if expected != Some(&piece_hash(bytes.as_bytes())) {
        fetch.is_wrong(index, step.now);
        return Ok(false);
    }
    if fetch.arrived(index) == Arrival::Unasked {
        return Ok(false);
    }
    let then = Then::Fetched { connection_id: id, message_id, index };
    step.wishes.push(Wish::Keep { store: file.store, index, bytes: bytes.into_bytes(), then });
    Ok(true)
}

/// What became of a piece in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    NoRoom,
    No,
}

/// A piece is stored, or could not be; the next one is asked for.
pub(super) fn stored(
    step: &mut Step<'_>,
    id: ConnectionId,
    message_id: EventId,
    index: u32,
    kept: Kept,
) -> Result<(), Failure> {
    let file = incoming(&step.draft, id, message_id)?.filter(|file| file.state == FileState::OnItsWay);
    let (Some(file), Some(fetch)) = (file, step.files.fetches.get_mut(&(id, message_id))) else {
        return Ok(());
    };
    fetch.stored(index, kept == Kept::Yes);
    if kept == Kept::NoRoom {
        // The room of the whole host is full: this file tries again later.
        fetch.pause(step.now);
    }
    match connection::get(&step.draft, id)?.filter(Connection::is_active) {
        Some(connection) => ask_on(step, &connection, message_id, &file),
        None => Ok(()),
    }
}

/// Every piece is here: the sender need not keep the file any more.
fn complete(
    step: &mut Step<'_>,
    connection: &Connection,
    message_id: EventId,
    mut file: Incoming,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    (file.state, file.problem) = (FileState::Here, None);
    step.draft.put(super::in_key(id, message_id), &file)?;
    step.draft.remove(&super::fetching_key(id, message_id));
    step.files.fetches.remove(&(id, message_id));
    let received = FileReceived { file_id: file.manifest.file_id };
    send::to_peer(step, connection, &FileArrived::ROW, received, None)?;
    tell(step, id, &file.manifest.summary(), (Severity::Notice, Outcome::Done), |name| {
        format!("A file from {name} is here")
    })
}

/// The sender does not hold the file any more.
fn gone(step: &mut Step<'_>, id: ConnectionId, file_id: FileId) -> Result<bool, Failure> {
    let Some(message_id) = step.draft.get::<EventId>(&by_id_key(id, file_id))? else {
        return Ok(false);
    };
    let file = incoming(&step.draft, id, message_id)?.filter(|file| file.state == FileState::OnItsWay);
    let Some(file) = file else { return Ok(false) };
    let summary = file.manifest.summary();
    fail_incoming(step, id, message_id, file, FileProblem::Gone)?;
    let refused = Outcome::Refused(RefusalCode::NotAvailable);
    tell(step, id, &summary, (Severity::Warning, refused), |name| {
        format!("A file from {name} will not come: it is not held there any more")
    })?;
    Ok(true)
}

/// The peer has the whole of a file: its pieces go here.
pub fn received(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(FileReceived { file_id }) = vjson::from_value::<FileReceived>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let file = outgoing(&step.draft, file_id)?.filter(|file| file.connection_id == connection.connection_id);
    match file.filter(|file| file.state == Stage::Offered) {
        Some(file) => end_outgoing(step, file, Stage::Arrived).map(Ok),
        None => Ok(Ok(())),
    }
}
