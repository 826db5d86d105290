//! The owner's side of files: preparing one, sending it with a message, and reading one that came. A message carries a file only
//! if this vault has every piece of it, for the connection for which it was prepared.

use super::{
    DUE, FETCHING, IN, Incoming, OFFERED_FOR_MS, Outgoing, PREPARED_FOR_MS, SENT, Stage, due_key, fetching_key, in_key,
    incoming, open_key, out_key, outgoing, sent_in, sent_key, take_room, view,
};
use crate::app::Session;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::pieces::{Command, Then, Wish};
use crate::step::Step;
use serde_json::Value;
use vettid_wire::connection::PeerKind;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{self, EventRow, Row};
use vettid_wire::file::{
    BeginFile, FileBegun, FileList, FileManifest, FilePiece, FileProblem, FileState, FileView, ListFiles,
    MAX_FILE_BYTES, MAX_LISTED_FILES, PieceRef, UploadRef, is_file_name, is_media_type, sealed_piece_bytes,
};
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::json as vjson;
use vettid_wire::messaging::{MessageRef, SendText};
use vettid_wire::refusal::RefusalCode;

/// Owner's command: prepares to send a file. The same content for the same connection goes on where it was interrupted.
pub fn begin(step: &mut Step<'_>, asked: BeginFile) -> Result<Result<FileBegun, RefusalCode>, Failure> {
    let id = asked.connection_id;
    let connection = connection::get(&step.draft, id)?;
    if !connection.is_some_and(|connection| connection.is_active() && connection.kind == PeerKind::Member) {
        return Ok(Err(RefusalCode::NotConnected));
    }
    if !is_file_name(&asked.name) || !is_media_type(&asked.media_type) || asked.size_bytes > MAX_FILE_BYTES {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let known = match step.draft.get(&open_key(id, &asked.sha256))? {
        Some(file_id) => outgoing(&step.draft, file_id)?,
        None => None,
    };
    if let Some(file) = known {
        let is_same = (&file.manifest.name, &file.manifest.media_type, file.manifest.size_bytes)
            == (&asked.name, &asked.media_type, asked.size_bytes);
        let begun = FileBegun { file_id: file.manifest.file_id, key: file.manifest.key };
        return Ok(if is_same { Ok(begun) } else { Err(RefusalCode::Conflict) });
    }
    if !take_room(&mut step.draft, id, asked.size_bytes)? {
        return Ok(Err(RefusalCode::NoRoom));
    }
    let mut bytes = [0; 16];
    step.rng.fill_bytes(&mut bytes);
    let BeginFile { connection_id, name, media_type, size_bytes, sha256, key } = asked;
    let file_id = FileId::from_bytes(bytes);
    let due = step.now.plus_ms(PREPARED_FOR_MS);
    let manifest = FileManifest { file_id, name, media_type, size_bytes, sha256, key: key.clone(), pieces: Vec::new() };
    let file = Outgoing { connection_id, manifest, due, message_id: None, state: Stage::Prepared };
    step.draft.put(out_key(file_id), &file)?;
    step.draft.put(open_key(id, &sha256), &file_id)?;
    step.draft.put(due_key(due, file_id), &true)?;
    Ok(Ok(FileBegun { file_id, key }))
}

/// Whether a command waits for the store, so that its answer comes later and nothing of it is committed.
#[must_use]
pub fn waits_for_store(row: &Row) -> bool {
    [event::FilePut::ROW.name, event::FileUploadStatus::ROW.name, event::FilePieceGet::ROW.name].contains(&row.name)
}

/// Hands such a command to the store, or says at once why not.
pub fn to_store(
    step: &mut Step<'_>,
    session: &Session,
    row: &Row,
    question: &InReplyTo,
    body: &Value,
) -> Result<Result<(), RefusalCode>, Failure> {
    let then = |to| Then::Answer { session: session.key_id, question: question.clone(), to };
    let wish = if row.name == event::FilePut::ROW.name {
        put(step, body, then)?
    } else if row.name == event::FileUploadStatus::ROW.name {
        status_of_upload(step, body, then)?
    } else {
        piece(step, body, then)?
    };
    Ok(wish.map(|wish| step.wishes.push(wish)))
}

fn put(
    step: &Step<'_>,
    body: &Value,
    then: impl FnOnce(Command) -> Then,
) -> Result<Result<Wish, RefusalCode>, Failure> {
    let Ok(FilePiece { file_id, index, bytes }) = vjson::from_value::<FilePiece>(body.clone()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let Some(file) = prepared(step, file_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if sealed_piece_bytes(file.manifest.size_bytes, index) != Some(bytes.as_bytes().len()) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let then = then(Command::Put { file_id, index });
    Ok(Ok(Wish::Keep { store: file_id, index, bytes: bytes.into_bytes(), then }))
}

fn status_of_upload(
    step: &Step<'_>,
    body: &Value,
    then: impl FnOnce(Command) -> Then,
) -> Result<Result<Wish, RefusalCode>, Failure> {
    let Ok(UploadRef { file_id }) = vjson::from_value::<UploadRef>(body.clone()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let is_known = prepared(step, file_id)?.is_some();
    let wish = Wish::List { store: file_id, then: then(Command::Status { file_id }) };
    Ok(if is_known { Ok(wish) } else { Err(RefusalCode::NotFound) })
}

fn piece(
    step: &Step<'_>,
    body: &Value,
    then: impl FnOnce(Command) -> Then,
) -> Result<Result<Wish, RefusalCode>, Failure> {
    let Ok(asked) = vjson::from_value::<PieceRef>(body.clone()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let Some(file) = incoming(&step.draft, asked.connection_id, asked.message_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let is_here = file.state == FileState::Here && sealed_piece_bytes(file.manifest.size_bytes, asked.index).is_some();
    let wish = Wish::Read { store: file.store, index: asked.index, then: then(Command::Get) };
    Ok(if is_here { Ok(wish) } else { Err(RefusalCode::NotAvailable) })
}

/// A file that is being prepared.
pub(super) fn prepared(step: &Step<'_>, file_id: FileId) -> Result<Option<Outgoing>, Failure> {
    Ok(outgoing(&step.draft, file_id)?.filter(|file| file.state == Stage::Prepared))
}

/// The file that a message is to carry, if it is to carry one; this vault has it whole, prepared for that connection.
pub fn to_send(step: &Step<'_>, body: &Value) -> Result<Result<Option<FileManifest>, RefusalCode>, Failure> {
    let Ok(SendText { connection_id, file: Some(wanted), .. }) = vjson::from_value::<SendText>(body.clone()) else {
        return Ok(Ok(None));
    };
    let Some(file) = outgoing(&step.draft, wanted.file_id)?.filter(|file| file.connection_id == connection_id) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let is_same = wanted.is_sound() && wanted.summary() == file.manifest.summary() && wanted.key == file.manifest.key;
    Ok(match file.state {
        Stage::Prepared if !is_same => Err(RefusalCode::InvalidRequest),
        Stage::Prepared if step.files.has_all(wanted.file_id, wanted.size_bytes) => Ok(Some(wanted)),
        Stage::Prepared => Err(RefusalCode::NotAvailable),
        Stage::Offered | Stage::Arrived | Stage::Ended(_) => Err(RefusalCode::Conflict),
    })
}

/// A message carries the file: the peer may ask for its pieces from now on.
pub fn sent(
    step: &mut Step<'_>,
    connection_id: ConnectionId,
    message_id: EventId,
    manifest: FileManifest,
) -> Result<(), Failure> {
    let file_id = manifest.file_id;
    let Some(before) = outgoing(&step.draft, file_id)? else {
        return Ok(());
    };
    step.draft.remove(&due_key(before.due, file_id));
    step.draft.remove(&open_key(connection_id, &manifest.sha256));
    let due = step.now.plus_ms(OFFERED_FOR_MS);
    let file = Outgoing { manifest, due, message_id: Some(message_id), state: Stage::Offered, ..before };
    step.draft.put(out_key(file_id), &file)?;
    step.draft.put(sent_key(connection_id, message_id), &file_id)?;
    step.draft.put(format!("{DUE}{:020}/{file_id}", due.unix_ms().max(0)), &true)?;
    Ok(())
}

/// Owner's command: how far the file of a message came.
pub fn status(step: &Step<'_>, asked: &MessageRef) -> Result<Result<FileView, RefusalCode>, Failure> {
    let (connection_id, message_id) = (asked.connection_id, asked.message_id);
    if let Some(file) = incoming(&step.draft, connection_id, message_id)? {
        return Ok(Ok(view::received(step, connection_id, message_id, &file)));
    }
    let file = sent_in(&step.draft, connection_id, message_id)?;
    Ok(file.map(|file| view::sent(step, message_id, &file)).ok_or(RefusalCode::NotFound))
}

/// Owner's command: the newest files of a connection.
pub fn list(step: &Step<'_>, asked: &ListFiles) -> Result<Result<FileList, RefusalCode>, Failure> {
    let id = asked.connection_id;
    let mut messages: Vec<EventId> = Vec::new();
    for prefix in [IN, SENT] {
        let keys = step.draft.keys(&format!("{prefix}{id}/"), usize::MAX);
        messages.extend(keys.iter().filter_map(|key| key.rsplit('/').next()?.parse::<EventId>().ok()));
    }
    // Ids begin with the time.
    messages.sort_unstable_by(|one, other| other.cmp(one));
    messages.truncate(MAX_LISTED_FILES);
    let mut files = Vec::new();
    for message_id in messages {
        files.extend(status(step, &MessageRef { connection_id: id, message_id })?.ok());
    }
    Ok(Ok(FileList { files }))
}

/// Owner's command: what it takes to check and open a received file.
pub fn get(step: &Step<'_>, asked: &MessageRef) -> Result<Result<FileManifest, RefusalCode>, Failure> {
    let file = incoming(&step.draft, asked.connection_id, asked.message_id)?;
    Ok(file.map(|file| file.manifest).ok_or(RefusalCode::NotFound))
}

/// Owner's command: fetches a file that waits for that, or tries again with one that failed.
pub fn fetch(step: &mut Step<'_>, asked: &MessageRef) -> Result<Result<FileView, RefusalCode>, Failure> {
    let (id, message_id) = (asked.connection_id, asked.message_id);
    let Some(file) = incoming(&step.draft, id, message_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if file.is_kept() {
        return Ok(Ok(view::received(step, id, message_id, &file)));
    }
    if !connection::get(&step.draft, id)?.is_some_and(|connection| Connection::is_active(&connection)) {
        return Ok(Err(RefusalCode::NotConnected));
    }
    if !take_room(&mut step.draft, id, file.manifest.size_bytes)? {
        return Ok(Err(RefusalCode::NoRoom));
    }
    let file = Incoming { state: FileState::OnItsWay, problem: None, ..file };
    put_fetching(step, id, message_id, &file)?;
    Ok(Ok(view::received(step, id, message_id, &file)))
}

/// A file that is fetched from now on. Room for it was taken.
pub(super) fn put_fetching(
    step: &mut Step<'_>,
    connection_id: ConnectionId,
    message_id: EventId,
    file: &Incoming,
) -> Result<(), Failure> {
    step.draft.put(in_key(connection_id, message_id), file)?;
    Ok(step.draft.put(fetching_key(connection_id, message_id), &true)?)
}

/// Keys of the files that are on their way here.
pub(super) fn fetching(step: &Step<'_>) -> Vec<(ConnectionId, EventId)> {
    let parsed = |key: &String| {
        let (connection_id, message_id) = key.strip_prefix(FETCHING)?.split_once('/')?;
        Some((connection_id.parse().ok()?, message_id.parse().ok()?))
    };
    step.draft.keys(FETCHING, usize::MAX).iter().filter_map(parsed).collect()
}

/// Why a file that is not kept may not come.
pub(super) fn waiting(manifest: FileManifest, store: FileId, problem: Option<FileProblem>) -> Incoming {
    Incoming { manifest, store, state: FileState::Waiting, problem }
}
