//! Files between members (docs/files.md): what is kept of each, how much room they may take, and what ends them. Their pieces lie in
//! the host's object store, sealed under keys that its operator never sees; no piece is ever part of a commit.

pub mod desk;
pub mod owner;
pub mod peer;
mod view;

use crate::connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::pieces::{Done, Wish};
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::digest::Digest;
use vettid_wire::event::{EventRow, FileArrived};
use vettid_wire::feed::Severity;
use vettid_wire::file::{FileManifest, FileProblem, FileState, FileSummary, sealed_bytes};
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::time::Timestamp;

/// Bytes of pieces that one connection may take, sent and received together (256 MiB).
pub const MOST_BYTES_OF_CONNECTION: u64 = 256 << 20;
/// Bytes of pieces that one vault may take (512 MiB).
pub const MOST_BYTES: u64 = 512 << 20;
/// Most files whose pieces one vault keeps.
pub const MOST_FILES: u64 = 2_000;
/// A file that was prepared and not sent goes after this time, in milliseconds (seven days).
pub const PREPARED_FOR_MS: i64 = 7 * 24 * 3600 * 1000;
/// A file that was sent and not fetched goes after this time, in milliseconds (thirty days).
pub const OFFERED_FOR_MS: i64 = 30 * 24 * 3600 * 1000;
/// What lies in the store without a file goes within this time, in milliseconds (an hour).
pub const SWEPT_EVERY_MS: i64 = 3_600_000;

const OUT: &str = "file/out/";
const IN: &str = "file/in/";
const OPEN: &str = "file/open/";
const SENT: &str = "file/sent/";
const BY_ID: &str = "file/by_id/";
const FETCHING: &str = "file/fetching/";
const DUE: &str = "file/due/";
const ROOM: &str = "file/room/";
/// Room of the whole vault; once there, the vault has had files.
const ROOM_OF_ALL: &str = "file/room_of_all";
/// Most things that one tick ends.
const AT_ONCE: usize = 16;

/// A file of the owner's, from its preparation until the receiver has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Outgoing {
    connection_id: ConnectionId,
    /// Without the hashes of its pieces until it is sent.
    manifest: FileManifest,
    /// When it goes if nothing happens.
    due: Timestamp,
    /// The message that carries it, once it is sent.
    message_id: Option<EventId>,
    state: Stage,
}

/// How far a file of the owner's came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// The app hands over its pieces.
    Prepared,
    /// A message carries it, and the peer may ask for its pieces.
    Offered,
    /// The peer has it; its pieces are gone here.
    Arrived,
    /// It will not arrive; its pieces are gone here.
    Ended(FileProblem),
}

impl Outgoing {
    /// Whether its pieces are kept.
    fn is_kept(&self) -> bool {
        matches!(self.state, Stage::Prepared | Stage::Offered)
    }
}

/// A file of a peer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Incoming {
    manifest: FileManifest,
    /// Under this name its pieces lie in the store: the peer chose the other one.
    store: FileId,
    state: FileState,
    problem: Option<FileProblem>,
}

impl Incoming {
    /// Whether its pieces are or may be kept.
    fn is_kept(&self) -> bool {
        matches!(self.state, FileState::OnItsWay | FileState::Here)
    }
}

/// Bytes and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Room {
    bytes: u64,
    files: u64,
}

fn out_key(file_id: FileId) -> String {
    format!("{OUT}{file_id}")
}

fn in_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("{IN}{connection_id}/{message_id}")
}

fn open_key(connection_id: ConnectionId, sha256: &Digest) -> String {
    let hash = vettid_wire::base64::encode_url(sha256.as_bytes());
    format!("{OPEN}{connection_id}/{hash}")
}

fn sent_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("{SENT}{connection_id}/{message_id}")
}

fn by_id_key(connection_id: ConnectionId, file_id: FileId) -> String {
    format!("{BY_ID}{connection_id}/{file_id}")
}

fn fetching_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("{FETCHING}{connection_id}/{message_id}")
}

fn due_key(due: Timestamp, file_id: FileId) -> String {
    format!("{DUE}{:020}/{file_id}", due.unix_ms().max(0))
}

fn outgoing(draft: &Draft<'_>, file_id: FileId) -> Result<Option<Outgoing>, UnreadableState> {
    draft.get(&out_key(file_id))
}

fn incoming(
    draft: &Draft<'_>,
    connection_id: ConnectionId,
    message_id: EventId,
) -> Result<Option<Incoming>, UnreadableState> {
    draft.get(&in_key(connection_id, message_id))
}

/// The file that a message of the owner's carries.
fn sent_in(
    draft: &Draft<'_>,
    connection_id: ConnectionId,
    message_id: EventId,
) -> Result<Option<Outgoing>, UnreadableState> {
    match draft.get(&sent_key(connection_id, message_id))? {
        Some(file_id) => outgoing(draft, file_id),
        None => Ok(None),
    }
}

/// Takes room for the pieces of a file; `false` if there is none.
fn take_room(draft: &mut Draft<'_>, connection_id: ConnectionId, size_bytes: u64) -> Result<bool, UnreadableState> {
    let key = format!("{ROOM}{connection_id}");
    let (mut own, mut all): (Room, Room) =
        (draft.get(&key)?.unwrap_or_default(), draft.get(ROOM_OF_ALL)?.unwrap_or_default());
    for room in [&mut own, &mut all] {
        room.bytes = room.bytes.saturating_add(sealed_bytes(size_bytes));
        room.files += 1;
    }
    if own.bytes > MOST_BYTES_OF_CONNECTION || all.bytes > MOST_BYTES || all.files > MOST_FILES {
        return Ok(false);
    }
    draft.put(key, &own)?;
    draft.put(ROOM_OF_ALL.into(), &all)?;
    Ok(true)
}

/// The pieces of a file go: from the store, and from the room that they took.
fn erase(step: &mut Step<'_>, connection_id: ConnectionId, store: FileId, size_bytes: u64) -> Result<(), Failure> {
    for key in [format!("{ROOM}{connection_id}"), ROOM_OF_ALL.to_owned()] {
        let room: Room = step.draft.get(&key)?.unwrap_or_default();
        let bytes = room.bytes.saturating_sub(sealed_bytes(size_bytes));
        step.draft.put(key, &Room { bytes, files: room.files.saturating_sub(1) })?;
    }
    step.files.forget_store(store);
    step.wishes.push(Wish::Erase { store });
    Ok(())
}

/// A file of the owner's ends in this stage; its pieces go.
fn end_outgoing(step: &mut Step<'_>, mut file: Outgoing, state: Stage) -> Result<(), Failure> {
    let file_id = file.manifest.file_id;
    if file.is_kept() {
        erase(step, file.connection_id, file_id, file.manifest.size_bytes)?;
    }
    step.draft.remove(&due_key(file.due, file_id));
    step.draft.remove(&open_key(file.connection_id, &file.manifest.sha256));
    if file.message_id.is_none() {
        step.draft.remove(&out_key(file_id));
        return Ok(());
    }
    file.state = state;
    Ok(step.draft.put(out_key(file_id), &file)?)
}

/// A file of the peer's will not come; what is here of it goes.
fn fail_incoming(
    step: &mut Step<'_>,
    connection_id: ConnectionId,
    message_id: EventId,
    mut file: Incoming,
    problem: FileProblem,
) -> Result<(), Failure> {
    if file.is_kept() {
        erase(step, connection_id, file.store, file.manifest.size_bytes)?;
    }
    step.draft.remove(&fetching_key(connection_id, message_id));
    step.files.fetches.remove(&(connection_id, message_id));
    (file.state, file.problem) = (FileState::Failed, Some(problem));
    Ok(step.draft.put(in_key(connection_id, message_id), &file)?)
}

/// A message goes, and with it the file that it carries, if any.
pub fn forget(step: &mut Step<'_>, connection_id: ConnectionId, message_id: EventId) -> Result<(), Failure> {
    if let Some(file) = sent_in(&step.draft, connection_id, message_id)? {
        let file_id = file.manifest.file_id;
        end_outgoing(step, file, Stage::Ended(FileProblem::Gone))?;
        step.draft.remove(&out_key(file_id));
        step.draft.remove(&sent_key(connection_id, message_id));
    }
    if let Some(file) = incoming(&step.draft, connection_id, message_id)? {
        let file_id = file.manifest.file_id;
        fail_incoming(step, connection_id, message_id, file, FileProblem::Gone)?;
        step.draft.remove(&in_key(connection_id, message_id));
        step.draft.remove(&by_id_key(connection_id, file_id));
    }
    Ok(())
}

/// A message that nobody confirmed in time: the file that it carries does not wait any longer.
pub fn undelivered(step: &mut Step<'_>, connection_id: ConnectionId, message_id: EventId) -> Result<(), Failure> {
    match sent_in(&step.draft, connection_id, message_id)?.filter(Outgoing::is_kept) {
        Some(file) => end_outgoing(step, file, Stage::Ended(FileProblem::Expired)),
        None => Ok(()),
    }
}

/// A connection ended: nothing more is sent or fetched on it. What was received as a whole stays with its message.
pub fn end_connection(step: &mut Step<'_>, connection_id: ConnectionId) -> Result<(), Failure> {
    for prefix in [OPEN, SENT] {
        for key in step.draft.keys(&format!("{prefix}{connection_id}/"), usize::MAX) {
            let file_id: Option<FileId> = step.draft.get(&key)?;
            let file = file_id.map(|file_id| outgoing(&step.draft, file_id)).transpose()?.flatten();
            if let Some(file) = file.filter(Outgoing::is_kept) {
                end_outgoing(step, file, Stage::Ended(FileProblem::Ended))?;
            }
        }
    }
    for key in step.draft.keys(&format!("{IN}{connection_id}/"), usize::MAX) {
        let message_id = key.rsplit('/').next().and_then(|id| id.parse().ok());
        let file: Option<Incoming> = step.draft.get(&key)?;
        if let (Some(message_id), Some(file)) = (message_id, file)
            && matches!(file.state, FileState::OnItsWay | FileState::Waiting)
        {
            fail_incoming(step, connection_id, message_id, file, FileProblem::Ended)?;
        }
    }
    Ok(())
}

/// Goes on with what is on its way, ends what is over, and has the store looked through now and then.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    if !step.draft.has(ROOM_OF_ALL) {
        return Ok(());
    }
    for key in step.draft.keys(DUE, AT_ONCE) {
        let mut parts = key.trim_start_matches(DUE).split('/');
        let due = parts.next().and_then(|due| due.parse().ok()).map(Timestamp::from_unix_ms);
        if due.is_some_and(|due| due > step.now) {
            break;
        }
        let file_id = parts.next().and_then(|id| id.parse().ok());
        match file_id.map(|file_id| outgoing(&step.draft, file_id)).transpose()?.flatten() {
            Some(file) => end_outgoing(step, file, Stage::Ended(FileProblem::Expired))?,
            None => step.draft.remove(&key),
        }
    }
    if step.files.is_to_be_swept(step.now) {
        step.wishes.push(Wish::Sweep);
    }
    peer::go_on(step)
}

/// Takes up what the store did.
pub fn done(step: &mut Step<'_>, done: &Done) -> Result<(), Failure> {
    match done {
        Done::For(then, found) => view::outcome(step, then, found),
        Done::Stores(stores) => sweep(step, stores),
    }
}

/// What lies in the store and belongs to no file goes.
fn sweep(step: &mut Step<'_>, stores: &BTreeSet<FileId>) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    for file in step.draft.values::<Outgoing>(OUT)?.into_iter().filter(Outgoing::is_kept) {
        known.insert(file.manifest.file_id);
    }
    known.extend(step.draft.values::<Incoming>(IN)?.into_iter().filter(Incoming::is_kept).map(|file| file.store));
    step.wishes.extend(stores.difference(&known).map(|store| Wish::Erase { store: *store }));
    Ok(())
}

/// Tells the owner what became of a file of a peer's, and notes it.
fn tell(
    step: &mut Step<'_>,
    connection_id: ConnectionId,
    file: &FileSummary,
    (severity, outcome): (Severity, vettid_wire::feed::Outcome),
    what: impl FnOnce(&str) -> String,
) -> Result<(), Failure> {
    let found = connection::get(&step.draft, connection_id)?;
    let name = found.map_or_else(|| "somebody".to_owned(), |connection| connection.display_name);
    let event_type = FileArrived::ROW.event_type();
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection_id),
        request_id: None,
        severity,
        outcome,
        summary: what(&name),
    })?;
    let ended = if outcome == vettid_wire::feed::Outcome::Done { AuditOutcome::Success } else { AuditOutcome::Refused };
    step.audit("vault", &event_type, ended, json!({"connection_id": connection_id, "file_id": file.file_id}))?;
    Ok(())
}
